import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Objm } from "@nats-io/obj";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { messageOf } from "../../src/base/errors.js";
import { findFreePort } from "../../src/base-node/free-port.js";
import { storesOf } from "../../src/contracts/keys.js";
import { digestOf, git, hasGit, makeRepository, type RawEntry, tarOf } from "../agent-adapters/kit.js";
import { startNats } from "../kit/nats.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { killAllIn, processesIn } from "./left-processes.js";
import { RawApi } from "./raw-api.js";
import { makeService } from "./service.js";
import { type RunOptions, refusalOf, World } from "./world.js";

const world = new World();
let api: RawApi;

beforeAll(async () => {
  await world.up();
  api = await RawApi.connect(world);
  await world.agent(["lab-1:role=lab", "lab-2:role=spare"]);
  await world.ok("releases", "push", "good", makeService());
});
afterAll(() => api.close());

async function refusedPush(version: string, source: string, options: RunOptions = {}) {
  return refusalOf(await world.run(["releases", "push", version, source, "--json"], options));
}

/** A folder of programs that lacks git. */
function withoutGit(): string {
  const folder = makeTempDir();
  for (const program of ["node", "sh"]) {
    const path = execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
    symlinkSync(path, join(folder, program));
  }
  return folder;
}

describe("what is no release is refused by releases push", () => {
  const manifest = { path: "rollcall.json", content: '{"start":["true"],"healthCheck":{"type":"tcp"}}' };

  test.each<[string, RawEntry]>([
    ["a path that climbs out", { path: "../evil", content: "x" }],
    ["an absolute path", { path: "/tmp/evil", content: "x" }],
    ["a symbolic link that leads out", { path: "link", type: "SymbolicLink", linkpath: "../../etc/passwd" }],
  ])("an archive with %s", async (_, entry) => {
    const file = join(makeTempDir(), "release.tar.gz");
    writeFileSync(file, gzipSync(tarOf([manifest, entry])));
    expect(await refusedPush("evil", file)).toMatchObject({
      exit: 3,
      code: "UNSAFE_ARCHIVE",
      message: expect.stringContaining(entry.path),
    });
  });

  test("a folder with a symbolic link that leads out of it", async () => {
    const folder = makeService();
    symlinkSync("../../etc/passwd", join(folder, "link"));
    expect(await refusedPush("evil", folder)).toMatchObject({ exit: 3, code: "UNSAFE_ARCHIVE" });
  });

  test("an archive that is larger than two gibibytes", async () => {
    const file = join(makeTempDir(), "release.tar.gz");
    writeFileSync(file, "");
    truncateSync(file, 2 * 1_024 ** 3 + 1);
    expect(await refusedPush("large", file)).toMatchObject({
      exit: 3,
      code: "ARCHIVE_TOO_LARGE",
      message: expect.stringContaining("larger than 2147483648 bytes"),
    });
  });

  test("a container image, over NATS too", async () => {
    expect(await refusedPush("image", "docker://nginx:1.27")).toMatchObject({
      exit: 3,
      code: "NO_CONTAINER_ENGINE",
    });
    const release = {
      version: "image",
      source: { kind: "image", image: "nginx:1.27" },
      manifest: JSON.parse(manifest.content) as object,
    };
    expect(await api.ask("releases.push", { release, digest: "image" })).toMatchObject({
      status: "501",
      body: { error: { code: "NO_CONTAINER_ENGINE" } },
    });
  });

  test("a version that was pushed with other content", async () => {
    const again = makeService({ content: "other" });
    expect(await refusedPush("good", again)).toMatchObject({
      exit: 3,
      code: "VERSION_EXISTS",
      message: expect.stringMatching(/^Release good is there already with other content/),
    });
    expect((await world.run(["releases", "push", "good", makeService()])).code).toBe(0);
    for (const [text, code] of [
      ["1", 0],
      ["1", 0],
      ["2", 3],
    ] as const) {
      writeFileSync(join(world.dir, "config.txt"), text);
      expect((await world.run(["configs", "push", "c1", "config.txt"])).code).toBe(code);
    }
  });

  test("a git reference that there is not, and a repository where there is no git", async () => {
    const repository = makeTempDir();
    if (hasGit) {
      makeRepository(repository, { "rollcall.json": manifest.content });
      expect(await refusedPush("git", `git+file://${repository}#v9`)).toMatchObject({
        exit: 3,
        code: "GIT_REF_UNKNOWN",
        message: `file://${repository} has no tag, branch or commit v9.`,
      });
    }
    const env = { PATH: withoutGit() };
    expect(await refusedPush("git", `git+file://${repository}#v1`, { env })).toMatchObject({
      exit: 3,
      code: "NO_GIT",
      message: expect.stringContaining("install git"),
    });
  });
});

describe("an instance that cannot get its release says why", () => {
  let versions = 0;

  async function push(manifest: Readonly<Record<string, unknown>>, content = ""): Promise<string> {
    const version = `bad-${++versions}`;
    await world.ok("releases", "push", version, makeService({ manifest, content: `${version} ${content}` }));
    return version;
  }

  /** Rolls a release out to one instance, which has to fail; what the command and the control plane say of it. */
  async function failing(version: string, { selector = "role=lab", code = "" }) {
    const asked = [
      "--release",
      version,
      "--selector",
      selector,
      "--no-rollback",
      "--wait",
      "--timeout",
      "1m",
    ];
    const run = await world.run(["deploy", ...asked]);
    const [{ id = "", reason = null } = {}] = await world.deployments();
    const said = /^1 instance has failed; the failure threshold is 1\. (\S+), ([A-Z_]+): (.*)$/s.exec(
      reason?.message ?? "",
    );
    expect([run.code, said?.[2]]).toEqual([5, code]);
    const [, , , message = ""] = said ?? [];
    // On one line, as all lines there are.
    expect(run.stdout).toContain(message.replaceAll("\n", " "));
    expect(await api.ask("deployments.get", { deployment: id })).toMatchObject({
      body: { deployment: { outcome: "failed", reason: { message: expect.stringContaining(message) } } },
    });
    return message;
  }

  test("a build that fails, with the end of what it printed", async () => {
    const command = "echo compiling; echo this is wrong >&2; exit 7";
    const message = await failing(await push({ build: { command } }), { code: "BUILD_FAILED" });
    expect(message).toContain("ended with exit code 7: compiling\nthis is wrong");
  });

  test("a build that hangs, which is ended with all that it started", async () => {
    const marker = `sleep ${70_000 + (process.pid % 10_000)}`;
    const build = { command: `echo waiting; ${marker} & ${marker}`, timeoutMs: 500 };
    const message = await failing(await push({ build }), { code: "BUILD_TIMEOUT" });
    expect(message).toContain("did not end within 500 ms and was stopped: waiting");
    expect(processesIn(world.dir).filter((one) => one.command.includes(marker))).toEqual([]);
  });

  test("a fixed port that another program has", async () => {
    const other = createServer();
    other.listen(0, "127.0.0.1");
    await once(other, "listening");
    onTestFinished(() => void other.close());
    const { port } = other.address() as AddressInfo;
    const message = await failing(await push({ port, restarts: 0 }), { code: "PORT_IN_USE" });
    expect(message).toBe(
      `Port ${port} of instance lab-1 is taken by another program: free it, or leave the port out so that a free one is chosen.`,
    );
  });

  test("a fixed port that a neighbour has: it stays FAILED where that is one failure of two", async () => {
    const version = await push({ port: await findFreePort(), restarts: 0 });
    const asked = ["--release", version, "--selector", "role!=none", "--failure-threshold", "2"];
    const { code, stdout } = await world.run(["deploy", ...asked, "--wait", "--timeout", "1m"]);
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/lab-2: failed, PORT_IN_USE: Port \d+ of instance/),
    ]);
    const failed = {
      status: "FAILED",
      updateState: "FAILED",
      reason: { code: "PORT_IN_USE" },
      why: expect.stringContaining("is taken by another program: free it"),
    };
    expect(await world.instance("lab-2")).toMatchObject(failed);
    expect(await api.ask("instances.get", { instance: "lab-2" })).toMatchObject({ body: failed });
    expect(await world.instance("lab-1")).toMatchObject({ status: "HEALTHY", running: { release: version } });
  });

  test("a program that does not start, and one that ends at once", async () => {
    const missing = await push({ start: ["no-such-program"], restarts: 0 });
    expect(await failing(missing, { code: "START_FAILED" })).toContain("no-such-program cannot be run");
    const ending = await push({ start: "echo no database; exit 9", restarts: 0 });
    expect(await failing(ending, { code: "PROCESS_EXITED" })).toMatch(
      /ended with exit code 9 .*no database/s,
    );
  });

  /** Stores a file under a name and registers a release that says that it is of this digest. */
  async function register(version: string, bytes: Buffer, digest: string): Promise<void> {
    const { url, user, password } = world.context();
    const connection = await connect({ servers: url, user: user ?? "", pass: password ?? "" });
    const store = await new Objm(connection).open(storesOf("default").files, false);
    await store.putBlob({ name: digest }, bytes);
    await connection.close();
    const manifest = { start: ["node", "server.cjs"], healthCheck: { type: "tcp" } };
    const object = { name: digest, digest, sizeBytes: bytes.length };
    const release = { version, source: { kind: "artifact", object }, manifest };
    expect(await api.ask("releases.push", { release, digest })).toMatchObject({ error: "" });
  }

  test("a stored file that was tampered with, of which nothing is used", async () => {
    const meant = gzipSync(tarOf([{ path: "server.cjs", content: "one" }]));
    const tampered = gzipSync(tarOf([{ path: "server.cjs", content: "two" }]));
    await register("tampered", tampered, digestOf(meant));
    const message = await failing("tampered", { code: "CHECKSUM_MISMATCH" });
    expect(message).toContain(`instead of ${digestOf(meant)}: push it again; nothing of it was used.`);
  });

  test("an archive that climbs out of the release, though it was registered without rollcall releases push", async () => {
    const bytes = gzipSync(tarOf([{ path: "../../../../evil", content: "x" }]));
    await register("climbing", bytes, digestOf(bytes));
    expect(await failing("climbing", { code: "UNSAFE_ARCHIVE" })).toContain("leads out of the release");
  });

  test.skipIf(!hasGit)("a git repository where there is no git, and one that has gone", async () => {
    const repository = makeService();
    git(repository, "init", "--quiet");
    git(repository, "add", "--all");
    git(repository, "commit", "--quiet", "-m", "v1");
    git(repository, "tag", "v1");
    await world.ok("releases", "push", "from-git", `git+file://${repository}#v1`);
    await world.agent(["no-git:role=none"], [], { env: { PATH: withoutGit() } });
    const message = await failing("from-git", { selector: "role=none", code: "NO_GIT" });
    expect(message).toContain("There is no git program here: install git");
    rmSync(repository, { recursive: true });
    await failing("from-git", { code: "GIT_FAILED" });
  });

  test("after all of that, a good release is healthy on it", async () => {
    await world.ok("deploy", "--release", "good", "--selector", "role=lab", "--wait", "--timeout", "1m");
    expect(await world.instance("lab-1")).toMatchObject({ status: "HEALTHY", running: { release: "good" } });
  });
});

test("a full store of files says so, and has room again once a release is removed", async () => {
  const nats = await startNats({ storeBytesMax: 24 * 1_024 ** 2 });
  onTestFinished(() => nats.stop());
  const small = new World();
  const { user, password } = nats.credentials;
  const env = { NATS_USER: user, NATS_PASSWORD: password };
  const up = await small.up(["--nats", nats.url], { env });
  const noise = () => makeService({ content: randomBytes(2_400_000).toString("base64") });
  const [first, second, third, fourth] = [noise(), noise(), noise(), noise()];
  for (const [version, folder] of [
    ["n1", first],
    ["n2", second],
  ] as const)
    await small.ok("releases", "push", version, folder);
  let full = 0;
  for (const [version, folder] of [
    ["n3", third],
    ["n4", fourth],
  ] as const) {
    const run = await small.run(["releases", "push", version, folder, "--json"]);
    if (run.code === 0) continue;
    full++;
    expect(refusalOf(run)).toMatchObject({
      exit: 3,
      code: "OBJECT_STORE_FULL",
      message: expect.stringContaining("rollcall releases rm"),
    });
  }
  expect(full).toBeGreaterThan(0);
  await small.ok("releases", "rm", "n1");
  await small.ok("releases", "push", "n4", fourth);
  expect((await up.end()).code).toBe(0);
});

/** A file system of 16 MiB; `undefined` where this user may not mount one. */
function smallDisk(): string | undefined {
  const folder = makeTempDir();
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], { stdio: "pipe" });
    return folder;
  } catch (thrown) {
    process.stderr.write(`the test with a full disk is left out: ${messageOf(thrown)}\n`);
    return undefined;
  }
}

const disk = smallDisk();
afterAll(() => {
  if (disk === undefined) return;
  killAllIn(disk);
  execFileSync("umount", ["-l", disk], { stdio: "pipe" });
});

test.skipIf(disk === undefined)(
  "an agent whose disk is full says so, and goes on once there is room",
  async () => {
    const { url, user, password } = world.context();
    const env = { NATS_USER: user ?? "", NATS_PASSWORD: password ?? "" };
    const filler = join(disk ?? "", "filler");
    const agent = await world.agent(["full:role=full"], ["--nats", url, "--data", disk ?? ""], { env });
    writeFileSync(filler, Buffer.alloc(15 * 1_024 ** 2));
    const content = randomBytes(1_500_000).toString("base64");
    await world.ok("releases", "push", "wide", makeService({ content }));
    const asked = ["--release", "wide", "--selector", "role=full", "--wait", "--timeout", "1m"];
    const { code, stdout } = await world.run(["deploy", ...asked, "--no-rollback"]);
    expect([code, stdout]).toEqual([
      5,
      expect.stringMatching(/full, DISK_FULL: The disk of .* is full: free some/),
    ]);
    rmSync(filler);
    await world.ok("deploy", ...asked);
    expect((await agent.end()).code).toBe(0);
  },
);
