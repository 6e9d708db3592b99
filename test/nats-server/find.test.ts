import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Log } from "../../src/base/ports.js";
import { isNewEnough } from "../../src/contracts/nats-version.js";
import { cacheFolders, firstWritable } from "../../src/nats-server/cache-folder.js";
import { findNatsServer } from "../../src/nats-server/find.js";
import { quietLog } from "../kit/quiet-log.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "rollcall-find-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A program that says that it is a nats-server of this version. */
async function fake(path: string, version: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\necho "nats-server: v${version}"\n`);
  await chmod(path, 0o755);
  return path;
}

function find(env: Record<string, string>, log: Log = quietLog) {
  return findNatsServer({
    env: { PATH: "/nowhere", ...env },
    dataDir: join(folder, "data"),
    fetch: false,
    log,
  });
}

describe("the server that is used", () => {
  test("is the one that NATS_SERVER_BIN names, then one on the PATH, then the one fetched before", async () => {
    const named = await fake(join(folder, "named/my-nats"), "2.15.1");
    const onPath = await fake(join(folder, "path/nats-server"), "2.14.0");
    const cached = await fake(join(folder, "home/.cache/rollcall/bin/nats-server"), "2.12.3-beta.1");
    const env = {
      NATS_SERVER_BIN: named,
      PATH: `/nowhere:${join(folder, "path")}`,
      HOME: join(folder, "home"),
    };
    expect(await find(env)).toEqual({ path: named, version: "2.15.1", foundBy: "environment" });
    expect(await find({ ...env, NATS_SERVER_BIN: "" })).toEqual({
      path: onPath,
      version: "2.14.0",
      foundBy: "path",
    });
    expect(await find({ HOME: env.HOME })).toEqual({
      path: cached,
      version: "2.12.3-beta.1",
      foundBy: "cache",
    });
  });

  test("is one in any of the cache folders", async () => {
    for (const [where, env] of [
      ["own/bin", { ROLLCALL_NATS_DIR: join(folder, "own") }],
      ["xdg/rollcall/bin", { XDG_CACHE_HOME: join(folder, "xdg") }],
      ["data/nats-server/bin", { HOME: "/nonexistent" }],
    ] as const) {
      const path = await fake(join(folder, where, "nats-server"), "2.15.1");
      expect(await find(env)).toEqual({ path, version: "2.15.1", foundBy: "cache" });
      await rm(path);
    }
  });

  test("is never one older than 2.12: it is passed over, and named when there is no other", async () => {
    const old = await fake(join(folder, "old/nats-server"), "2.11.9");
    const env = { PATH: join(folder, "old") };
    await expect(find(env)).rejects.toMatchObject({
      code: "NATS_TOO_OLD",
      details: { version: "2.11.9", where: old },
      message: expect.stringMatching(/2\.11\.9.*2\.12/),
    });
    const cached = await fake(join(folder, "home/.cache/rollcall/bin/nats-server"), "2.12.0");
    expect(await find({ ...env, HOME: join(folder, "home") })).toMatchObject({ path: cached });
    expect(["2.9.10", "2.11.99", "1.4.1", "?", "2.12.0", "2.15.1", "v3.0.0"].map(isNewEnough)).toEqual([
      false,
      false,
      false,
      false,
      true,
      true,
      true,
    ]);
  });

  test("is not one that cannot be run or is something else: it is passed over, and the log says why", async () => {
    const broken = join(folder, "broken");
    await mkdir(join(folder, "path"));
    await writeFile(broken, "no program");
    await chmod(broken, 0o755);
    await writeFile(join(folder, "path/nats-server"), "#!/bin/sh\necho hello\n");
    await chmod(join(folder, "path/nats-server"), 0o755);
    const warned: object[] = [];
    const log: Log = { ...quietLog, warn: (facts) => warned.push(facts) };
    const env = { NATS_SERVER_BIN: broken, PATH: join(folder, "path") };
    await expect(find(env, log)).rejects.toMatchObject({ code: "NATS_NOT_FOUND" });
    expect(warned).toMatchObject([
      { path: broken, foundBy: "environment" },
      { path: join(folder, "path/nats-server"), foundBy: "path", problem: expect.stringContaining("hello") },
    ]);
  });
});

describe("the folder for a fetched server", () => {
  test("is the first that can be written: a user without a home has the data folder", async () => {
    const dataDir = join(folder, "data");
    await writeFile(join(folder, "file"), "");
    const folders = cacheFolders({ HOME: join(folder, "file") }, dataDir);
    expect(folders).toEqual([join(folder, "file/.cache/rollcall"), join(dataDir, "nats-server")]);
    expect(await firstWritable(folders)).toBe(join(dataDir, "nats-server"));
    expect((await stat(join(dataDir, "nats-server"))).isDirectory()).toBe(true);
    await expect(firstWritable([join(folder, "file/x")])).rejects.toThrow(
      /no folder can be written.*file\/x/,
    );
  });
});
