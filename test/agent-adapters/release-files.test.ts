import { existsSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeTempDir } from "../kit/temp-dir.js";
import {
  applyRelease,
  artifactRelease,
  codeOf,
  configOf,
  currentOf,
  deferred,
  filesBelow,
  instanceFolder,
  manifestOf,
  refusalOf,
  releaseFiles,
  testObjects,
  workOn,
} from "./kit.js";

function setUp() {
  const dataDir = makeTempDir();
  const objects = testObjects();
  return { dataDir, objects, files: releaseFiles(dataDir, objects) };
}

describe("applying a release", () => {
  test("brings its files and configuration to the instance and makes it current", async () => {
    const { dataDir, objects, files } = setUp();
    const release = artifactRelease(objects, "1.0+b", { "server.js": "serve", "lib/a.js": "a" });
    const config = configOf(objects, "c.1", "secret: no\n");
    await applyRelease(files, workOn("i1", release, config));
    const { cwd, configFile } = files.places("i1", "1.0+b", "c.1");
    expect(filesBelow(cwd)).toEqual({ "server.js": "serve", "lib/a.js": "a" });
    expect(readFileSync(configFile ?? "", "utf8")).toBe("secret: no\n");
    expect(statSync(configFile ?? "").mode & 0o077).toBe(0);
    expect(currentOf(dataDir, "i1")).toBe("1=2E0=2Bb");
    expect(currentOf(dataDir, "i1", "next")).toBeUndefined();
    expect(readFileSync(join(instanceFolder(dataDir, "i1"), "current", "server.js"), "utf8")).toBe("serve");
    expect(files.places("i1", "v2", null).configFile).toBeNull();
  });

  test("leaves current alone until it is activated", async () => {
    const { dataDir, objects, files } = setUp();
    await applyRelease(files, workOn("i1", artifactRelease(objects, "v1", { f: "1" })));
    const work = workOn("i1", artifactRelease(objects, "v2", { f: "2" }));
    await files.pull(work);
    await files.build(work);
    await files.copy(work);
    await files.prepareNext(work);
    await files.stageRoutes(work, { instance: "i1", port: 1, routes: [] });
    expect(currentOf(dataDir, "i1")).toBe("v1");
    expect(currentOf(dataDir, "i1", "next")).toBe("v2");
    await files.abandon("i1");
    expect(currentOf(dataDir, "i1")).toBe("v1");
    expect(currentOf(dataDir, "i1", "next")).toBeUndefined();
  });

  test("is a matter of looking when everything is there, and needs no store", async () => {
    const { dataDir, objects, files } = setUp();
    const release = artifactRelease(objects, "v1", { f: "1" });
    const config = configOf(objects, "c1", "c");
    await applyRelease(files, workOn("i1", release, config));
    const asked = objects.asked.length;
    await objects.remove("release-v1");
    await objects.remove("config-c1");
    rmSync(join(dataDir, "cache"), { recursive: true });
    const before = statSync(files.places("i1", "v1", null).cwd).ino;
    await applyRelease(files, workOn("i1", release, config));
    await applyRelease(releaseFiles(dataDir, objects), workOn("i1", release, config));
    expect(objects.asked.length).toBe(asked);
    expect(statSync(files.places("i1", "v1", null).cwd).ino).toBe(before);
  });

  test("may begin at any phase: each makes good what is missing before it", async () => {
    const { dataDir, objects, files } = setUp();
    const work = workOn("i1", artifactRelease(objects, "v1", { f: "1" }));
    await files.prepareNext(work);
    expect(currentOf(dataDir, "i1", "next")).toBe("v1");
    expect(filesBelow(files.places("i1", "v1", null).cwd)).toEqual({ f: "1" });
  });

  test("copies a release folder anew that somebody has taken files from", async () => {
    const { objects, files } = setUp();
    const work = workOn("i1", artifactRelease(objects, "v1", { f: "1", g: "2" }));
    await applyRelease(files, work);
    const { cwd } = files.places("i1", "v1", null);
    rmSync(join(cwd, "g"));
    writeFileSync(join(cwd, "written-by-service"), "data");
    await files.copy(work);
    expect(filesBelow(cwd)).toEqual({ f: "1", g: "2" });
  });

  test("leaves what a service wrote into its folder alone", async () => {
    const { objects, files } = setUp();
    const work = workOn("i1", artifactRelease(objects, "v1", { f: "1" }));
    await applyRelease(files, work);
    const { cwd } = files.places("i1", "v1", null);
    writeFileSync(join(cwd, "f"), "changed");
    writeFileSync(join(cwd, "own"), "data");
    await files.copy(work);
    expect(filesBelow(cwd)).toEqual({ f: "changed", own: "data" });
  });

  test("makes good, after a start of the agent, what has other content than was copied though nobody wrote to it", async () => {
    const { dataDir, objects, files } = setUp();
    const work = workOn("i1", artifactRelease(objects, "v1", { f: "12345", g: "6" }));
    await files.copy(work);
    const { cwd } = files.places("i1", "v1", null);
    const rot = (file: string, content: string) => {
      const { atime, mtime } = statSync(file);
      writeFileSync(file, content);
      utimesSync(file, atime, mtime);
    };
    writeFileSync(join(cwd, "g"), "of the service");
    const again = () => releaseFiles(dataDir, objects);
    await again().copy(work);
    expect(filesBelow(cwd)).toEqual({ f: "12345", g: "of the service" });
    // Cut short, and of the same length.
    for (const content of ["", "54321"]) {
      rot(join(cwd, "f"), content);
      await again().copy(work);
      expect(filesBelow(cwd)).toEqual({ f: "12345", g: "6" });
    }
    const built = Object.keys(filesBelow(dataDir)).find((path) => /tree-\w+\/f$/.test(path)) ?? "";
    rot(join(cwd, "f"), "");
    rot(join(dataDir, built), "54321");
    await again().prepareNext(work);
    expect(filesBelow(cwd)).toEqual({ f: "12345", g: "6" });
  });

  test("of other content under the name of the running version is refused; before it runs it is replaced", async () => {
    const { objects, files } = setUp();
    const one = workOn("i1", artifactRelease(objects, "v1", { f: "one" }));
    await files.copy(one);
    const other = workOn("i1", artifactRelease(objects, "v1", { f: "other" }));
    await applyRelease(files, other);
    expect(filesBelow(files.places("i1", "v1", null).cwd)).toEqual({ f: "other" });
    expect(await codeOf(files.copy(one))).toBe("VERSION_EXISTS");
    expect(filesBelow(files.places("i1", "v1", null).cwd)).toEqual({ f: "other" });
  });

  test("never makes an incomplete folder current", async () => {
    const { dataDir, objects, files } = setUp();
    await applyRelease(files, workOn("i1", artifactRelease(objects, "v1", { f: "1" })));
    const work = workOn("i1", artifactRelease(objects, "v2", { f: "2" }));
    await files.prepareNext(work);
    await files.stageRoutes(work, { instance: "i1", port: 1, routes: [] });
    rmSync(join(files.places("i1", "v2", null).cwd, "f"));
    expect(await codeOf(files.activate(work))).toBe("INTERNAL");
    expect(currentOf(dataDir, "i1")).toBe("v1");
  });

  test("replaces a configuration file that was changed by hand", async () => {
    const { objects, files } = setUp();
    const work = workOn("i1", artifactRelease(objects, "v1", { f: "1" }), configOf(objects, "c1", "right"));
    await files.pull(work);
    const { configFile } = files.places("i1", "v1", "c1");
    writeFileSync(configFile ?? "", "wrong");
    await files.pull(work);
    expect(readFileSync(configFile ?? "", "utf8")).toBe("right");
  });

  test("copies links as links, also those that a build made by their absolute path", async () => {
    const { objects, files } = setUp();
    const build = { command: 'ln -s "$PWD/f" absolute && ln -s f relative', timeoutMs: 60_000 };
    await files.copy(workOn("i1", artifactRelease(objects, "v1", { f: "1" }, { build })));
    const { cwd } = files.places("i1", "v1", null);
    rmSync(join(cwd, "..", "..", "..", "..", "cache"), { recursive: true });
    expect(readFileSync(join(cwd, "absolute"), "utf8")).toBe("1");
    expect(readFileSync(join(cwd, "relative"), "utf8")).toBe("1");
  });
});

describe("pulling", () => {
  test("is done once for instances that want the same", async () => {
    const { objects, files } = setUp();
    const release = artifactRelease(objects, "v1", { f: "1" });
    const instances = ["i1", "i2", "i3", "i4"];
    await Promise.all(instances.map((instance) => applyRelease(files, workOn(instance, release))));
    expect(objects.asked).toEqual(["release-v1"]);
    for (const instance of instances)
      expect(filesBelow(files.places(instance, "v1", null).cwd)).toEqual({ f: "1" });
  });

  test("goes on for the others when one gives up, and ends when all do", async () => {
    const { dataDir, objects, files } = setUp();
    objects.chunkBytes = 1;
    const held = deferred();
    objects.beforeChunk = () => held.promise;
    const release = artifactRelease(objects, "v1", { f: "1" });
    const [one, two, three] = [workOn("i1", release), workOn("i2", release), workOn("i3", release)];
    const pulls = [one, two, three].map((work) => codeOf(files.pull(work)));
    one.abort.abort();
    expect(await pulls[0]).toBe("CANCELLED");
    two.abort.abort();
    three.abort.abort();
    expect(await Promise.all(pulls)).toEqual(["CANCELLED", "CANCELLED", "CANCELLED"]);
    expect(Object.keys(filesBelow(join(dataDir, "scratch")))).toEqual([]);
    held.resolve();
    await files.pull(workOn("i1", release));
  });

  test("refuses a file whose checksum is not the announced one, and keeps nothing of it", async () => {
    const { dataDir, objects, files } = setUp();
    const release = artifactRelease(objects, "v1", { f: "1" });
    objects.add("release-v1", "something else");
    const refused = await refusalOf(files.pull(workOn("i1", release)));
    expect(refused.code).toBe("CHECKSUM_MISMATCH");
    expect(Object.keys(filesBelow(join(dataDir, "scratch")))).toEqual([]);
    expect(Object.keys(filesBelow(join(dataDir, "cache")))).toEqual([]);
  });

  test("stops reading what goes on beyond the announced size", async () => {
    const { objects, files } = setUp();
    const release = artifactRelease(objects, "v1", { f: "1" });
    objects.get = async function* () {
      for (;;) yield Buffer.alloc(1_000);
    };
    expect(await codeOf(files.pull(workOn("i1", release)))).toBe("CHECKSUM_MISMATCH");
  });

  test("says what is missing in the store", async () => {
    const { objects, files } = setUp();
    const release = artifactRelease(objects, "v1", { f: "1" });
    await objects.remove("release-v1");
    expect(await codeOf(files.pull(workOn("i1", release)))).toBe("OBJECT_NOT_FOUND");
  });

  test("pulls again what was damaged on the disk", async () => {
    const { dataDir, objects, files } = setUp();
    const release = artifactRelease(objects, "v1", { f: "1" });
    await files.pull(workOn("i1", release));
    const archive = join(
      dataDir,
      "cache",
      (release.source as { object: { digest: string } }).object.digest.replace(":", "-"),
      "archive",
    );
    writeFileSync(archive, "damaged");
    await files.pull(workOn("i1", release));
    await files.copy(workOn("i1", release));
    expect(filesBelow(files.places("i1", "v1", null).cwd)).toEqual({ f: "1" });
  });

  test("refuses a release that is larger than the limit before it loads anything", async () => {
    const dataDir = makeTempDir();
    const objects = testObjects();
    const files = releaseFiles(dataDir, objects, { limits: { archiveBytesMax: 50 } });
    const release = artifactRelease(objects, "v1", { f: "1".repeat(100) });
    expect(await codeOf(files.pull(workOn("i1", release)))).toBe("ARCHIVE_TOO_LARGE");
    expect(objects.asked).toEqual([]);
  });

  test("refuses container images by name", async () => {
    const { files } = setUp();
    const release = {
      version: "v1",
      source: { kind: "image" as const, image: "nginx:1" },
      manifest: manifestOf(),
    };
    expect(await codeOf(files.pull(workOn("i1", release)))).toBe("NO_CONTAINER_ENGINE");
  });

  test("tells how far it is", async () => {
    const { objects, files } = setUp();
    objects.chunkBytes = 10;
    const work = workOn("i1", artifactRelease(objects, "v1", { f: "1" }));
    await files.pull(work);
    const percents = work.notes.map(({ percent }) => percent);
    expect(percents).toEqual([...percents].sort((one, other) => one - other));
    expect(percents.some((percent) => percent > 0 && percent < 100)).toBe(true);
    expect(percents.at(-1)).toBe(100);
  });
});

describe("pruning", () => {
  async function withVersions(count: number) {
    const set = setUp();
    for (let version = 1; version <= count; version++)
      await applyRelease(
        set.files,
        workOn("i1", artifactRelease(set.objects, `v${version}`, { f: String(version) })),
      );
    const left = () =>
      Object.keys(filesBelow(join(instanceFolder(set.dataDir, "i1"), "releases"))).map(
        (path) => path.split("/")[0],
      );
    return { ...set, left };
  }

  test("keeps the named releases and the newest, and what is current", async () => {
    const { files, objects, left } = await withVersions(6);
    await applyRelease(files, workOn("i1", artifactRelease(objects, "v2", { f: "2" })));
    await files.prune("i1", ["v1"], 2);
    expect(left().sort()).toEqual(["v1", "v2", "v5", "v6"]);
    await files.prune("i1", [], 0);
    expect(left()).toEqual(["v2"]);
  });

  test("keeps what next points at", async () => {
    const { files, objects, left } = await withVersions(2);
    await files.prepareNext(workOn("i1", artifactRelease(objects, "v1", { f: "1" })));
    await files.prune("i1", [], 0);
    expect(left().sort()).toEqual(["v1", "v2"]);
  });

  test("keeps the cache small without taking what is in use", async () => {
    const { dataDir, files } = await withVersions(6);
    await files.prune("i1", [], 6);
    const cached = new Set(Object.keys(filesBelow(join(dataDir, "cache"))).map((path) => path.split("/")[0]));
    expect(cached.size).toBe(4);
  });

  test("the cache while its releases are wanted harms nobody", async () => {
    const { objects, files } = setUp();
    const versions = Array.from({ length: 8 }, (_, index) =>
      artifactRelease(objects, `v${index}`, { f: `${index}` }),
    );
    const copies = versions.flatMap((release) =>
      ["i1", "i2"].map((instance) => files.copy(workOn(instance, release))),
    );
    const prunes = Array.from({ length: 30 }, () => files.prune("i3", [], 0));
    await Promise.all([...copies, ...prunes]);
    for (const { version } of versions)
      expect(filesBelow(files.places("i2", version, null).cwd)).toEqual({ f: version.slice(1) });
  });

  test("removes old configurations, never the active one", async () => {
    const dataDir = makeTempDir();
    const objects = testObjects();
    const files = releaseFiles(dataDir, objects, { limits: { configsMax: 2 } });
    const release = artifactRelease(objects, "v1", { f: "1" });
    await applyRelease(files, workOn("i1", release, configOf(objects, "c0", "c0")));
    const configs = join(instanceFolder(dataDir, "i1"), "configs");
    for (const [at, name] of ["c0", "c1", "c2", "c3"].entries()) {
      await files.pull(workOn("i1", release, configOf(objects, name, name)));
      utimesSync(join(configs, name), at, at);
    }
    await files.prune("i1", ["v1"], 1);
    expect(Object.keys(filesBelow(configs)).sort()).toEqual(["c0", "c2", "c3"]);
  });

  test("of an instance that never was is no error", async () => {
    const { files } = setUp();
    await files.prune("nobody", ["v1"], 3);
    await files.abandon("nobody");
    await files.withdrawRoutes("nobody");
  });
});

test("a link that leads nowhere is made good", async () => {
  const { dataDir, objects, files } = setUp();
  const work = workOn("i1", artifactRelease(objects, "v1", { f: "1" }));
  await files.copy(work);
  symlinkSync("releases/gone", join(instanceFolder(dataDir, "i1"), "current"));
  await applyRelease(files, work);
  expect(currentOf(dataDir, "i1")).toBe("v1");
  expect(existsSync(join(instanceFolder(dataDir, "i1"), "current", "f"))).toBe(true);
});
