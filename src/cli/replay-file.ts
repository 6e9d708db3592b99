import { resolve } from "node:path";
import type { Command } from "commander";
import { messageOf, RollcallError } from "../base/errors.js";
import { readAuditLines } from "../ledger/audit-lines.js";
import type { Replay, ReplayLog } from "../simulator/replay/replay.js";
import { UnusableLog } from "../simulator/replay/unusable-log.js";
import type { Cli } from "./cli.js";
import { exitCodes } from "./exit-codes.js";
import { progressBar } from "./progress-bar.js";
import { replayJson, replayText } from "./replay-view.js";
import { usageError } from "./usage-error.js";

/**
 * Plays the deployments of a file of events through today's machines, and says where they decide differently.
 *
 * @param only the deployment to play; all, if left out
 * @throws RollcallError as wrong usage, if the file cannot be played: with the line at which that shows
 */
export async function replayFile(
  cli: Cli,
  command: Command,
  file: string,
  only: string | undefined,
): Promise<void> {
  // Loaded when needed: no other command runs a fleet.
  const { ReplayLog } = await import("../simulator/replay/replay.js");
  const bar = progressBar(cli.io, "replaying");
  try {
    const log = new ReplayLog();
    await read(log, resolve(cli.io.cwd, file));
    const replay = await log.replay(only, (done, all) => bar.show(done, all));
    assertPlayed(replay, file, only);
    bar.end();
    cli.show(command, replayJson(replay), () => replayText(replay, cli.paint));
    if (!replayJson(replay).same) cli.endWith(exitCodes.differs);
  } catch (thrown) {
    bar.end();
    if (thrown instanceof UnusableLog)
      throw usageError(`${file} cannot be played, line ${thrown.line}: ${thrown.message}.`);
    throw thrown;
  }
}

async function read(log: ReplayLog, path: string): Promise<void> {
  try {
    for await (const { event, line } of readAuditLines(path)) log.take(event, line);
  } catch (thrown) {
    // What is wrong with the log is said by its line.
    if (thrown instanceof RollcallError) throw usageError(thrown.message);
    if (thrown instanceof UnusableLog) throw thrown;
    throw usageError(`${path} cannot be read: ${messageOf(thrown)}.`);
  }
}

function assertPlayed({ deployments, unplayed }: Replay, file: string, only: string | undefined): void {
  if (deployments.length > 0) return;
  const left = unplayed.find(({ deployment }) => only === undefined || deployment === only);
  if (left !== undefined) throw usageError(`${left.deployment} cannot be played: ${left.why}.`);
  throw usageError(`${file} has no event of ${only === undefined ? "a deployment" : `deployment ${only}`}.`);
}
