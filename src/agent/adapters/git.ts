import { lstat, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RollcallError } from "../../base/errors.js";
import { refusal } from "../../contracts/errors.js";
import type { CommandResult, Commands } from "./commands.js";
import { ifThere, saysDiskFull, systemCodeOf } from "./disk-errors.js";
import { oneLine } from "./printable.js";

export interface GitOptions {
  readonly commands: Commands;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with what git says of its progress, 0 to 1. */
  progress?(share: number): void;
}

/** Access to a person's or machine's keys and helpers, and nothing that points git at another repository. */
const passedVariables = [
  "SSH_AUTH_SOCK",
  "GIT_SSH",
  "GIT_SSH_COMMAND",
  "GIT_CONFIG_GLOBAL",
  "GIT_CONFIG_SYSTEM",
  "GIT_CONFIG_NOSYSTEM",
  "GIT_SSL_CAINFO",
  "GIT_SSL_NO_VERIFY",
  "XDG_CONFIG_HOME",
];
/** Nobody is there to answer, hooks of whoever made the repository are not run, and a dead connection is noticed. */
const safeSettings = [
  "core.hooksPath=/dev/null",
  "core.fsmonitor=false",
  "core.askPass=",
  "submodule.recurse=false",
  "fetch.recurseSubmodules=false",
  "protocol.ext.allow=never",
  "gc.auto=0",
  "maintenance.auto=false",
  "http.lowSpeedLimit=1000",
  "http.lowSpeedTime=60",
].flatMap((setting) => ["-c", setting]);
/** Files go as they are in the commit: none left out, none rewritten. */
const untouched = "-export-ignore -export-subst -text -eol -filter -ident -working-tree-encoding";
const outputBytesMax = 1_024 * 1_024;
const commitPattern = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
/** What servers say of an object that they do not have or do not give by its id. */
const noSuchObject =
  /not our ref|couldn't find remote ref|unadvertised object|remote error: upload-pack: not our ref|unable to find [0-9a-f]{40}/i;

/** An address without the user and password in it. */
export function withoutCredentials(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, "$1");
}

/** Whether a reference is a whole commit id. */
export function isCommitId(ref: string): boolean {
  return commitPattern.test(ref);
}

/**
 * The commit that a branch, tag or whole commit id of a repository stands for now; a tag before a branch of the same name.
 *
 * @throws RollcallError `GIT_REF_UNKNOWN`, `GIT_FAILED`, `NO_GIT`, `CANCELLED`
 */
export async function resolveRef(
  url: string,
  ref: string,
  cwd: string,
  options: GitOptions,
): Promise<string> {
  if (isCommitId(ref)) return ref;
  const wanted =
    ref === "HEAD" || ref.startsWith("refs/") ? [ref] : [`refs/tags/${ref}`, `refs/heads/${ref}`];
  // The peeled tag, ^{}, is the commit; the tag itself may be an object of its own.
  const patterns = wanted.flatMap((name) => [`${name}^{}`, name]);
  const { output } = await git(["ls-remote", "--quiet", "--", url, ...patterns], { url, ref, cwd }, options);
  const found = new Map(
    output
      .split("\n")
      .map((line) => line.split("\t") as [string, string])
      .map(([id, name]) => [name, id]),
  );
  for (const name of patterns) {
    const id = found.get(name);
    if (id !== undefined && isCommitId(id)) return id;
  }
  throw refusal("GIT_REF_UNKNOWN", { url: withoutCredentials(url), ref });
}

/**
 * Writes the files of a commit as one .tar file. Nothing else is fetched if the server gives commits by their id, as most do; else
 * the history of `ref`. Submodules and large files kept elsewhere (LFS) are not fetched: their places are empty folders and
 * pointer files.
 *
 * @param folder an empty folder to work in
 * @returns the path of the file, and whether the commit has submodules
 * @throws RollcallError `GIT_REF_UNKNOWN`, `GIT_FAILED`, `NO_GIT`, `CANCELLED`, `DISK_FULL`
 */
export async function fetchCommit(
  source: { readonly url: string; readonly ref: string; readonly commit: string },
  folder: string,
  options: GitOptions,
): Promise<{ readonly archive: string; readonly hasSubmodules: boolean }> {
  const repository = join(folder, "repository");
  const archive = join(folder, "files.tar");
  const of = { url: source.url, ref: source.commit, cwd: repository };
  await mkdir(repository, { recursive: true });
  const format = source.commit.length === 64 ? ["--object-format=sha256"] : [];
  await git(["init", "--quiet", "--bare", ...format, "."], of, options);
  await fetchInto(source, of, options);
  // Attributes of the repository itself must not leave files out or rewrite them.
  await mkdir(join(repository, "info"), { recursive: true });
  await writeFile(join(repository, "info", "attributes"), `* ${untouched}\n`);
  await git(["archive", "--format=tar", `--output=${archive}`, source.commit], of, options);
  const { output } = await git(["ls-tree", "--name-only", source.commit, "--", ".gitmodules"], of, options);
  return { archive, hasSubmodules: output !== "" };
}

interface Of {
  readonly url: string;
  readonly ref: string;
  readonly cwd: string;
}

async function fetchInto(
  source: { readonly url: string; readonly ref: string; readonly commit: string },
  of: Of,
  options: GitOptions,
): Promise<void> {
  const fetch = ["fetch", "--progress", "--no-tags", "--no-recurse-submodules"];
  const exact = await tryGit([...fetch, "--depth=1", "--", source.url, source.commit], of, options);
  if (exact.problem === undefined) return;
  if (!noSuchObject.test(exact.output)) throw exact.problem;
  // A server that gives only what its branches and tags point at: take the one that was meant, whole.
  if (source.ref === source.commit) throw unknown(of);
  const whole = await tryGit([...fetch, "--", source.url, source.ref], of, options);
  if (whole.problem !== undefined) throw noSuchObject.test(whole.output) ? unknown(of) : whole.problem;
  const there = await tryGit(["cat-file", "-e", `${source.commit}^{commit}`], of, options);
  if (there.problem !== undefined) throw unknown(of);
}

function unknown({ url, ref }: Of): RollcallError {
  return refusal("GIT_REF_UNKNOWN", { url: withoutCredentials(url), ref });
}

async function git(args: readonly string[], of: Of, options: GitOptions): Promise<{ output: string }> {
  const { output, problem } = await tryGit(args, of, options);
  if (problem !== undefined) throw problem;
  return { output };
}

async function tryGit(
  args: readonly string[],
  of: Of,
  options: GitOptions,
): Promise<{ output: string; problem?: RollcallError }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const result = await options.commands.run({
    command: ["git", ...safeSettings, ...args],
    cwd: of.cwd,
    env: { GIT_TERMINAL_PROMPT: "0", GIT_LFS_SKIP_SMUDGE: "1", GIT_ATTR_NOSYSTEM: "1", LC_ALL: "C" },
    alsoPass: passedVariables,
    timeoutMs: options.timeoutMs,
    signal: options.signal,
    onOutput(chunk, from) {
      const share = /(\d{1,3})%/.exec(chunk.toString("latin1"))?.[1];
      if (from === "stderr" && share !== undefined) options.progress?.(Math.min(1, Number(share) / 100));
      if (from === "stderr" || bytes > outputBytesMax) return;
      bytes += chunk.length;
      chunks.push(chunk);
    },
  });
  const problem = await problemOf(result, of, options);
  if (problem !== undefined) return { output: result.tail, problem };
  return { output: Buffer.concat(chunks).toString("utf8").trim() };
}

async function problemOf(
  { end, tail }: CommandResult,
  of: Of,
  options: GitOptions,
): Promise<RollcallError | undefined> {
  const url = withoutCredentials(of.url);
  if (end.kind === "cancelled") return refusal("CANCELLED");
  if (end.kind === "timeout")
    return refusal("GIT_FAILED", { url, problem: `it took longer than ${options.timeoutMs} ms` });
  if (end.kind === "unstartable") {
    const isThere = (await ifThere(lstat(of.cwd))) !== undefined;
    if (systemCodeOf(end.error) === "ENOENT" && isThere) return refusal("NO_GIT", {}, end.error);
    return refusal("GIT_FAILED", { url, problem: oneLine(end.error.message) }, end.error);
  }
  if (end.code === 0) return undefined;
  if (saysDiskFull(tail)) return refusal("DISK_FULL", { where: of.cwd });
  return refusal("GIT_FAILED", { url, problem: lastWords(tail, of.url) });
}

/** What git said it failed of, without its progress and without credentials. */
function lastWords(tail: string, url: string): string {
  const lines = tail.split("\n").filter((line) => /^(?:fatal|error|remote error|ssh|warning): /.test(line));
  const words = (lines.length === 0 ? tail : lines.join("; ")).replaceAll(url, withoutCredentials(url));
  return oneLine(words.replace(/:\/\/[^/@\s]*@/g, "://"), 500) || "it said nothing";
}
