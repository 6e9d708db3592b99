import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createProcesses } from "../../src/agent/adapters/processes.js";
import { createRecordFiles } from "../../src/agent/adapters/record-files.js";
import { messageOf } from "../../src/base/errors.js";
import { quietLog } from "../kit/quiet-log.js";
import { makeTempDir } from "../kit/temp-dir.js";
import {
  applyRelease,
  artifactRelease,
  clock,
  codeOf,
  configOf,
  currentOf,
  filesBelow,
  git,
  hasGit,
  makeRepository,
  manifestOf,
  random,
  releaseFiles,
  testObjects,
  workOn,
} from "./kit.js";

function asRoot(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: "pipe" });
}

/** A file system of this size in memory; `undefined` where this user may not mount one. */
function smallDisk(): string | undefined {
  const folder = makeTempDir();
  try {
    asRoot("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder);
    return folder;
  } catch (thrown) {
    process.stderr.write(
      `tests on a really full disk are left out, crash-points.faults.test.ts plays one: ${messageOf(thrown)}\n`,
    );
    return undefined;
  }
}

const disk = smallDisk();
afterAll(() => {
  if (disk !== undefined) asRoot("umount", "-l", disk);
});

/** Takes all room but so many bytes; returns how to give it back. */
function fill(folder: string, leftBytes: number): () => void {
  const filler = join(folder, "filler");
  const [used = 0] = [
    Number(execFileSync("df", ["--output=avail", "-B1", folder], { encoding: "utf8" }).split("\n")[1]),
  ];
  writeFileSync(filler, Buffer.alloc(Math.max(0, used - leftBytes)));
  return () => rmSync(filler);
}

test.skipIf(disk === undefined)(
  "on a full disk every phase says so, loses nothing, and goes on when there is room",
  async () => {
    const dataDir = join(disk ?? "", "data");
    mkdirSync(dataDir);
    const objects = testObjects();
    const files = releaseFiles(dataDir, objects);
    await applyRelease(
      files,
      workOn("i1", artifactRelease(objects, "v1", { f: "1" }), configOf(objects, "c1", "c")),
    );
    // Bytes that cannot be compressed, so that the archive is as large as its content.
    const noise = Array.from({ length: 60_000 }, () => random.id().slice(0, 4)).join("");
    const work = workOn("i1", artifactRelease(objects, "v2", { noise }));

    let free = fill(disk ?? "", 100_000);
    expect(await codeOf(files.pull(work))).toBe("DISK_FULL");
    expect(readdirSync(join(dataDir, "scratch"))).toEqual([]);
    free();
    await files.pull(work);

    free = fill(disk ?? "", 100_000);
    expect(await codeOf(files.build(work))).toBe("DISK_FULL");
    free();
    await files.build(work);

    free = fill(disk ?? "", 100_000);
    expect(await codeOf(files.copy(work))).toBe("DISK_FULL");
    expect(readdirSync(join(dataDir, "scratch"))).toEqual([]);
    free();
    await files.prepareNext(work);

    free = fill(disk ?? "", 0);
    const port = { instance: "i1", port: 1, routes: [] };
    expect(await codeOf(files.stageRoutes(work, port))).toBe("DISK_FULL");
    expect(await codeOf(files.activate(work))).toBe("DISK_FULL");
    expect(currentOf(dataDir, "i1")).toBe("v1");
    free();
    await files.stageRoutes(work, port);
    await files.activate(work);
    expect(currentOf(dataDir, "i1")).toBe("v2");
    expect(filesBelow(files.places("i1", "v2", null).cwd)).toEqual({ noise });
  },
  60_000,
);

test.skipIf(disk === undefined)("a build that fills the disk is told as a full disk", async () => {
  const dataDir = join(disk ?? "", "build");
  const objects = testObjects();
  const build = { command: "dd if=/dev/zero of=big bs=1M count=10", timeoutMs: 60_000 };
  const release = artifactRelease(objects, "v1", { f: "1" }, { build });
  expect(await codeOf(releaseFiles(dataDir, objects).build(workOn("i1", release)))).toBe("DISK_FULL");
  expect(Object.keys(filesBelow(dataDir)).filter((path) => path.includes("big"))).toEqual([]);
});

test.skipIf(disk === undefined || !hasGit)(
  "a repository that fills the disk is told as a full disk",
  async () => {
    const dataDir = join(disk ?? "", "git");
    const repository = join(makeTempDir(), "repository");
    const noise = Array.from({ length: 1_000_000 }, () => random.id().slice(0, 4)).join("");
    const commit = makeRepository(repository, { noise });
    expect(git(repository, "rev-parse", "HEAD")).toBe(commit);
    const release = {
      version: "v1",
      source: { kind: "git" as const, url: repository, ref: "main", commit },
      manifest: manifestOf(),
    };
    expect(await codeOf(releaseFiles(dataDir, testObjects()).pull(workOn("i1", release)))).toBe("DISK_FULL");
  },
);

test.skipIf(disk === undefined)(
  "a record that finds no room is refused, and the old one is still there",
  async () => {
    const dir = join(disk ?? "", "records");
    const records = createRecordFiles(dir);
    await records.save("k", "one", { old: true });
    const free = fill(disk ?? "", 0);
    expect(await codeOf(records.save("k", "one", { text: "x".repeat(10_000) }))).toBe("DISK_FULL");
    free();
    expect(await records.load("k")).toEqual([{ id: "one", record: { old: true } }]);
    expect(readdirSync(join(dir, "k"))).toEqual(["one.json"]);
  },
);

test.skipIf(disk === undefined)("a service for whose record there is no room is not started", async () => {
  const dataDir = join(disk ?? "", "services");
  mkdirSync(dataDir, { recursive: true });
  const processes = createProcesses({ dataDir, clock, random, log: quietLog });
  const start = { instance: "i1", generation: 1, command: "exec sleep 300", cwd: dataDir, env: {} };
  const free = fill(disk ?? "", 0);
  expect(await codeOf(processes.start(start))).toBe("DISK_FULL");
  free();
  expect(await processes.owned()).toEqual([]);
  const identity = await processes.start(start);
  expect((await processes.owned()).map((one) => one.identity)).toEqual([identity]);
  await processes.stop(identity, { signal: "SIGTERM", graceMs: 5_000 });
  processes.close();
  expect(existsSync(join(dataDir, "processes"))).toBe(true);
});
