import { keepsWhatItRuns, nextToConverge, patienceMs } from "../../machines/convergence.js";
import { targetFor } from "../../machines/deployment-request.js";
import type { WhoseWord } from "../../machines/member-events.js";
import { isCatchingUp, isOwed } from "../../machines/member-record.js";
import { messageOf } from "../base/errors.js";
import { mintedAtMsOf } from "../base/ledger-id.js";
import type { Timer } from "../base/ports.js";
import type { InstanceRecord } from "../contracts/deployment.js";
import { refusal } from "../contracts/errors.js";
import type { Labels } from "../contracts/instance.js";
import { byRule } from "../contracts/origin.js";
import { matches, parseSelector } from "../contracts/selector.js";
import { sameVersion, type VersionPair } from "../contracts/version.js";
import type { MemberSnapshot, Members } from "./members.js";
import type { RollOuts } from "./roll-outs.js";
import type { Term } from "./term.js";

interface UnderWay {
  readonly deployment: string;
  readonly generation: number;
  /** Since when the ledger has what it was told; a new leader gives it its whole time once more. */
  toldAtMs: number | null;
  look: Timer | undefined;
}

/**
 * Brings instances to what finished deployments owe them, because they were away or joined later: a batch of that
 * deployment at a time. Their failures raise an alert and count for nothing.
 */
export class Convergence {
  readonly #term: Term;
  readonly #members: Members;
  readonly #rollOuts: RollOuts;
  readonly #judgeFromMs: () => number;
  /** Instances that were not told yet what they are owed. */
  readonly #due = new Set<string>();
  readonly #underWay = new Map<string, UnderWay>();
  #soon: Timer | undefined;
  #started = false;

  /** @param judgeFromMs when instances may be judged again by what was not heard of them, in ledger time */
  constructor(term: Term, members: Members, rollOuts: RollOuts, judgeFromMs: () => number) {
    this.#term = term;
    this.#members = members;
    this.#rollOuts = rollOuts;
    this.#judgeFromMs = judgeFromMs;
  }

  /** From here on instances are told. */
  start(): void {
    this.#started = true;
    for (const [instance, underWay] of this.#underWay) this.#lookAt(instance, underWay);
    this.review();
  }

  /** Takes in how a member stands now. */
  see(instance: string, { context: { record }, value }: MemberSnapshot): void {
    if (isOwed(record)) {
      this.#due.add(instance);
      this.review();
    } else this.#due.delete(instance);
    const underWay = this.#underWay.get(instance);
    const isUnderWay = isCatchingUp(record) && value.update === "IN_PROGRESS";
    if (underWay !== undefined && !(isUnderWay && underWay.generation === record.generation)) {
      underWay.look?.cancel();
      this.#underWay.delete(instance);
      if (isCatchingUp(record) && value.update === "FAILED") this.#alert(instance, underWay.deployment);
      // Its place is another's.
      this.review();
    }
    if (isUnderWay && !this.#underWay.has(instance)) this.#watch(record);
  }

  #alert(instance: string, deployment: string): void {
    const { log, writer } = this.#term;
    const code = "CONVERGENCE_FAILED";
    const message = "an instance failed on the version that it was owed";
    log.error({ instance, deployment, code }, message);
    const origin = byRule("convergence", deployment);
    writer
      .add({
        events: [
          { kind: "instance", id: instance, type: "instance.alerted", data: { code, message }, ...origin },
        ],
      })
      // The term ends with a write that failed.
      .catch((error: unknown) =>
        log.debug({ instance, error: messageOf(error) }, "an alert was not written"),
      );
  }

  /** Tells those whose turn it is, soon. */
  review(): void {
    if (this.#started && this.#due.size + this.#underWay.size > 0)
      this.#soon ??= this.#term.clock.setTimer(0, () => this.#converge());
  }

  /** The instance has left. */
  forget(instance: string): void {
    this.#due.delete(instance);
    this.#underWay.get(instance)?.look?.cancel();
    this.#underWay.delete(instance);
    this.review();
  }

  stop(): void {
    this.#started = false;
    this.#soon?.cancel();
    for (const { look } of this.#underWay.values()) look?.cancel();
  }

  /**
   * What the completed deployments have brought to instances with these labels, the rolled back ones left out; the
   * newest one owes it.
   *
   * @param word whose word the instance acts on
   */
  dueTo(labels: Labels, word: WhoseWord): InstanceRecord["owed"] {
    let due: InstanceRecord["owed"] = null;
    for (const { id, spec } of this.#rollOuts.standing()) {
      if (this.#keepsWhatItRuns(word, id)) continue;
      if (!matches(parseSelector(spec.selector), labels)) continue;
      const target: VersionPair | undefined = targetFor(spec, due?.target ?? null);
      if (target !== undefined) due = { deployment: id, target, minHealthyMs: spec.minHealthyMs };
    }
    return due;
  }

  #keepsWhatItRuns(word: WhoseWord, deployment: string): boolean {
    const madeAtMs = this.#rollOuts.record(deployment)?.created.atMs ?? 0;
    const { ledgerId, restoredFrom } = this.#term;
    // What was made before the ledger was comes from the backup.
    const restoredAtMs = restoredFrom === null ? null : (mintedAtMsOf(ledgerId) ?? null);
    return keepsWhatItRuns(word, madeAtMs, restoredAtMs);
  }

  #watch({ id, owed, generation }: InstanceRecord): void {
    if (owed === null) return;
    const underWay: UnderWay = {
      deployment: owed.deployment,
      generation,
      toldAtMs: null,
      look: undefined,
    };
    this.#underWay.set(id, underWay);
    const begin = () => {
      underWay.toldAtMs = this.#term.nowMs();
      this.#lookAt(id, underWay);
    };
    // The term ends with a write that failed.
    this.#members.saved(id).then(begin, () => undefined);
  }

  /** Judges it once its time is over. */
  #lookAt(instance: string, underWay: UnderWay): void {
    if (!this.#started || this.#underWay.get(instance) !== underWay) return;
    const { clock, nowMs } = this.#term;
    const { deployment, toldAtMs } = underWay;
    const deadlineMs = this.#rollOuts.deadlineMsOf(deployment);
    const waitMs = patienceMs({ toldAtMs, deadlineMs }, nowMs(), this.#judgeFromMs());
    if (waitMs === null) return;
    if (waitMs === 0) this.#expire(instance, deployment, deadlineMs);
    else
      underWay.look = clock.setTimer(waitMs, () => {
        // Behind all else that is due: whoever stood still finds that out first.
        underWay.look = clock.setTimer(0, () => this.#lookAt(instance, underWay));
      });
  }

  /** Its place is another's now. */
  #expire(instance: string, deployment: string, deadlineMs: number): void {
    const context = this.#members.find(instance)?.snapshot().context;
    const { message } = refusal("INSTANCE_DEADLINE", {
      deadlineMs,
      version: context?.record.desired?.release ?? "stopped",
      phase: context?.seen?.state.phase ?? "UNKNOWN",
    });
    this.#members.command(instance, {
      type: "expire",
      reason: { code: "INSTANCE_DEADLINE", message },
      origin: byRule("deadline", deployment),
    });
  }

  #converge(): void {
    this.#soon = undefined;
    this.#dropUndone();
    const inFlight = new Map<string, number>();
    for (const { deployment } of this.#underWay.values())
      inFlight.set(deployment, (inFlight.get(deployment) ?? 0) + 1);
    const reachable = [...this.#due].flatMap((instance) => {
      const context = this.#members.find(instance)?.snapshot().context;
      // It was heard of, and not too long ago.
      if (context === undefined || context.seen === null || context.silent) return [];
      const { owed } = context.record;
      if (owed === null || this.#keepsWhatItRuns(context.seen.ledger, owed.deployment)) return [];
      return [{ instance, deployment: owed.deployment }];
    });
    for (const { instance, deployment } of nextToConverge(
      reachable,
      inFlight,
      (id) => this.#rollOuts.record(id)?.batch ?? 1,
    )) {
      // From here on it is on its way; its next event says it again.
      this.#due.delete(instance);
      this.#members.command(instance, {
        type: "catchUp",
        deployment,
        deadlineMs: this.#rollOuts.deadlineMsOf(deployment),
        origin: byRule("convergence", deployment),
      });
    }
  }

  /** What was rolled back is owed to nobody: whoever waits for it, or is on its way to it, gets what there was before it. */
  #dropUndone(): void {
    const undone = this.#rollOuts.undone();
    for (const [instance, { deployment }] of this.#underWay) {
      const rollback = undone.get(deployment);
      const record = this.#members.find(instance)?.snapshot().context.record;
      if (rollback === undefined || record?.claim !== null || record.owed?.deployment !== deployment)
        continue;
      // The rollback did not see that it was being told.
      const owed = { ...record.owed, deployment: rollback, target: record.last?.before ?? null };
      this.#members.command(instance, { type: "owe", owed, origin: byRule("convergence", rollback) });
    }
    for (const instance of this.#due) {
      const context = this.#members.find(instance)?.snapshot().context;
      const rollback = undone.get(context?.record.owed?.deployment ?? "");
      if (context === undefined || rollback === undefined) continue;
      const { record, seen } = context;
      const due = this.dueTo(record.labels, seen?.ledger ?? "own");
      const owed = due !== null && sameVersion(due.target, record.stable) ? null : due;
      this.#due.delete(instance);
      this.#members.command(instance, { type: "owe", owed, origin: byRule("convergence", rollback) });
    }
  }
}
