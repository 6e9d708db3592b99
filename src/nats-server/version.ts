import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);
const versionTimeoutMs = 10_000;

/**
 * What a binary says that it is, `2.15.1`.
 *
 * @throws Error when it cannot be run, does not answer in time, or is no nats-server
 */
export async function versionOfBinary(path: string): Promise<string> {
  const { stdout } = await run(path, ["--version"], { timeout: versionTimeoutMs });
  const version = /^nats-server: v(\d+\.\d+\.\S+)/m.exec(stdout)?.[1];
  if (version === undefined)
    throw new Error(`${path} --version answered ${JSON.stringify(stdout.slice(0, 100))}`);
  return version;
}
