import { mkdtempSync, realpathSync, rmSync } from "node:fs";
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
  const path = realpathSync(mkdtempSync(join(tmpdir(), "rollcall-test-")));
  made.push(path);
  return path;
}
