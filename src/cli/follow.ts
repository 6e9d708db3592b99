import type { DeploymentSnapshot } from "../api/watch-deployment.js";
import { refusal } from "../contracts/errors.js";
import type { DeploymentView } from "../contracts/views.js";
import type { CliIo } from "./cli-io.js";
import { type ExitCode, exitCodes } from "./exit-codes.js";
import { nextPicture, type RolloutPicture } from "./rollout-picture.js";
import { createRolloutScreen, type RolloutScreen } from "./rollout-screen.js";
import type { Session } from "./session.js";

export interface FollowOptions {
  readonly json: boolean;
  /** `undefined`: as long as it takes. */
  readonly timeoutMs: number | undefined;
}

/**
 * Shows a roll-out until it is over, and the rollback that follows a failure until that is over too. Ctrl-C ends
 * the watching only.
 *
 * @returns what the command should end with
 * @throws RollcallError `WAIT_TIMEOUT`, and what the control plane refuses with
 */
export async function followRollout(
  { client }: Session,
  io: CliIo,
  deployment: string,
  options: FollowOptions,
): Promise<ExitCode> {
  const ending = new AbortController();
  const interruption = io.onInterrupt(() => ending.abort(exitCodes.interrupted));
  const timeLimit =
    options.timeoutMs === undefined
      ? undefined
      : io.clock.setTimer(options.timeoutMs, () => ending.abort(exitCodes.timedOut));
  const follower = new Follower(client, io, createRolloutScreen(io, options.json), ending.signal);
  try {
    const picture = await follower.follow(deployment);
    if (picture !== undefined) return exitCodeOfEnd(picture);
    if (ending.signal.reason === exitCodes.timedOut)
      throw refusal("WAIT_TIMEOUT", { deployment, timeoutMs: options.timeoutMs ?? 0 });
    io.stderr.write(
      `The watching has ended, the roll-out ${deployment} goes on. See it again by rollcall deployments watch ${deployment}\n`,
    );
    return exitCodes.interrupted;
  } finally {
    interruption.unsubscribe();
    timeLimit?.cancel();
    ending.abort(exitCodes.interrupted);
  }
}

class Follower {
  readonly #client: Session["client"];
  readonly #io: CliIo;
  readonly #screen: RolloutScreen;
  readonly #signal: AbortSignal;
  readonly #ended: Promise<undefined>;
  /** After the newest look, and after the newest change that was shown. */
  #picture: RolloutPicture | undefined;
  #shown: RolloutPicture | undefined;
  #answeredAtMs: number;

  constructor(client: Session["client"], io: CliIo, screen: RolloutScreen, signal: AbortSignal) {
    this.#client = client;
    this.#io = io;
    this.#screen = screen;
    this.#signal = signal;
    this.#ended = new Promise((resolve) => signal.addEventListener("abort", () => resolve(undefined)));
    this.#answeredAtMs = io.clock.monotonicMs();
  }

  /** @returns the last picture, `undefined` if the watching ended before the roll-out */
  async follow(deployment: string): Promise<RolloutPicture | undefined> {
    let last: RolloutPicture | undefined;
    try {
      last = await this.#watch(deployment);
      const rollback = last === undefined ? null : automaticRollbackOf(last.deployment);
      if (rollback !== null) last = await this.#watch(rollback);
      return last;
    } finally {
      this.#screen.end(last);
    }
  }

  async #watch(deployment: string): Promise<RolloutPicture | undefined> {
    const snapshots = this.#client
      .watchDeployment(deployment, {
        signal: this.#signal,
        onLook: (snapshot) => this.#look(snapshot),
        onAway: (problem) => this.#screen.away(problem, this.#io.clock.monotonicMs() - this.#answeredAtMs),
      })
      [Symbol.asyncIterator]();
    for (;;) {
      const next = await this.#nextOrEnd(snapshots);
      if (this.#signal.aborted || next === undefined) return undefined;
      if (next.done) return this.#picture;
      const after = nextPicture(this.#shown, next.value);
      this.#screen.change(this.#shown, after, next.value);
      this.#shown = after;
    }
  }

  #look(snapshot: DeploymentSnapshot): void {
    this.#answeredAtMs = this.#io.clock.monotonicMs();
    this.#picture = nextPicture(this.#picture, snapshot);
    this.#screen.look(this.#picture);
  }

  /** A request under way does not keep Ctrl-C waiting. */
  async #nextOrEnd(
    snapshots: AsyncIterator<DeploymentSnapshot>,
  ): Promise<IteratorResult<DeploymentSnapshot> | undefined> {
    const next = snapshots.next();
    next.catch(() => undefined);
    return Promise.race([next, this.#ended]);
  }
}

/** A failure that is rolled back is over when the rollback is. */
function automaticRollbackOf({ outcome, rolledBackBy }: DeploymentView): string | null {
  return outcome === "failed" || outcome === "aborted" ? rolledBackBy : null;
}

/** Who watches a rollback has what it asked for when that succeeded. */
function exitCodeOfEnd({ deployment, rollback }: RolloutPicture): ExitCode {
  if (deployment.outcome === "completed" || deployment.outcome === "rolled_back") return exitCodes.done;
  return rollback?.outcome === "rolled_back"
    ? exitCodes.failedAndRolledBack
    : exitCodes.failedAndNotRolledBack;
}
