import { execFile } from "node:child_process";
import { cp, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Where the versions of the service come from: a tag of a git repository, or a folder. */
export interface Source {
  readonly kind: "git" | "folder";
  of(version: string): string;
}

/**
 * Makes a git repository with one tagged commit a version, as a team would have it; where there is no git, the
 * folders serve as they are.
 *
 * @param versions the folder with one folder a version
 * @param repository where the repository is made anew
 */
export async function prepareSource(
  versions: string,
  names: readonly string[],
  repository: string,
): Promise<Source> {
  try {
    await run("git", ["--version"]);
  } catch {
    return { kind: "folder", of: (version) => join(versions, version) };
  }
  // The same content gives the same commits, so that a second story finds its releases pushed already.
  const date = "2026-01-01T00:00:00Z";
  const env = { ...process.env, GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date };
  await rm(repository, { recursive: true, force: true });
  await mkdir(repository, { recursive: true });
  const git = (...args: string[]) =>
    run(
      "git",
      [
        "-c",
        "user.name=hello-fleet",
        "-c",
        "user.email=hello@example.org",
        "-c",
        "init.defaultBranch=main",
        "-c",
        "commit.gpgsign=false",
        ...args,
      ],
      { cwd: repository, env },
    );
  await git("init", "--quiet");
  for (const name of names) {
    await cp(join(versions, name), repository, { recursive: true });
    await git("add", "--all");
    await git("commit", "--quiet", "--message", name);
    await git("tag", name);
  }
  return { kind: "git", of: (version) => `git+file://${repository}#${version}` };
}
