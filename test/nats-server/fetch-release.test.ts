import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "tar";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { messageOf } from "../../src/base/errors.js";
import { fetchRelease } from "../../src/nats-server/fetch-release.js";

// A local web server stands for the place of the official releases, which these tests do not reach.
const name = "nats-server-v2.15.1-linux-amd64";
const archiveUrl = `/v2.15.1/${name}.tar.gz`;
const listUrl = "/v2.15.1/SHA256SUMS";
const goodProgram = '#!/bin/sh\necho "nats-server: v2.15.1"\n';

let folder: string;
let web: Server;
/** What is served; a path that is not here is 404. */
const files = new Map<string, Buffer | string>();
/** Paths of which only the first half is sent before the connection is cut. */
const cut = new Set<string>();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "rollcall-release-"));
  files.clear();
  cut.clear();
  web = createServer((request, response) => {
    const path = request.url ?? "";
    const body = files.get(path);
    if (body === undefined) return response.writeHead(404).end();
    response.writeHead(200, { "content-length": Buffer.byteLength(body) });
    if (!cut.has(path)) return response.end(body);
    response.write(Buffer.from(body).subarray(0, Buffer.byteLength(body) / 2), () => response.destroy());
  }).listen(0, "127.0.0.1");
  await once(web, "listening");
});
afterEach(async () => {
  web.closeAllConnections();
  web.close();
  await rm(folder, { recursive: true, force: true });
});

/** An archive laid out like the official one, put up for download with its list. */
async function release(program = goodProgram, entry = "nats-server"): Promise<Buffer> {
  const source = join(folder, "source");
  await mkdir(join(source, name), { recursive: true });
  for (const [file, content] of [
    [entry, program],
    ["LICENSE", "a licence"],
    ["README.md", "read me"],
  ] as const) {
    await writeFile(join(source, name, file), content);
    await chmod(join(source, name, file), 0o755);
  }
  await create({ gzip: true, cwd: source, file: join(folder, "archive.tar.gz") }, [name]);
  const archive = await readFile(join(folder, "archive.tar.gz"));
  files.set(archiveUrl, archive);
  files.set(listUrl, `${"0".repeat(64)}  other.zip\n${checksum(archive)}  ${name}.tar.gz\n`);
  return archive;
}

function checksum(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

function fetchIt(options: { platform?: string; arch?: string } = {}): Promise<string> {
  const { port } = web.address() as AddressInfo;
  const env = { ROLLCALL_NATS_RELEASES: `http://127.0.0.1:${port}/` };
  return fetchRelease({ folder: join(folder, "cache"), env, platform: "linux", arch: "x64", ...options });
}

/** Everything below the cache folder. */
async function left(): Promise<string[]> {
  return (await readdir(join(folder, "cache"), { recursive: true })).sort();
}

describe("the official release", () => {
  test("is downloaded, checked against its list, and put in place alone", async () => {
    await release();
    const path = await fetchIt();
    expect(path).toBe(join(folder, "cache/bin/nats-server"));
    expect(await readFile(path, "utf8")).toBe(goodProgram);
    expect(await left()).toEqual(["bin", "bin/nats-server"]);
  });

  test("clears away what a killed download left long ago, not what is under way", async () => {
    await release();
    const [old, recent] = [join(folder, "cache/.release-old"), join(folder, "cache/.release-new")];
    for (const path of [old, recent]) await mkdir(path, { recursive: true });
    await utimes(old, 1, 1);
    await fetchIt();
    expect(await left()).toEqual([".release-new", "bin", "bin/nats-server"]);
  });

  test("may be fetched by two at once", async () => {
    await release();
    await Promise.all([fetchIt(), fetchIt(), fetchIt()]);
    expect(await left()).toEqual(["bin", "bin/nats-server"]);
  });

  test("replaces what was fetched before", async () => {
    await release('#!/bin/sh\necho "nats-server: v2.11.0"\n');
    await fetchIt();
    await release();
    expect(await readFile(await fetchIt(), "utf8")).toBe(goodProgram);
  });

  test.each([
    ["wrong checksum", /the checksum of .* is [0-9a-f]{64} instead of f{64}/],
    [
      "missing entry in the list",
      /the list of checksums has no entry for nats-server-v2\.15\.1-linux-amd64\.tar\.gz/,
    ],
    ["archive cut off", /nats-server-v2\.15\.1-linux-amd64\.tar\.gz could not be had/],
    ["list cut off", /SHA256SUMS could not be had/],
    ["no archive", /tar\.gz could not be had: HTTP 404/],
    ["no list", /SHA256SUMS could not be had: HTTP 404/],
    ["list too large", /SHA256SUMS could not be had: larger than/],
    ["no archive but bytes", /TAR_|zlib|archive|incorrect header/i],
    ["no server in the archive", /ENOENT/],
    ["a server that does not run here", /ENOEXEC|no such program|answered/],
  ])("is refused and leaves nothing behind: %s", async (fault, expected) => {
    await breakIt(fault, await release());
    const refused = await fetchIt().then(
      () => "nothing was wrong",
      (error: unknown) => messageOf(error),
    );
    expect(refused).toMatch(expected);
    expect(await left()).toEqual(["bin"]);
  });

  test("is asked for by its own words for this system and processor, and not for others", async () => {
    await release();
    await expect(fetchIt({ platform: "darwin", arch: "arm64" })).rejects.toThrow(/darwin-arm64/);
    await expect(fetchIt({ platform: "win32" })).rejects.toThrow(/there is none for win32 on x64/);
    await expect(fetchIt({ arch: "mips" })).rejects.toThrow(/there is none for linux on mips/);
  });
});

async function breakIt(fault: string, archive: Buffer): Promise<void> {
  const list = (data: Buffer) => files.set(listUrl, `${checksum(data)}  ${name}.tar.gz\n`);
  switch (fault) {
    case "wrong checksum":
      files.set(listUrl, `${"f".repeat(64)} *${name}.tar.gz\n`);
      break;
    case "missing entry in the list":
      files.set(listUrl, `${checksum(archive)}  other-${name}.tar.gz\nrubbish\n`);
      break;
    case "archive cut off":
      cut.add(archiveUrl);
      break;
    case "list cut off":
      cut.add(listUrl);
      break;
    case "no archive":
      files.delete(archiveUrl);
      break;
    case "no list":
      files.delete(listUrl);
      break;
    case "list too large":
      files.set(listUrl, Buffer.alloc(2 * 1024 * 1024));
      break;
    case "no archive but bytes":
      files.set(archiveUrl, Buffer.from("these are no gzip bytes"));
      list(Buffer.from("these are no gzip bytes"));
      break;
    case "no server in the archive":
      await rm(join(folder, "source"), { recursive: true });
      await release(goodProgram, "another-program");
      break;
    default:
      await release("#!/bin/sh\necho hello\n");
  }
}
