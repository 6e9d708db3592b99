import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { withoutCredentials } from "../../src/agent/adapters/git.js";
import type { Release } from "../../src/contracts/release.js";
import { eventually } from "../kit/eventually.js";
import { makeTempDir } from "../kit/temp-dir.js";
import {
  codeOf,
  commitFiles,
  filesBelow,
  git,
  hasGit,
  makeRepository,
  manifestOf,
  refusalOf,
  releaseFiles,
  testObjects,
  workOn,
} from "./kit.js";

function gitRelease(url: string, commit: string, ref = "main"): Release {
  return { version: "v1", source: { kind: "git", url, ref, commit }, manifest: manifestOf() };
}

function setUp() {
  const dataDir = makeTempDir();
  const repository = join(makeTempDir(), "repository");
  return { dataDir, repository, files: releaseFiles(dataDir, testObjects()) };
}

test("an address is shown without user and password", () => {
  expect(withoutCredentials("https://me:secret@example.org/a.git")).toBe("https://example.org/a.git");
  expect(withoutCredentials("ssh://git@example.org/a@b.git")).toBe("ssh://example.org/a@b.git");
  expect(withoutCredentials("git@example.org:a.git")).toBe("git@example.org:a.git");
});

describe.skipIf(!hasGit)("a release from git", () => {
  test("has exactly the files of its commit, whatever was committed since", async () => {
    const { repository, files } = setUp();
    const commit = makeRepository(repository, {
      "server.js": "one",
      ".gitattributes": "* export-ignore\n*.js export-subst\n",
    });
    commitFiles(repository, { "server.js": "two", "more.js": "$Format:%H$" });
    await files.copy(workOn("i1", gitRelease(repository, commit)));
    expect(filesBelow(files.places("i1", "v1", null).cwd)).toEqual({
      "server.js": "one",
      ".gitattributes": "* export-ignore\n*.js export-subst\n",
    });
  });

  test("is fetched without its history", async () => {
    const { dataDir, repository, files } = setUp();
    makeRepository(repository, { "big.bin": "x".repeat(100_000) + Math.random() });
    git(repository, "rm", "--quiet", "big.bin");
    const commit = commitFiles(repository, { f: "1" });
    await files.pull(workOn("i1", gitRelease(`file://${repository}`, commit)));
    const archive = filesBelow(join(dataDir, "cache"))[join(`git-${commit}`, "archive")];
    expect(archive?.length).toBeLessThan(20_000);
  });

  test("comes also from a server that gives only branches and tags", async () => {
    const { repository, files } = setUp();
    const commit = makeRepository(repository, { f: "old" });
    commitFiles(repository, { f: "new" });
    // Version 0 of the protocol refuses what is not at the tip of a branch, as old servers do.
    const config = join(makeTempDir(), "config");
    writeFileSync(config, "[protocol]\n\tversion = 0\n");
    process.env.GIT_CONFIG_GLOBAL = config;
    try {
      await files.copy(workOn("i1", gitRelease(`file://${repository}`, commit)));
    } finally {
      delete process.env.GIT_CONFIG_GLOBAL;
    }
    expect(filesBelow(files.places("i1", "v1", null).cwd)).toEqual({ f: "old" });
  });

  test("runs no hooks and no filters of the repository", async () => {
    const { dataDir, repository, files } = setUp();
    const ran = join(dataDir, "ran");
    makeRepository(repository, { f: "1" });
    const hook = join(repository, ".git", "hooks", "post-checkout");
    mkdirSync(join(repository, ".git", "hooks"), { recursive: true });
    writeFileSync(hook, `#!/bin/sh\ntouch ${ran}\n`);
    chmodSync(hook, 0o755);
    const commit = commitFiles(repository, { ".gitattributes": "* filter=evil\n" });
    git(repository, "config", "filter.evil.smudge", `touch ${ran}; cat`);
    await files.copy(workOn("i1", gitRelease(repository, commit)));
    expect(existsSync(ran)).toBe(false);
  });

  test("with a link that leads out is refused as an archive is", async () => {
    const { repository, files } = setUp();
    makeRepository(repository, { f: "1" });
    symlinkSync("../../etc", join(repository, "out"));
    const commit = commitFiles(repository, {});
    expect(await codeOf(files.build(workOn("i1", gitRelease(repository, commit))))).toBe("UNSAFE_ARCHIVE");
  });

  test("has an empty folder in the place of a submodule", async () => {
    const { repository, files } = setUp();
    const other = join(makeTempDir(), "other");
    makeRepository(other, { x: "x" });
    makeRepository(repository, { f: "1" });
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", other, "sub");
    const commit = commitFiles(repository, {});
    await files.copy(workOn("i1", gitRelease(repository, commit)));
    const { cwd } = files.places("i1", "v1", null);
    expect(existsSync(join(cwd, "sub"))).toBe(true);
    expect(filesBelow(join(cwd, "sub"))).toEqual({});
  });

  test("of a commit that is not there is refused by its name", async () => {
    const { repository, files } = setUp();
    makeRepository(repository, { f: "1" });
    const commit = "a".repeat(40);
    expect(await codeOf(files.pull(workOn("i1", gitRelease(repository, commit, commit))))).toBe(
      "GIT_REF_UNKNOWN",
    );
    expect(await codeOf(files.pull(workOn("i1", gitRelease(repository, commit, "no-such"))))).toBe(
      "GIT_REF_UNKNOWN",
    );
    expect(await codeOf(files.pull(workOn("i1", gitRelease(repository, commit, "main"))))).toBe(
      "GIT_REF_UNKNOWN",
    );
  });

  test("from a place that is no repository is told in git's own words, without credentials", async () => {
    const { dataDir, files } = setUp();
    const refused = await refusalOf(
      files.pull(workOn("i1", gitRelease("https://me:secret@127.0.0.1:1/a.git", "b".repeat(40)))),
    );
    expect(refused.code).toBe("GIT_FAILED");
    expect(refused.message).toMatch(/unable to access|Failed to connect/);
    expect(JSON.stringify([refused.message, refused.details])).not.toContain("secret");
    expect(Object.keys(filesBelow(join(dataDir, "scratch")))).toEqual([]);
  });

  test("is given up promptly when the work is cancelled while the server says nothing", async () => {
    const { files } = setUp();
    const asked = { count: 0 };
    const server = createServer(() => void asked.count++);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const work = workOn("i1", gitRelease(`git://127.0.0.1:${port}/a.git`, "c".repeat(40)));
    const pulling = codeOf(files.pull(work));
    await eventually(() => asked.count > 0);
    const sinceMs = performance.now();
    work.abort.abort();
    expect(await pulling).toBe("CANCELLED");
    expect(performance.now() - sinceMs).toBeLessThan(5_000);
    const left = execFileSync("ps", ["-eo", "args="], { encoding: "utf8" }).split("\n");
    expect(left.filter((line) => line.includes(`127.0.0.1:${port}/`))).toEqual([]);
    server.close();
  });

  test("gives up on a server that says nothing when the time is up", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const files = releaseFiles(makeTempDir(), testObjects(), { limits: { gitTimeoutMs: 300 } });
    const refused = await refusalOf(
      files.pull(workOn("i1", gitRelease(`git://127.0.0.1:${port}/a.git`, "c".repeat(40)))),
    );
    expect(refused.code).toBe("GIT_FAILED");
    expect(refused.message).toContain("300 ms");
    server.close();
  });

  test("is there for the second instance without the repository", async () => {
    const { repository, files } = setUp();
    const release = gitRelease(repository, makeRepository(repository, { f: "1" }));
    await files.pull(workOn("i1", release));
    execFileSync("rm", ["-rf", repository]);
    await files.copy(workOn("i2", release));
    expect(readFileSync(join(files.places("i2", "v1", null).cwd, "f"), "utf8")).toBe("1");
  });
});

test("without a git program a release from git is refused by name", async () => {
  const { files } = setUp();
  const path = process.env.PATH;
  process.env.PATH = makeTempDir();
  try {
    expect(await codeOf(files.pull(workOn("i1", gitRelease("/nowhere", "d".repeat(40)))))).toBe("NO_GIT");
  } finally {
    process.env.PATH = path;
  }
});
