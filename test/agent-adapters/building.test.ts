import { existsSync, readdirSync, readFileSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Manifest } from "../../src/contracts/release.js";
import { eventually } from "../kit/eventually.js";
import { makeTempDir } from "../kit/temp-dir.js";
import {
  artifactRelease,
  codeOf,
  filesBelow,
  refusalOf,
  releaseFiles,
  runs,
  testObjects,
  workOn,
} from "./kit.js";

function setUp() {
  const dataDir = makeTempDir();
  const objects = testObjects();
  const files = releaseFiles(dataDir, objects, { limits: { buildLogBytesMax: 200_000 } });
  const release = (
    version: string,
    command: Manifest["start"],
    also: Partial<Manifest> = {},
    timeoutMs = 60_000,
  ) => artifactRelease(objects, version, { "a.txt": "a" }, { build: { command, timeoutMs }, ...also });
  return { dataDir, objects, files, release };
}

/** The one build log below the cache. */
function buildLog(dataDir: string): string {
  const logs = Object.entries(filesBelow(join(dataDir, "cache"))).filter(([path]) =>
    path.endsWith("build.log"),
  );
  expect(logs.length).toBe(1);
  return logs[0]?.[1] ?? "";
}

function treesLeft(dataDir: string): string[] {
  return readdirSync(join(dataDir, "cache"), { recursive: true })
    .map(String)
    .filter((path) => /tree-\w+$/.test(path));
}

describe("a build command", () => {
  test("runs in the unpacked release with a clean environment, and what it makes is part of the release", async () => {
    const { dataDir, files, release } = setUp();
    process.env.ROLLCALL_TEST_SECRET = "hidden";
    const work = workOn(
      "i1",
      release("v1", "cat a.txt > b.txt && env > env.txt && echo done", { env: { GREETING: "hello" } }),
    );
    await files.copy(work);
    delete process.env.ROLLCALL_TEST_SECRET;
    const built = filesBelow(files.places("i1", "v1", null).cwd);
    expect(built["b.txt"]).toBe("a");
    expect(built["env.txt"]).toContain("GREETING=hello");
    expect(built["env.txt"]).toContain("ROLLCALL_RELEASE=v1");
    expect(built["env.txt"]).toContain(`PATH=${process.env.PATH}`);
    expect(built["env.txt"]).not.toContain("ROLLCALL_TEST_SECRET");
    expect(buildLog(dataDir)).toBe("done\n");
  });

  test("may be a program with arguments that no shell looks at", async () => {
    const { files, release } = setUp();
    await files.copy(workOn("i1", release("v1", ["touch", "$HOME; false"])));
    expect(Object.keys(filesBelow(files.places("i1", "v1", null).cwd))).toContain("$HOME; false");
  });

  test("runs once for several instances, and not again for one that comes later", async () => {
    const { dataDir, files, release } = setUp();
    const count = join(dataDir, "count");
    const built = release("v1", `echo built >> ${count}; sleep 0.2`);
    await Promise.all(["i1", "i2", "i3"].map((instance) => files.copy(workOn(instance, built))));
    await files.copy(workOn("i4", built));
    expect(readFileSync(count, "utf8")).toBe("built\n");
  });

  test("that fails is told with how it ended and the last that it printed", async () => {
    const { dataDir, files, release } = setUp();
    const broken = workOn("i1", release("v1", "echo first; echo 'no such module' >&2; exit 7"));
    const refused = await refusalOf(files.build(broken));
    expect(refused.code).toBe("BUILD_FAILED");
    expect(refused.message).toContain("exit code 7");
    expect(refused.message).toContain("no such module");
    expect(treesLeft(dataDir)).toEqual([]);
    expect(buildLog(dataDir)).toBe("first\nno such module\n");
    expect(readFileSync(String(refused.details.log), "utf8")).toBe("first\nno such module\n");
  });

  test("that may not watch any more files has not filled the disk", async () => {
    const { files, release } = setUp();
    const command = "echo 'Error: ENOSPC: System limit for number of file watchers reached'; exit 1";
    expect(await codeOf(files.build(workOn("i1", release("v1", command))))).toBe("BUILD_FAILED");
  });

  test("that does not exist is told so", async () => {
    const { files, release } = setUp();
    const refused = await refusalOf(files.build(workOn("i1", release("v1", ["/no/such/program"]))));
    expect(refused.code).toBe("BUILD_FAILED");
    expect(refused.message).toContain("ENOENT");
  });

  test("that printed megabytes before it failed is told by its last lines, and its log is bounded", async () => {
    const { dataDir, files, release } = setUp();
    const script =
      "for (let i = 0; i < 60000; i++) console.log('line ' + i + ' ' + 'x'.repeat(60)); process.exitCode = 1";
    const refused = await refusalOf(
      files.build(workOn("i1", release("v1", [process.execPath, "-e", script]))),
    );
    expect(refused.code).toBe("BUILD_FAILED");
    const output = String(refused.details.output);
    expect(Buffer.byteLength(output)).toBeLessThanOrEqual(2_048);
    expect(output).toMatch(/^line \d+ x+\n/);
    expect(output).toContain("line 59999 ");
    const log = buildLog(dataDir);
    expect(log.length).toBeLessThan(201_000);
    expect(log).toContain("line 0 ");
    expect(log).toMatch(/--- \d+ bytes left out ---/);
    expect(log).toContain("line 59999 ");
  });

  test("that hangs is ended with all that it started when its time is up", async () => {
    const { dataDir, files, release } = setUp();
    const pids = join(dataDir, "pids");
    const command = `trap '' TERM; echo $$ >> ${pids}; sh -c 'trap "" TERM; echo $$ >> ${pids}; sleep 300' & echo waiting; wait; wait`;
    const refused = await refusalOf(files.build(workOn("i1", release("v1", command, {}, 500))));
    expect(refused.code).toBe("BUILD_TIMEOUT");
    expect(refused.message).toContain("waiting");
    const started = readFileSync(pids, "utf8").trim().split("\n").map(Number);
    expect(started.length).toBe(2);
    expect(started.filter(runs)).toEqual([]);
  });

  test("leaves nothing running behind when it ends well, not even what left its group", async () => {
    const { dataDir, files, release } = setUp();
    const pids = join(dataDir, "pids");
    const command = `sleep 300 & echo $! >> ${pids}; setsid sh -c 'echo $$ >> ${pids}; exec sleep 300' & sleep 0.3; true`;
    await files.build(workOn("i1", release("v1", command)));
    const started = readFileSync(pids, "utf8").trim().split("\n").map(Number);
    expect(started.length).toBe(2);
    expect(started.filter(runs)).toEqual([]);
  });

  test("is ended promptly when the work is cancelled", async () => {
    const { dataDir, files, release } = setUp();
    const pid = join(dataDir, "pid");
    const work = workOn("i1", release("v1", `echo $$ > ${pid}; sleep 300; true`));
    const building = codeOf(files.build(work));
    const started = Number(await eventually(() => existsSync(pid) && readFileSync(pid, "utf8").trim()));
    const sinceMs = performance.now();
    work.abort.abort();
    expect(await building).toBe("CANCELLED");
    expect(performance.now() - sinceMs).toBeLessThan(5_000);
    expect(runs(started)).toBe(false);
    expect(treesLeft(dataDir)).toEqual([]);
  });

  test("is not run on an unsafe archive", async () => {
    const { dataDir, objects, files } = setUp();
    const release = artifactRelease(
      objects,
      "v1",
      { "../evil": "x" },
      { build: { command: "touch ran", timeoutMs: 1_000 } },
    );
    expect(await codeOf(files.build(workOn("i1", release)))).toBe("UNSAFE_ARCHIVE");
    expect(Object.keys(filesBelow(dataDir)).filter((path) => /evil|ran$/.test(path))).toEqual([]);
  });

  test("that makes more files than the limit fails the release, not the disk", async () => {
    const dataDir = makeTempDir();
    const objects = testObjects();
    const files = releaseFiles(dataDir, objects, { limits: { builtEntriesMax: 10 } });
    const command = "for n in 1 2 3 4 5 6 7 8 9 10 11; do : > f$n; done";
    const release = artifactRelease(objects, "v1", { a: "" }, { build: { command, timeoutMs: 5_000 } });
    expect(await codeOf(files.build(workOn("i1", release)))).toBe("ARCHIVE_TOO_LARGE");
  });

  test("whose files somebody took from the cache runs again", async () => {
    const { dataDir, files, release } = setUp();
    const one = release("v1", "cp a.txt b.txt");
    await files.build(workOn("i1", one));
    const [tree] = treesLeft(dataDir);
    truncateSync(join(dataDir, "cache", tree ?? "", "b.txt"), 0);
    await files.copy(workOn("i1", one));
    expect(filesBelow(files.places("i1", "v1", null).cwd)).toEqual({ "a.txt": "a", "b.txt": "a" });
  });

  test("keeps the executable bit of what it makes", async () => {
    const { files, release } = setUp();
    await files.copy(workOn("i1", release("v1", "echo '#!/bin/sh' > run; chmod 755 run")));
    expect(statSync(join(files.places("i1", "v1", null).cwd, "run")).mode & 0o100).toBe(0o100);
  });

  test("shows what it is doing", async () => {
    const { files, release } = setUp();
    const work = workOn("i1", release("v1", "echo compiling; sleep 0.4; echo linking; sleep 0.4"));
    await files.build(work);
    expect(work.notes.map(({ note }) => note)).toContain("linking");
  });
});
