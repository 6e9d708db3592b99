import { assert } from "../base/assert.js";
import { RollcallError } from "../base/errors.js";
import type { Clock } from "../base/ports.js";
import type { LedgerPlace } from "../contracts/answer-source.js";
import type { EndpointName, ReplyOf } from "../contracts/api.js";
import { isPassing } from "./retry.js";
import { wait } from "./wait.js";

/** A reply, and where in the history of the ledger it stands, if its sender says so. */
export interface Answer<E extends EndpointName> {
  readonly reply: ReplyOf<E>;
  readonly place: LedgerPlace | undefined;
}

/** A deployment at one moment. */
export type DeploymentSnapshot = ReplyOf<"deployments.get">;

export interface WatchOptions {
  /** Time between two looks; longer where an answer takes long. */
  readonly everyMs?: number;
  /** How long a control plane may be away before the watching ends with its error. */
  readonly patienceMs?: number;
  /** Ends the watching. */
  readonly signal?: AbortSignal;
  /** Shown every look that succeeded, also one without a change: its ages and its sentence are the newest. */
  readonly onLook?: (snapshot: DeploymentSnapshot) => void;
  /** Told of every look that failed and will be repeated. */
  readonly onAway?: (problem: RollcallError) => void;
}

const everyDefaultMs = 250;
const patienceDefaultMs = 60_000;
/** A watcher spends at most this share of its time in asking. */
const askingShare = 1 / 4;
/** A look that took long, as over a change of leader, is no reason to look away for long. */
const pauseMaxMs = 2_000;

type Ask = (request: { deployment: string; instances: boolean }) => Promise<Answer<"deployments.get">>;

/** See `Client.watchDeployment`. */
export async function* watchDeployment(
  ask: Ask,
  clock: Clock,
  deployment: string,
  options: WatchOptions = {},
): AsyncGenerator<DeploymentSnapshot, void, undefined> {
  const { everyMs = everyDefaultMs, patienceMs = patienceDefaultMs, signal, onLook, onAway } = options;
  assert(everyMs > 0, "a watcher pauses between two looks");
  const looker = new Looker(ask, deployment, onLook);
  let answeredAtMs = clock.monotonicMs();
  while (!signal?.aborted) {
    const askedAtMs = clock.monotonicMs();
    let pauseMs = everyMs;
    try {
      const news = await looker.look();
      answeredAtMs = clock.monotonicMs();
      pauseMs = Math.max(everyMs, Math.min((answeredAtMs - askedAtMs) / askingShare, pauseMaxMs));
      if (signal?.aborted) return;
      if (news !== undefined) yield news;
      if (looker.finished) return;
    } catch (thrown) {
      if (!isPassing(thrown) || clock.monotonicMs() - answeredAtMs > patienceMs) throw thrown;
      onAway?.(thrown);
    }
    await wait(clock, pauseMs, signal);
  }
}

/** When something was so. */
interface Moment {
  readonly epoch: number;
  readonly asOf: number;
  readonly place: LedgerPlace | undefined;
}

interface Shown extends Moment {
  readonly text: string;
}

function isOlder(one: Moment, other: Moment): boolean {
  if (one.epoch !== other.epoch) return one.epoch < other.epoch;
  if (one.place === undefined || one.place.ledgerId !== other.place?.ledgerId) return one.asOf < other.asOf;
  return one.place.revision < other.place.revision;
}

/** Remembers what was shown, and shows nothing older or equal. */
class Looker {
  readonly #ask: Ask;
  readonly #deployment: string;
  readonly #onLook: WatchOptions["onLook"];
  #withInstances = true;
  #shown: Shown | undefined;
  finished = false;

  constructor(ask: Ask, deployment: string, onLook: WatchOptions["onLook"]) {
    this.#ask = ask;
    this.#deployment = deployment;
    this.#onLook = onLook;
  }

  async look(): Promise<DeploymentSnapshot | undefined> {
    const { reply: snapshot, place } = await this.#snapshot();
    const { epoch, asOf } = snapshot;
    const shown = this.#shown;
    // Reads are answered by any coordinator, and one of them may lag.
    if (shown !== undefined && isOlder({ epoch, asOf, place }, shown)) return undefined;
    this.#onLook?.(snapshot);
    const text = comparable(snapshot);
    this.#shown = { text, epoch, asOf, place };
    this.finished = snapshot.deployment.state === "finished";
    return text === shown?.text ? undefined : snapshot;
  }

  /** A deployment whose instances do not fit into one message is watched without them. */
  async #snapshot(): Promise<Answer<"deployments.get">> {
    try {
      return await this.#ask({ deployment: this.#deployment, instances: this.#withInstances });
    } catch (thrown) {
      if (!this.#withInstances || !(thrown instanceof RollcallError) || thrown.code !== "PAYLOAD_TOO_LARGE")
        throw thrown;
      this.#withInstances = false;
      return this.#ask({ deployment: this.#deployment, instances: false });
    }
  }
}

/** Ages move by themselves, also within a sentence: they are no change. */
function comparable({ deployment, instances }: DeploymentSnapshot): string {
  return JSON.stringify([deployment, deployment.why.rule, instances], (key, value: unknown) =>
    key === "reportAgeMs" || key === "why" ? undefined : value,
  );
}
