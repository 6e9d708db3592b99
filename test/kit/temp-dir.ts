import { accessSync, constants, mkdtempSync, realpathSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

const made: string[] = [];

// Registered by the import at a file's top, and hooks run last first: so whatever the file stops in its own
// hooks has stopped by then. A killed process may still write for a moment, therefore the tries.
afterAll(() => {
  for (const path of made.splice(0)) {
    rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
});

/** Makes an empty folder that goes away after the tests of this file. Its path is absolute and has no symbolic links. */
export function makeTempDir(): string {
  return makeDirIn(tmpdir());
}

/** The same in memory where there is such a file system: for tests that write the same small files over and over. */
export function makeRamDir(): string {
  return makeDirIn(hasRam() ? ramFolder : tmpdir());
}

const ramFolder = "/dev/shm";
/** What a container is given is often too small. */
const ramBytesMin = 512 * 1_024 ** 2;

function hasRam(): boolean {
  try {
    accessSync(ramFolder, constants.W_OK);
    const { bavail, bsize } = statfsSync(ramFolder);
    return bavail * bsize >= ramBytesMin;
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown) return false;
    throw thrown;
  }
}

function makeDirIn(folder: string): string {
  const path = realpathSync(mkdtempSync(join(folder, "rollcall-test-")));
  made.push(path);
  return path;
}
