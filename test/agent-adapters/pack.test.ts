import { chmodSync, linkSync, mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { ignoreRules } from "../../src/agent/adapters/ignore-rules.js";
import { type PackedRelease, type PackOptions, packRelease } from "../../src/agent/adapters/pack.js";
import { makeTempDir } from "../kit/temp-dir.js";
import {
  applyRelease,
  clock,
  codeOf,
  commitFiles,
  digestOf,
  filesBelow,
  git,
  hasGit,
  makeRepository,
  random,
  refusalOf,
  releaseFiles,
  tarOf,
  testObjects,
  workOn,
  writeFiles,
} from "./kit.js";

const manifest = JSON.stringify({
  start: "node server.js",
  healthCheck: { type: "http" },
  build: { command: "true" },
});
const files = { "rollcall.json": manifest, "server.js": "serve", "lib/a.js": "a" };
const opened: PackedRelease[] = [];

afterEach(async () => {
  for (const packed of opened.splice(0)) await packed.close();
});

async function pack(source: string, also: Partial<PackOptions> = {}): Promise<PackedRelease> {
  const packed = await packRelease(source, { clock, random, ...also });
  opened.push(packed);
  return packed;
}

function folderOf(content: Readonly<Record<string, string>>): string {
  const folder = makeTempDir();
  writeFiles(folder, content);
  return folder;
}

function fileOf(bytes: Buffer): string {
  const path = join(makeTempDir(), "release.tgz");
  writeFileSync(path, bytes);
  return path;
}

const archive = (content: Readonly<Record<string, string>>) =>
  gzipSync(tarOf(Object.entries(content).map(([path, text]) => ({ path, content: text }))));

async function bytesOf({ source }: PackedRelease): Promise<Buffer> {
  if (source.kind !== "artifact") throw new Error("it has no bytes");
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.chunks()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function digestOfFolder(folder: string): Promise<string> {
  const { source } = await pack(folder);
  return source.kind === "artifact" ? source.digest : "";
}

describe("a directory", () => {
  test("is packed with its manifest, and an agent gets the same files out", async () => {
    const folder = folderOf({ ...files, "node_modules/dep/index.js": "dep", ".env": "A=1" });
    chmodSync(join(folder, "server.js"), 0o755);
    symlinkSync("../server.js", join(folder, "lib", "link.js"));
    const packed = await pack(folder);
    expect(packed.manifest).toMatchObject({ start: "node server.js", minHealthyMs: 10_000 });
    const bytes = await bytesOf(packed);
    expect(packed.source).toMatchObject({
      kind: "artifact",
      digest: digestOf(bytes),
      sizeBytes: bytes.length,
    });
    expect(await bytesOf(packed)).toEqual(bytes);

    const objects = testObjects();
    const object = objects.add("r", bytes);
    const agent = releaseFiles(makeTempDir(), objects);
    await applyRelease(
      agent,
      workOn("i1", { version: "v1", source: { kind: "artifact", object }, manifest: packed.manifest }),
    );
    expect(filesBelow(agent.places("i1", "v1", null).cwd)).toEqual(filesBelow(folder));
  });

  test("of the same content has the same digest, whatever its times, owners and order of making", async () => {
    const one = folderOf(files);
    const other = folderOf(Object.fromEntries(Object.entries(files).reverse()));
    utimesSync(join(other, "server.js"), 1, 1);
    chmodSync(join(other, "server.js"), 0o600);
    linkSync(join(other, "lib", "a.js"), join(makeTempDir(), "second-name"));
    expect(await digestOfFolder(other)).toBe(await digestOfFolder(one));
    const linked = folderOf(files);
    linkSync(join(linked, "lib", "a.js"), join(linked, "lib", "b.js"));
    expect(await digestOfFolder(linked)).toBe(await digestOfFolder(folderOf({ ...files, "lib/b.js": "a" })));
  });

  test.each<[string, (folder: string) => void]>([
    ["content", (folder) => writeFileSync(join(folder, "server.js"), "Serve")],
    ["name", (folder) => writeFileSync(join(folder, "more.js"), "")],
    ["executable bit", (folder) => chmodSync(join(folder, "server.js"), 0o755)],
    ["empty folder", (folder) => mkdirSync(join(folder, "empty"))],
  ])("of another %s has another digest", async (_, change) => {
    const folder = folderOf(files);
    const before = await digestOfFolder(folder);
    change(folder);
    expect(await digestOfFolder(folder)).not.toBe(before);
  });

  test("keeps out what .rollcallignore names, .git, and folders where Rollcall keeps its state", async () => {
    const folder = folderOf({
      ...files,
      ".rollcallignore": "# comment\n*.log\n/tmp/\ndocs/**/draft.md\n!keep.log\n",
      ".git/config": "secret",
      ".rollcall/context.json": "secret",
      "lib/.rollcall/context.json": "secret",
      "state/context.json": "secret",
      "a.log": "",
      "deep/b.log": "",
      "keep.log": "",
      "tmp/x": "",
      "lib/tmp/y": "",
      "docs/draft.md": "",
      "docs/a/b/draft.md": "",
      "docs/a/final.md": "",
    });
    const objects = testObjects();
    const packed = await pack(folder, { leaveOut: [join(folder, "state")] });
    const object = objects.add("r", await bytesOf(packed));
    const agent = releaseFiles(makeTempDir(), objects);
    await agent.copy(
      workOn("i1", { version: "v1", source: { kind: "artifact", object }, manifest: packed.manifest }),
    );
    expect(Object.keys(filesBelow(agent.places("i1", "v1", null).cwd)).sort()).toEqual(
      [...Object.keys(files), "keep.log", "lib/tmp/y", "docs/a/final.md"].sort(),
    );
  });

  test("with a link that leads out, or a pipe, is refused", async () => {
    const folder = folderOf(files);
    symlinkSync("/etc/passwd", join(folder, "passwd"));
    const refused = await refusalOf(pack(folder));
    expect(refused.code).toBe("UNSAFE_ARCHIVE");
    expect(refused.message).toContain("passwd");
    const other = folderOf(files);
    await new Promise<void>((resolve) => {
      const server = createServer().listen(join(other, "socket"), async () => {
        expect(await codeOf(pack(other))).toBe("UNSAFE_ARCHIVE");
        server.close(() => resolve());
      });
    });
  });

  test("that is too large is refused", async () => {
    const folder = folderOf(files);
    expect(await codeOf(pack(folder, { limits: { archiveBytesMax: 50 } }))).toBe("ARCHIVE_TOO_LARGE");
    expect(await codeOf(pack(folder, { limits: { archiveEntriesMax: 2 } }))).toBe("ARCHIVE_TOO_LARGE");
  });

  test.each<[string, string | undefined, RegExp]>([
    ["no manifest", undefined, /none at the root/],
    ["a manifest that is no JSON", "{", /no JSON/],
    ["a manifest without a start command", JSON.stringify({ healthCheck: { type: "tcp" } }), /start/],
    [
      "a manifest with an unknown word",
      JSON.stringify({ start: "x", healthCheck: { type: "tcp" }, sart: 1 }),
      /sart/,
    ],
    [
      "a manifest of the wrong kind of check",
      JSON.stringify({ start: "x", healthCheck: { type: "icmp" } }),
      /healthCheck/,
    ],
    [
      "a fixed port that two processes would need",
      JSON.stringify({ start: "x", healthCheck: { type: "tcp" }, port: 80, order: "startFirst" }),
      /stopFirst/,
    ],
  ])("with %s is refused in words", async (_, text, words) => {
    const folder = folderOf(text === undefined ? { a: "" } : { "rollcall.json": text });
    const refused = await refusalOf(pack(folder, { version: "v9" }));
    expect(refused.code).toBe("BAD_MANIFEST");
    expect(refused.message).toMatch(words);
    expect(refused.message).toContain("v9");
  });
});

describe("an archive", () => {
  test("is taken as it is", async () => {
    const bytes = archive(files);
    const packed = await pack(fileOf(bytes));
    expect(packed.source).toMatchObject({
      kind: "artifact",
      digest: digestOf(bytes),
      sizeBytes: bytes.length,
    });
    expect(await bytesOf(packed)).toEqual(bytes);
    expect(packed.manifest.start).toBe("node server.js");
  });

  test("is checked as an agent checks it", async () => {
    expect(await codeOf(pack(fileOf(archive({ ...files, "../evil": "x" }))))).toBe("UNSAFE_ARCHIVE");
    const bomb = gzipSync(tarOf([{ path: "zeros", content: Buffer.alloc(5_000_000) }]));
    expect(await codeOf(pack(fileOf(bomb), { limits: { archiveBytesMax: 1_000_000 } }))).toBe(
      "ARCHIVE_TOO_LARGE",
    );
  });

  test("with everything in one folder says where the manifest is", async () => {
    const refused = await refusalOf(pack(fileOf(archive({ "package/rollcall.json": manifest }))));
    expect(refused.code).toBe("BAD_MANIFEST");
    expect(refused.message).toContain("it is in package/");
  });

  test("that is none is refused by its name", async () => {
    const path = fileOf(Buffer.from("no archive at all"));
    const refused = await refusalOf(pack(path));
    expect(refused.code).toBe("BAD_SOURCE");
    expect(refused.message).toContain(path);
  });
});

describe.skipIf(!hasGit)("a git repository", () => {
  test.each(["main", "v1", "annotated", "refs/heads/main", "HEAD"])("is read at %s", async (ref) => {
    const repository = join(makeTempDir(), "repository");
    const commit = makeRepository(repository, files);
    git(repository, "tag", "v1");
    git(repository, "tag", "-a", "annotated", "-m", "annotated");
    const packed = await pack(`git+file://${repository}#${ref}`);
    expect(packed.source).toEqual({ kind: "git", url: `file://${repository}`, ref, commit });
    expect(packed.manifest.start).toBe("node server.js");
  });

  test("is read at a commit that is not at the end of a branch", async () => {
    const repository = join(makeTempDir(), "repository");
    const commit = makeRepository(repository, files);
    commitFiles(repository, { "rollcall.json": manifest.replace("server.js", "other.js") });
    const packed = await pack(`git+${repository}#${commit}`);
    expect(packed.source).toMatchObject({ ref: commit, commit });
    expect(packed.manifest.start).toBe("node server.js");
  });

  test("may be given by its path from here", async () => {
    const repository = join(makeTempDir(), "repository");
    makeRepository(repository, files);
    const packed = await pack(`git+${relative(process.cwd(), repository)}#main`);
    expect(packed.source).toMatchObject({ url: repository });
  });

  test("takes a tag before a branch of the same name", async () => {
    const repository = join(makeTempDir(), "repository");
    const commit = makeRepository(repository, files);
    git(repository, "tag", "both");
    git(repository, "checkout", "--quiet", "-b", "both");
    commitFiles(repository, { more: "" });
    expect((await pack(`git+${repository}#both`)).source).toMatchObject({ commit });
  });

  test("without that branch, tag or commit is refused by its name", async () => {
    const repository = join(makeTempDir(), "repository");
    makeRepository(repository, files);
    const refused = await refusalOf(pack(`git+${repository}#nothing`));
    expect(refused.code).toBe("GIT_REF_UNKNOWN");
    expect(refused.message).toContain("nothing");
    expect(await codeOf(pack(`git+${repository}#${"a".repeat(40)}`))).toBe("GIT_REF_UNKNOWN");
  });

  test("without a manifest is refused", async () => {
    const repository = join(makeTempDir(), "repository");
    makeRepository(repository, { f: "" });
    expect(await codeOf(pack(`git+${repository}#main`))).toBe("BAD_MANIFEST");
  });

  test("that is none is told in git's words", async () => {
    expect(await codeOf(pack(`git+${makeTempDir()}#main`))).toBe("GIT_FAILED");
  });
});

describe("anything else", () => {
  test.each([
    "/no/such/place",
    "git+https://example.org/a.git",
    "git+#main",
    "git+ext::sh -c id#main",
    "git+--upload-pack=x#main",
    "git+/x#--all",
    "",
  ])("is no release: %s", async (source) => {
    // An empty path is the current folder to the system; it has no manifest.
    expect(["BAD_SOURCE", "BAD_MANIFEST"]).toContain(await codeOf(pack(source)));
  });

  test("shows no credentials", async () => {
    const refused = await refusalOf(pack("git+https://me:secret@127.0.0.1:1/a.git#main"));
    expect(refused.code).toMatch(/GIT_FAILED|NO_GIT/);
    expect(refused.message).not.toContain("secret");
  });
});

test("packing that is cancelled or fails leaves no temporary files", async () => {
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith("rollcall-pack-")).length;
  const abort = new AbortController();
  abort.abort();
  expect(await codeOf(pack(folderOf(files), { signal: abort.signal }))).toBe("CANCELLED");
  expect(await codeOf(pack(folderOf({})))).toBe("BAD_MANIFEST");
  const packed = await packRelease(folderOf(files), { clock, random });
  await packed.close();
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith("rollcall-pack-")).length).toBe(before);
});

test("the rules of .rollcallignore are those of .gitignore", () => {
  const is = ignoreRules("*.o\nbuild/\n/top\na/b\n**/deep\nx/**\n[odd]\n!keep.o\n q?z \n");
  const ignored = ["a.o", "s/a.o", "top", "a/b", "deep", "s/deep", "x/y", "x/y/z", "[odd]", "qaz"];
  const kept = ["keep.o", "s/keep.o", "build", "s/top", "s/a/b", "x", "o", "qz", "a.obj"];
  expect(ignored.filter((path) => !is(path, false))).toEqual([]);
  expect(kept.filter((path) => is(path, false))).toEqual([]);
  expect(is("build", true) && is("s/build", true)).toBe(true);
  expect(is(".git", true) && is(".rollcallignore", false) && !is("sub/.gitkeep", false)).toBe(true);
});
