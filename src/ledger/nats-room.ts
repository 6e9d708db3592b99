import type { JetStreamManager } from "@nats-io/jetstream";
import { JetStreamApiError } from "@nats-io/jetstream";
import type { Clock, Log } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";

/** Below this share of what is asked for, the stores of a fleet are of no use. */
const leastShare = 1 / 256;
/** The stream by which room is tried; its size is reserved as long as it is there. */
const trialName = "ROLLCALL_ROOM";
/** One that is older was left by a process that ended in between. */
const trialMs = 1_000;
const triesMax = 60;
const retryMs = 250;

const streamNotFound = 10059;
const nameInUse = 10058;
/** Too little storage left, of the server or of the account. */
const noStorage: ReadonlySet<number> = new Set([10047, 10028, 10023]);

/** What a cluster says where too few of its servers have room; with other words it says that there are too few servers. */
const noSuitablePeers = 10005;

export function isNoStorage(thrown: unknown): boolean {
  if (!(thrown instanceof JetStreamApiError)) return false;
  return (
    noStorage.has(thrown.code) ||
    (thrown.code === noSuitablePeers && thrown.message.includes("insufficient storage"))
  );
}

/**
 * Whether the server has room for streams of so many bytes in all, or for which share of them. JetStream tells nobody
 * what it has left: a stream of the whole size is made and removed.
 *
 * @throws RollcallError `LEDGER_FULL`
 */
export async function shareWithRoom(
  manager: JetStreamManager,
  totalBytes: number,
  options: { readonly fleet: string; readonly log: Log; readonly clock: Clock; readonly replicas: number },
): Promise<number> {
  const { fleet, log, clock, replicas } = options;
  for (let share = 1; share >= leastShare; share /= 2) {
    const maxBytes = Math.floor(totalBytes * share);
    if (!(await fits(manager, maxBytes, { clock, replicas }))) continue;
    if (share < 1)
      log.warn(
        { fleet, share, maxBytes },
        "JetStream has little room: the stores of the fleet are smaller than usual",
      );
    return share;
  }
  throw refusal("LEDGER_FULL", {
    fleet,
    problem: `JetStream has no room for ${Math.floor(totalBytes * leastShare)} bytes`,
  });
}

async function fits(
  manager: JetStreamManager,
  maxBytes: number,
  { clock, replicas }: { readonly clock: Clock; readonly replicas: number },
): Promise<boolean> {
  for (let tries = 1; ; tries++) {
    try {
      await manager.streams.add({
        name: trialName,
        subjects: [trialName],
        storage: "file",
        max_bytes: maxBytes,
        num_replicas: replicas,
      });
      await removeTrial(manager);
      return true;
    } catch (thrown) {
      if (isNoStorage(thrown)) return false;
      if (!(thrown instanceof JetStreamApiError && thrown.code === nameInUse) || tries === triesMax)
        throw thrown;
      await new Promise<void>((resolve) => clock.setTimer(retryMs, resolve));
      await removeTrial(manager, trialMs);
    }
  }
}

/** Two processes of one fleet share a trial, so that it may be gone. */
async function removeTrial(manager: JetStreamManager, olderThanMs = 0): Promise<void> {
  try {
    const { created, ts } = await manager.streams.info(trialName);
    if (Date.parse(ts ?? "") - Date.parse(created) >= olderThanMs) await manager.streams.delete(trialName);
  } catch (thrown) {
    if (!(thrown instanceof JetStreamApiError && thrown.code === streamNotFound)) throw thrown;
  }
}
