import { basename } from "node:path";

interface IgnoreRule {
  readonly pattern: RegExp;
  readonly foldersOnly: boolean;
  readonly keeps: boolean;
}

/** Whether a path, relative to the root of the release, is left out. A folder that is left out takes all that it holds with it. */
export type IsIgnored = (path: string, isFolder: boolean) => boolean;

const alwaysIgnored = [".git", ".rollcallignore"];
/** Where Rollcall keeps its state unless told otherwise: logs, ledgers, credentials. */
const dataFolder = ".rollcall";

/**
 * The rules of a `.rollcallignore`, one a line, as in a `.gitignore`: `*` and `?` within a name, `**` over folders, a `/` at
 * the beginning or inside ties to the root, a `/` at the end means folders, `!` keeps after all, `#` is a comment. The last that fits
 * counts. `.git`, the file itself and every folder `.rollcall` are always left out; `node_modules` is not.
 */
export function ignoreRules(text: string): IsIgnored {
  const rules = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map(ruleOf);
  return (path, isFolder) => {
    if (alwaysIgnored.includes(path) || (isFolder && basename(path) === dataFolder)) return true;
    const last = rules.findLast((rule) => (isFolder || !rule.foldersOnly) && rule.pattern.test(path));
    return last !== undefined && !last.keeps;
  };
}

function ruleOf(line: string): IgnoreRule {
  const keeps = line.startsWith("!");
  const glob = keeps ? line.slice(1) : line;
  const foldersOnly = glob.endsWith("/");
  const body = glob.replace(/\/+$/, "");
  const isTied = body.includes("/");
  const source = body
    .replace(/^\/+/, "")
    .split("/")
    .map(partOf)
    .join("/")
    // Between slashes `**` may also stand for no folder at all.
    .replaceAll("**/", "(?:.*/)?")
    .replaceAll("/**", "/.*")
    .replaceAll("**", ".*");
  return { pattern: new RegExp(`^${isTied ? "" : "(?:.*/)?"}${source}$`, "su"), foldersOnly, keeps };
}

function partOf(part: string): string {
  if (part === "**") return part;
  return part
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replace(/\*+/g, "[^/]*")
    .replaceAll("?", "[^/]");
}
