import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readJsonFile, writeFileAtomic } from "../../src/base-node/atomic-file.js";
import { lockFolder } from "../../src/base-node/folder-lock.js";
import { findFreePort, isPortFree } from "../../src/base-node/free-port.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "rollcall-files-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("a file written atomically", () => {
  test("replaces the old one whole, has the wanted permissions, and leaves nothing beside it", async () => {
    const path = join(folder, "record.json");
    await writeFileAtomic(path, "old", 0o644);
    await writeFileAtomic(path, '{"a":1}', 0o600);
    expect(await readJsonFile(path)).toEqual({ a: 1 });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(["record.json"]);
  });

  test("that cannot be written leaves nothing behind", async () => {
    await expect(writeFileAtomic(join(folder, "missing", "record.json"), "x")).rejects.toThrow("ENOENT");
    // A folder is in the way: the rename fails, and the temporary file is gone again.
    await expect(writeFileAtomic(folder, "x")).rejects.toThrow();
    expect(
      (await readdir(tmpdir())).filter((name) => name.startsWith(`.${folder.split("/").at(-1)}`)),
    ).toEqual([]);
  });

  test("many at once do not mix", async () => {
    const path = join(folder, "record.json");
    await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        writeFileAtomic(path, JSON.stringify({ n, text: "x".repeat(n * 100) })),
      ),
    );
    expect(await readJsonFile(path)).toMatchObject({ n: expect.any(Number) });
    expect(await readdir(folder)).toEqual(["record.json"]);
  });

  test("reading JSON: a missing file is undefined, a broken one is named", async () => {
    expect(await readJsonFile(join(folder, "none.json"))).toBeUndefined();
    await writeFile(join(folder, "broken.json"), "{");
    await expect(readJsonFile(join(folder, "broken.json"))).rejects.toThrow("broken.json");
  });
});

describe("the lock of a folder", () => {
  test("is refused where no folder can be", async () => {
    await writeFile(join(folder, "file"), "");
    for (const place of ["file", "file/below"])
      await expect(lockFolder(join(folder, place))).rejects.toMatchObject({
        code: "FOLDER_UNUSABLE",
        message: expect.stringMatching(/EEXIST|ENOTDIR/),
      });
  });

  test("is had by one, told by pid to the others, and free after its release", async () => {
    const lock = await lockFolder(join(folder, "data"));
    await expect(lockFolder(join(folder, "data"))).rejects.toMatchObject({
      code: "FOLDER_LOCKED",
      details: { pid: process.pid, folder: join(folder, "data") },
    });
    await lock.release();
    const again = await lockFolder(join(folder, "data"));
    // The first holder's release comes a second time, after another took it: without effect.
    await lock.release();
    await expect(lockFolder(join(folder, "data"))).rejects.toMatchObject({ code: "FOLDER_LOCKED" });
    await again.release();
  });

  test("of a holder that was killed is taken over, by exactly one of many", async () => {
    const script = `
      import { lockFolder } from ${JSON.stringify(new URL("../../src/base-node/folder-lock.ts", import.meta.url).href)};
      await lockFolder(process.argv[1]); console.log("locked"); setInterval(() => {}, 1e6);`;
    const holder = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script, folder], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      await once(holder.stdout, "data");
      await expect(lockFolder(folder)).rejects.toMatchObject({
        code: "FOLDER_LOCKED",
        details: { pid: holder.pid },
      });
    } finally {
      holder.kill("SIGKILL");
      await once(holder, "exit");
    }
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(folder)));
    const won = results.filter((result) => result.status === "fulfilled");
    expect(won).toHaveLength(1);
    const refused = results
      .filter((result) => result.status === "rejected")
      .map((result) => result.reason as { code: string });
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(["FOLDER_LOCKED"]));
    await won[0]?.value.release();
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("that a power cut left empty or torn is free", async () => {
    await writeFile(join(folder, "lock.7"), '{"pid":');
    const lock = await lockFolder(folder);
    expect(await readdir(folder)).toEqual(["lock.8"]);
    expect(JSON.parse(await readFile(join(folder, "lock.8"), "utf8"))).toMatchObject({ pid: process.pid });
    await lock.release();
  });
});

describe("a free port", () => {
  test("is free, and outside the range of outgoing connections", async () => {
    const port = await findFreePort();
    expect(port).toBeLessThan(32_768);
    expect(await isPortFree(port)).toBe(true);
    const server = createServer().listen(port, "127.0.0.1");
    await once(server, "listening");
    expect(await isPortFree(port)).toBe(false);
    server.close();
    await once(server, "close");
  });
});
