import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { sep } from "node:path";

/** A process that has to do with a folder. */
export interface FoundProcess {
  readonly pid: number;
  readonly command: string;
}

/**
 * The processes of this host that work in a folder, were started with a path in it, or have one in their environment:
 * whatever Rollcall started there, however it came to be. Zombies are left out.
 */
export function processesIn(folder: string): FoundProcess[] {
  const found: FoundProcess[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const command = read(pid, "cmdline");
    // What has no command line is a zombie, or of the kernel.
    if (command === "") continue;
    const works = folderOf(pid);
    const isIn = works === folder || works.startsWith(folder + sep);
    if (isIn || mentions(command, folder) || mentions(read(pid, "environ"), folder))
      found.push({ pid, command: command.replaceAll("\0", " ").trim() });
  }
  return found;
}

/** Ends all of them at once. */
export function killAllIn(folder: string): void {
  for (const { pid } of processesIn(folder)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** Whether the path of the folder, or of something in it, stands in a list of texts. */
function mentions(texts: string, folder: string): boolean {
  for (let at = texts.indexOf(folder); at >= 0; at = texts.indexOf(folder, at + 1)) {
    const next = texts.charAt(at + folder.length);
    if (next === "" || next === "\0" || next === sep) return true;
  }
  return false;
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch (error) {
    return goneOrForeign(error);
  }
}

function folderOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch (error) {
    return goneOrForeign(error);
  }
}

function goneOrForeign(error: unknown): string {
  const { code = "" } = error as NodeJS.ErrnoException;
  if (["ENOENT", "ESRCH", "EACCES", "EPERM"].includes(code)) return "";
  throw error;
}
