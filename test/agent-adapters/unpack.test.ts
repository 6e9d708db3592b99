import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { whyUnsafe } from "../../src/agent/adapters/archive-entry.js";
import { unpackArchive } from "../../src/agent/adapters/unpack.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { codeOf, filesBelow, type RawEntry, refusalOf, tarOf } from "./kit.js";

const bounds = { bytesMax: 1_000_000, entriesMax: 100 };

function place(bytes: Buffer): { archive: string; into: string; outside: string } {
  const folder = makeTempDir();
  const archive = join(folder, "archive");
  const into = join(folder, "deep", "into");
  mkdirSync(into, { recursive: true });
  writeFileSync(archive, bytes);
  return { archive, into, outside: folder };
}

async function unpackRaw(entries: readonly RawEntry[]) {
  const { archive, into, outside } = place(gzipSync(tarOf(entries)));
  return { refused: await refusalOf(unpackArchive(archive, into, bounds)), into, outside };
}

test("an entry may not be more folders deep than any real release", () => {
  expect(whyUnsafe({ type: "File", path: `${"d/".repeat(255)}f` })).toBeUndefined();
  expect(whyUnsafe({ type: "File", path: `${"d/".repeat(300)}f` })).toMatch(/folders deep/);
});

describe("an archive", () => {
  test.each(["plain", "compressed"])(
    "is unpacked with its folders, links and executable bits (%s)",
    async (how) => {
      const tar = tarOf([
        { path: "./", type: "Directory", mode: 0o755 },
        { path: "bin/", type: "Directory", mode: 0o755 },
        { path: "bin/run", content: "run\n", mode: 0o755 },
        { path: "a.txt", content: "a" },
        { path: "lib/b", type: "SymbolicLink", linkpath: "../a.txt" },
        { path: "hard", type: "Link", linkpath: "a.txt" },
      ]);
      const { archive, into } = place(how === "plain" ? tar : gzipSync(tar));
      const tree = await unpackArchive(archive, into, bounds);
      expect(tree).toEqual([
        ["a.txt", "f", 1],
        ["bin", "d", 0],
        ["bin/run", "f", 4],
        ["hard", "f", 1],
        ["lib", "d", 0],
        ["lib/b", "l", 0],
      ]);
      expect(readFileSync(join(into, "lib/b"), "utf8")).toBe("a");
      expect(statSync(join(into, "bin/run")).mode & 0o111).toBe(0o111);
    },
  );

  test("loses its setuid, setgid and sticky bits and its foreign owners", async () => {
    const { archive, into } = place(
      tarOf([
        { path: "su", content: "x", mode: 0o7755 },
        { path: "d/", type: "Directory", mode: 0o7777 },
      ]),
    );
    await unpackArchive(archive, into, bounds);
    expect(statSync(join(into, "su")).mode & 0o7000).toBe(0);
    expect(statSync(join(into, "d")).mode & 0o7000).toBe(0);
    expect(statSync(join(into, "su")).uid).toBe(process.getuid?.());
  });

  test.each<[string, RawEntry[], RegExp]>([
    ["a path that climbs out", [{ path: "../evil", content: "x" }], /contains \.\./],
    ["a path that climbs out further inside", [{ path: "a/../../evil", content: "x" }], /contains \.\./],
    ["a path with backslashes that climbs out", [{ path: "a\\..\\..\\evil", content: "x" }], /contains \.\./],
    ["an absolute path", [{ path: "/tmp/rollcall-evil", content: "x" }], /absolute/],
    ["a Windows path", [{ path: "C:/evil", content: "x" }], /absolute/],
    [
      "a symbolic link out",
      [{ path: "out", type: "SymbolicLink", linkpath: "../.." }],
      /symbolic link that leads out/,
    ],
    ["an absolute symbolic link", [{ path: "etc", type: "SymbolicLink", linkpath: "/etc" }], /absolute path/],
    [
      "a symbolic link out and a file through it",
      [
        { path: "out", type: "SymbolicLink", linkpath: "../.." },
        { path: "out/evil", content: "x" },
      ],
      /symbolic link that leads out/,
    ],
    [
      "a hard link out",
      [{ path: "passwd", type: "Link", linkpath: "../../etc/passwd" }],
      /hard link that leads out/,
    ],
    [
      "an absolute hard link",
      [{ path: "passwd", type: "Link", linkpath: "/etc/passwd" }],
      /hard link to an absolute/,
    ],
    ["a character device", [{ path: "null", type: "CharacterDevice" }], /a device/],
    ["a block device", [{ path: "disk", type: "BlockDevice" }], /a device/],
    ["a named pipe", [{ path: "pipe", type: "FIFO" }], /named pipe/],
    ["a type that nobody knows", [{ path: "odd", type: "SparseFile", content: "x" }], /unknown type/],
  ])("with %s is refused by name, and nothing is written outside", async (_, entries, why) => {
    const { refused, outside } = await unpackRaw([{ path: "good", content: "good" }, ...entries]);
    expect(refused.code).toBe("UNSAFE_ARCHIVE");
    expect(refused.details.why).toMatch(why);
    expect(Object.keys(filesBelow(outside)).filter((path) => path.includes("evil"))).toEqual([]);
  });

  test("whose links lead out only together is refused", async () => {
    // The text of `z` stays inside, but `x/y` is the root, so `x/y/..` is above it.
    const { refused } = await unpackRaw([
      { path: "x/", type: "Directory" },
      { path: "x/y", type: "SymbolicLink", linkpath: ".." },
      { path: "z", type: "SymbolicLink", linkpath: "x/y/.." },
    ]);
    expect(refused.code).toBe("UNSAFE_ARCHIVE");
    expect(refused.details.entry).toBe("z");
  });

  test.each<[string, RawEntry]>([
    ["a file", { path: "l/f", content: "x" }],
    ["a link", { path: "l/f", type: "SymbolicLink", linkpath: "g" }],
  ])("that has %s below a link of its own is refused", async (_, below) => {
    const { refused, into } = await unpackRaw([
      { path: "d/", type: "Directory" },
      { path: "l", type: "SymbolicLink", linkpath: "d" },
      below,
    ]);
    expect(refused.code).toBe("UNSAFE_ARCHIVE");
    expect(Object.keys(filesBelow(into)).filter((path) => path.startsWith("d/"))).toEqual([]);
  });

  test("may have links to links, in any order", async () => {
    const { archive, into } = place(
      tarOf([
        { path: "packages/a/bin.js", content: "a" },
        { path: "lib.so.1", type: "SymbolicLink", linkpath: "lib.so.1.2" },
        { path: "lib.so", type: "SymbolicLink", linkpath: "lib.so.1" },
        { path: "node_modules/a", type: "SymbolicLink", linkpath: "../packages/a" },
        { path: "node_modules/.bin/a", type: "SymbolicLink", linkpath: "../a/bin.js" },
        { path: "lib.so.1.2", content: "so" },
      ]),
    );
    await unpackArchive(archive, into, bounds);
    expect(readFileSync(join(into, "lib.so"), "utf8")).toBe("so");
    expect(readFileSync(join(into, "node_modules/.bin/a"), "utf8")).toBe("a");
  });

  test("with several entries of one name has the last one", async () => {
    const { archive, into } = place(
      tarOf([
        { path: "one", type: "SymbolicLink", linkpath: "other" },
        { path: "two", content: "first" },
        { path: "./one", content: "last" },
        { path: "two", type: "SymbolicLink", linkpath: "one" },
      ]),
    );
    await unpackArchive(archive, into, bounds);
    expect(readFileSync(join(into, "two"), "utf8")).toBe("last");
  });

  test("with links in a ring is refused", async () => {
    const { refused } = await unpackRaw([
      { path: "a", type: "SymbolicLink", linkpath: "b" },
      { path: "b", type: "SymbolicLink", linkpath: "a" },
    ]);
    expect(refused.code).toBe("UNSAFE_ARCHIVE");
  });

  test("with a name of control characters is refused in printable words", async () => {
    const { refused } = await unpackRaw([{ path: "../\u001b[2Jevil\u0007", content: "x" }]);
    expect(refused.message).not.toMatch(/\p{Cc}/u);
  });

  test("that unpacks to more than the limit is stopped on the way", async () => {
    const bomb = gzipSync(tarOf([{ path: "zeros", content: Buffer.alloc(50_000_000) }]));
    expect(bomb.length).toBeLessThan(100_000);
    const { archive, into } = place(bomb);
    expect(await codeOf(unpackArchive(archive, into, bounds))).toBe("ARCHIVE_TOO_LARGE");
    expect(statSync(into).isDirectory()).toBe(true);
    const written = Object.values(filesBelow(into)).join("").length;
    expect(written).toBeLessThanOrEqual(bounds.bytesMax + 1_000_000);
  });

  test("whose bulk stands behind its end is counted all the same", async () => {
    const { archive, into } = place(
      gzipSync(Buffer.concat([tarOf([{ path: "a", content: "a" }]), Buffer.alloc(5_000_000)])),
    );
    expect(await codeOf(unpackArchive(archive, into, bounds))).toBe("ARCHIVE_TOO_LARGE");
  });

  test("of too many entries is refused", async () => {
    const many = Array.from({ length: 101 }, (_, index) => ({ path: `f${index}` }));
    expect((await unpackRaw(many)).refused.code).toBe("ARCHIVE_TOO_LARGE");
  });

  test("that is compressed twice is refused before the second decompression", async () => {
    const { archive, into } = place(gzipSync(gzipSync(tarOf([{ path: "a" }]))));
    expect(await codeOf(unpackArchive(archive, into, bounds))).toBe("BAD_SOURCE");
  });

  test.each<[string, Buffer]>([
    ["nothing", Buffer.alloc(0)],
    ["text", Buffer.from("this is no archive\n".repeat(100))],
    [
      "half a compressed archive",
      gzipSync(tarOf([{ path: "a", content: Buffer.alloc(9_000, "abc") }])).subarray(0, 60),
    ],
    [
      "an archive cut in a file",
      tarOf([{ path: "a", content: Buffer.alloc(9_000, "x") }]).subarray(0, 2_000),
    ],
    ["a header with a wrong checksum", Buffer.from(tarOf([{ path: "a", content: "x" }])).fill(0x41, 0, 3)],
  ])("that is %s is no release", async (_, bytes) => {
    const { archive, into } = place(bytes);
    expect(await codeOf(unpackArchive(archive, into, bounds))).toBe("BAD_SOURCE");
  });

  test("is not unpacked any further once that is cancelled", async () => {
    const { archive, into } = place(gzipSync(tarOf([{ path: "a", content: Buffer.alloc(900_000, "x") }])));
    const abort = new AbortController();
    const unpacked = unpackArchive(archive, into, {
      ...bounds,
      signal: abort.signal,
      progress: () => abort.abort(),
    });
    expect(await codeOf(unpacked)).toBe("CANCELLED");
  });

  test("does not touch what a link in the target folder points at", async () => {
    const { archive, into, outside } = place(tarOf([{ path: "link/f", content: "x" }]));
    symlinkSync(outside, join(into, "link"));
    expect(await codeOf(unpackArchive(archive, into, bounds))).toBe("BAD_SOURCE");
  });
});
