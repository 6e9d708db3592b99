import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Manifest } from "../../src/contracts/release.js";
import { eventually } from "../kit/eventually.js";
import { makeTempDir } from "../kit/temp-dir.js";
import {
  applyRelease,
  artifactRelease,
  codeOf,
  currentOf,
  filesBelow,
  instanceFolder,
  refusalOf,
  releaseFiles,
  routesOf,
  testObjects,
  workOn,
} from "./kit.js";

/** A reload command that notes what it was given, and fails while there is a file `broken`. */
function setUp() {
  const dataDir = makeTempDir();
  const objects = testObjects();
  const reloads = join(dataDir, "reloads");
  const reloadCommand = `cat "$ROLLCALL_ROUTES_FILE" | tr -d ' \\n' >> reloads; echo >> reloads; echo 'proxy says no'; test ! -e broken`;
  const files = () => releaseFiles(dataDir, objects, { reloadCommand });
  const release = (version: string, routes: Manifest["routes"] = [{ path: `/${version}` }]) =>
    artifactRelease(objects, version, { f: version }, { routes });
  const breakReload = () => writeFileSync(join(dataDir, "broken"), "");
  const mendReload = () => rmSync(join(dataDir, "broken"));
  const seen = (): unknown[] =>
    existsSync(reloads)
      ? readFileSync(reloads, "utf8")
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line).routes)
      : [];
  return { dataDir, objects, files: files(), again: files, release, breakReload, mendReload, seen };
}

test("the routes of all instances are in one file, which is read after each change of it", async () => {
  const { dataDir, files, release, seen } = setUp();
  await applyRelease(files, workOn("i2", release("v1", [{ path: "/", host: "b.example" }])), 8_002);
  await applyRelease(files, workOn("i1", release("v1", [{ path: "/a" }])), 8_001);
  expect(routesOf(dataDir)).toEqual([
    { path: "/a", instance: "i1", target: "http://127.0.0.1:8001" },
    { host: "b.example", path: "/", instance: "i2", target: "http://127.0.0.1:8002" },
  ]);
  expect(seen().length).toBe(2);
  expect(seen().at(-1)).toEqual(routesOf(dataDir));
});

test("staged routes are not published before the release is active", async () => {
  const { dataDir, files, release, seen } = setUp();
  await applyRelease(files, workOn("i1", release("v1")), 8_001);
  const work = workOn("i1", release("v2"));
  await files.prepareNext(work);
  await files.stageRoutes(work, { instance: "i1", port: 8_002, routes: work.release.manifest.routes });
  expect(routesOf(dataDir).map(({ path }) => path)).toEqual(["/v1"]);
  await files.activate(work);
  expect(routesOf(dataDir)).toEqual([{ path: "/v2", instance: "i1", target: "http://127.0.0.1:8002" }]);
  expect(seen().length).toBe(2);
});

test("activating again changes nothing and reloads nothing", async () => {
  const { dataDir, files, again, release, seen } = setUp();
  const work = workOn("i1", release("v1"));
  await applyRelease(files, work);
  await files.activate(work);
  await again().activate(work);
  expect(seen().length).toBe(1);
  expect(routesOf(dataDir).length).toBe(1);
});

test("an instance without routes reloads nothing", async () => {
  const { dataDir, files, release, seen } = setUp();
  await applyRelease(files, workOn("i1", release("v1", [])));
  expect(seen()).toEqual([]);
  expect(currentOf(dataDir, "i1")).toBe("v1");
});

test("a reload that fails leaves current and routes as they were, and reads the old routes again", async () => {
  const { dataDir, files, release, breakReload, mendReload, seen } = setUp();
  await applyRelease(files, workOn("i1", release("v1")), 8_001);
  const before = readFileSync(join(dataDir, "routes.json"), "utf8");
  breakReload();
  const work = workOn("i1", release("v2"));
  const refused = await refusalOf(applyRelease(files, work, 8_002));
  expect(refused.code).toBe("RELOAD_FAILED");
  expect(refused.message).toContain("exit code 1");
  expect(refused.message).toContain("proxy says no");
  expect(currentOf(dataDir, "i1")).toBe("v1");
  expect(readFileSync(join(dataDir, "routes.json"), "utf8")).toBe(before);
  expect(seen().at(-1)).toEqual(routesOf(dataDir));
  mendReload();
  await files.activate(work);
  expect(currentOf(dataDir, "i1")).toBe("v2");
  expect(routesOf(dataDir).map(({ path }) => path)).toEqual(["/v2"]);
});

test("a first release whose reload fails leaves no current and no routes", async () => {
  const { dataDir, files, release, breakReload } = setUp();
  breakReload();
  expect(await codeOf(applyRelease(files, workOn("i1", release("v1"))))).toBe("RELOAD_FAILED");
  expect(currentOf(dataDir, "i1")).toBeUndefined();
  expect(routesOf(dataDir)).toEqual([]);
});

test("a reload that was missed is made up for with the next change, by another run of the agent too", async () => {
  const { dataDir, files, again, release, breakReload, mendReload, seen } = setUp();
  await applyRelease(files, workOn("i1", release("v1")), 8_001);
  breakReload();
  expect(await codeOf(files.withdrawRoutes("i1"))).toBe("RELOAD_FAILED");
  expect(routesOf(dataDir)).toEqual([]);
  mendReload();
  await again().withdrawRoutes("i1");
  expect(seen().at(-1)).toEqual([]);
  const count = seen().length;
  await again().withdrawRoutes("i1");
  expect(seen().length).toBe(count);
});

test("withdrawn routes come back when the instance is activated again", async () => {
  const { dataDir, files, release } = setUp();
  const work = workOn("i1", release("v1"));
  await applyRelease(files, work);
  await files.withdrawRoutes("i1");
  expect(routesOf(dataDir)).toEqual([]);
  expect(currentOf(dataDir, "i1")).toBe("v1");
  await applyRelease(files, work, 9_000);
  expect(routesOf(dataDir).map(({ target }) => target)).toEqual(["http://127.0.0.1:9000"]);
});

test("routes that were staged for another release are never published", async () => {
  const { dataDir, files, release } = setUp();
  const old = workOn("i1", release("v1"));
  await files.prepareNext(old);
  await files.stageRoutes(old, { instance: "i1", port: 1, routes: old.release.manifest.routes });
  const work = workOn("i1", release("v2"));
  await files.prepareNext(work);
  await files.activate(work);
  expect(currentOf(dataDir, "i1")).toBe("v2");
  expect(routesOf(dataDir)).toEqual([]);
});

test("instances that become active at the same time lose none of their routes", async () => {
  const { dataDir, files, release, seen } = setUp();
  const instances = Array.from({ length: 8 }, (_, index) => `i${index}`);
  await Promise.all(
    instances.map((instance, index) => applyRelease(files, workOn(instance, release("v1")), 8_000 + index)),
  );
  expect(routesOf(dataDir).map(({ instance }) => instance)).toEqual(instances);
  expect(seen().at(-1)).toEqual(routesOf(dataDir));
});

test("a reload that hangs is ended when its time is up", async () => {
  const dataDir = makeTempDir();
  const objects = testObjects();
  const files = releaseFiles(dataDir, objects, {
    reloadCommand: "sleep 300",
    limits: { reloadTimeoutMs: 200 },
  });
  const refused = await refusalOf(
    applyRelease(
      files,
      workOn("i1", artifactRelease(objects, "v1", { f: "1" }, { routes: [{ path: "/" }] })),
    ),
  );
  expect(refused.code).toBe("RELOAD_FAILED");
  expect(refused.message).toContain("timeout");
});

test("a reload may start something that goes on", async () => {
  const dataDir = makeTempDir();
  const objects = testObjects();
  const pid = join(dataDir, "pid");
  const files = releaseFiles(dataDir, objects, {
    reloadCommand: `setsid sh -c 'echo $$ > ${pid}; exec sleep 300' > /dev/null 2>&1 < /dev/null & sleep 0.3`,
  });
  await applyRelease(
    files,
    workOn("i1", artifactRelease(objects, "v1", { f: "1" }, { routes: [{ path: "/" }] })),
  );
  const started = Number(readFileSync(pid, "utf8"));
  expect(process.kill(started, 0)).toBe(true);
  process.kill(started, "SIGKILL");
});

test("an activation that is cancelled while it reloads is undone", async () => {
  const dataDir = makeTempDir();
  const objects = testObjects();
  const reloading = join(dataDir, "reloading");
  const files = releaseFiles(dataDir, objects, {
    reloadCommand: `grep -q v2 routes.json || exit 0; touch ${reloading}; sleep 300`,
  });
  const release = (version: string) =>
    artifactRelease(objects, version, { f: version }, { routes: [{ path: `/${version}` }] });
  await applyRelease(files, workOn("i1", release("v1")));
  const work = workOn("i1", release("v2"));
  const applied = codeOf(applyRelease(files, work));
  await eventually(() => existsSync(reloading));
  work.abort.abort();
  expect(await applied).toBe("CANCELLED");
  expect(currentOf(dataDir, "i1")).toBe("v1");
  expect(routesOf(dataDir).map(({ path }) => path)).toEqual(["/v1"]);
});

test("the routes file may be somewhere else", async () => {
  const dataDir = makeTempDir();
  const objects = testObjects();
  const routesFile = join(makeTempDir(), "proxy", "routes.json");
  mkdirSync(join(routesFile, ".."));
  const files = releaseFiles(dataDir, objects, { routesFile });
  await applyRelease(
    files,
    workOn("i1", artifactRelease(objects, "v1", { f: "1" }, { routes: [{ path: "/" }] })),
  );
  expect(JSON.parse(readFileSync(routesFile, "utf8")).routes.length).toBe(1);
});

test("a routes file that somebody has changed or removed is put right with the next change", async () => {
  const { dataDir, files, release } = setUp();
  await applyRelease(files, workOn("i1", release("v1")), 1);
  await applyRelease(files, workOn("i2", release("v1")), 2);
  appendFileSync(join(dataDir, "routes.json"), "rubbish");
  await files.withdrawRoutes("i2");
  expect(routesOf(dataDir).map(({ instance }) => instance)).toEqual(["i1"]);
  rmSync(join(dataDir, "routes.json"));
  await applyRelease(files, workOn("i2", release("v1")), 2);
  expect(routesOf(dataDir).map(({ instance }) => instance)).toEqual(["i1", "i2"]);
});

test("a damaged file of the agent's own is named", async () => {
  const { dataDir, files, release } = setUp();
  await applyRelease(files, workOn("i1", release("v1")));
  const path = join(instanceFolder(dataDir, "i1"), "published.json");
  writeFileSync(path, "{");
  const refused = await refusalOf(files.withdrawRoutes("i1"));
  expect(refused.code).toBe("RECORD_CORRUPT");
  expect(refused.message).toContain(path);
  expect(filesBelow(instanceFolder(dataDir, "i1"))["published.json"]).toBe("{");
});

describe("what is active is put right", () => {
  const active = (port: number, version = "v1") => ({
    release: version,
    config: null,
    port,
    routes: [{ path: `/${version}` }],
  });

  test("where the link or the routes are lost, torn or lead to another port", async () => {
    const { dataDir, files, release, again, seen } = setUp();
    await applyRelease(files, workOn("i1", release("v1")), 8_001);
    const folder = instanceFolder(dataDir, "i1");
    await again().restore("i1", active(8_001));
    expect(seen()).toHaveLength(1);
    rmSync(join(folder, "current"));
    symlinkSync("releases/gone", join(folder, "current"));
    writeFileSync(join(folder, "published.json"), '{"format":');
    writeFileSync(join(dataDir, "routes.json"), "");
    await again().restore("i1", active(8_001));
    const routes = (port: number) => [{ path: "/v1", instance: "i1", target: `http://127.0.0.1:${port}` }];
    expect([currentOf(dataDir, "i1"), routesOf(dataDir)]).toEqual(["v1", routes(8_001)]);
    await again().restore("i1", active(8_005));
    expect(routesOf(dataDir)).toEqual(routes(8_005));
    expect(seen().at(-1)).toEqual(routes(8_005));
  });

  test("after an activation that was interrupted", async () => {
    const { dataDir, files, release, again } = setUp();
    await applyRelease(files, workOn("i1", release("v1")), 8_001);
    await applyRelease(files, workOn("i1", release("v2")), 8_002);
    const before = { release: "v1", published: null };
    writeFileSync(
      join(instanceFolder(dataDir, "i1"), "activation.json"),
      JSON.stringify({ format: 1, before }),
    );
    await again().restore("i1", active(8_001));
    expect([currentOf(dataDir, "i1"), routesOf(dataDir)[0]?.path]).toEqual(["v1", "/v1"]);
    await again().abandon("i1");
    expect([currentOf(dataDir, "i1"), routesOf(dataDir)[0]?.path]).toEqual(["v1", "/v1"]);
  });
});
