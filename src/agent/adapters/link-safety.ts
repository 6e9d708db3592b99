import { lstat, readlink } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { ifThere } from "./disk-errors.js";

/** As many as Linux follows. */
const hopsMax = 40;

/**
 * Whether following the symbolic link at `path` below `root` would ever step out of `root`, link by link, also through
 * links that lead nowhere. (Looking at the texts is not enough: with `a -> b/..` and `b` a link to
 * a deeper folder, the kernel goes elsewhere than the text says.)
 */
export async function leadsOut(root: string, path: string): Promise<boolean> {
  const at: string[] = [];
  const ahead = path.split("/");
  for (let hops = 0; ahead.length > 0; ) {
    const part = ahead.shift() ?? "";
    if (part === "" || part === ".") continue;
    if (part === "..") {
      if (at.pop() === undefined) return true;
      continue;
    }
    const here = join(root, ...at, part);
    const stats = await ifThere(lstat(here));
    if (stats?.isSymbolicLink() !== true) {
      at.push(part);
      continue;
    }
    const target = await readlink(here);
    if (isAbsolute(target) || ++hops > hopsMax) return true;
    ahead.unshift(...target.split("/"));
  }
  return false;
}
