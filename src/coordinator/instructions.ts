import type { DeploymentCommand } from "../../machines/deployment-record.js";
import type { Target } from "../../machines/deployment-targets.js";
import type { DeploymentRecord } from "../contracts/deployment.js";
import { refusal } from "../contracts/errors.js";
import { byRule } from "../contracts/origin.js";
import type { Members } from "./members.js";
import type { Term } from "./term.js";

/** Carries out what a deployment's machine tells its members, and watches until it has taken effect on each. */
export class Instructions {
  readonly #term: Term;
  readonly #members: Members;
  readonly #targetsOf: (record: DeploymentRecord) => readonly Target[];

  constructor(term: Term, members: Members, targetsOf: (record: DeploymentRecord) => readonly Target[]) {
    this.#term = term;
    this.#members = members;
    this.#targetsOf = targetsOf;
  }

  /** Does what a command says to members; the others are not for this one. */
  carryOut(record: DeploymentRecord, command: DeploymentCommand): void {
    if (command.type === "claim") this.#claim(record, command.step);
    else if (command.type === "tell") this.#tell(record, command.step, command.instances, command.toldAtMs);
    else if (command.type === "expire") this.#expire(record, command.step, command.instances);
    else if (command.type === "complete") this.#letGo(record, command.step, true, false);
    else if (command.type === "revert") this.#letGo(record, command.step, false, command.goBack);
  }

  #claim(record: DeploymentRecord, step: number): void {
    const { index } = this.#term;
    const origin = byRule("rollout", record.id, step);
    const targets = this.#targetsOf(record);
    const taken = new Set(targets.map((target) => target.instance));
    for (const { instance, target, before, urgent } of targets) {
      this.#members.command(instance, {
        type: "claim",
        deployment: record.id,
        target,
        before,
        urgent,
        minHealthyMs: record.spec.minHealthyMs,
        origin,
      });
    }
    // What the deployment that is undone owned and never told anything is left alone. What it was about to tell when
    // it ended goes back by itself.
    const goBack = { deadlineMs: record.spec.deadlineMs };
    if (record.rollbackOf !== null) {
      for (const instance of index.membersOf(record.rollbackOf).keys())
        if (!taken.has(instance))
          this.#members.command(instance, { type: "release", completed: false, goBack, origin });
    }
    index.beginStep(record.id, step, taken, (standing) => standing !== undefined);
  }

  #tell(record: DeploymentRecord, step: number, instances: readonly string[], toldAtMs: number): void {
    const { deadlineMs } = record.spec;
    const origin = byRule("rollout", record.id, step);
    for (const instance of instances)
      this.#members.command(instance, { type: "tell", deployment: record.id, toldAtMs, deadlineMs, origin });
    this.#term.index.beginStep(record.id, step, instances, (standing) => standing?.claim.state !== "waiting");
  }

  #expire(record: DeploymentRecord, step: number, instances: readonly string[]): void {
    const { deadlineMs } = record.spec;
    const origin = byRule("deadline", record.id, step);
    for (const instance of instances) {
      const context = this.#members.find(instance)?.snapshot().context;
      const { phase = "UNKNOWN", note = "" } = context?.seen?.state ?? {};
      const { message } = refusal("INSTANCE_DEADLINE", {
        deadlineMs,
        version: context?.record.desired?.release ?? "stopped",
        phase: note === "" ? phase : `${phase}, ${note}`,
      });
      this.#members.command(instance, {
        type: "expire",
        reason: { code: "INSTANCE_DEADLINE", message },
        origin,
      });
    }
    this.#term.index.beginStep(record.id, step, instances, (standing) => standing?.claim.state !== "told");
  }

  /** Whether an instance has to go back it decides itself: what it was told may be on its way to it. */
  #letGo(record: DeploymentRecord, step: number, completed: boolean, goBack: boolean): void {
    const { index } = this.#term;
    const { deadlineMs } = record.spec;
    const origin = byRule("rollout", record.id, step);
    const owned = [...index.membersOf(record.id).keys()];
    for (const instance of owned)
      this.#members.command(instance, {
        type: "release",
        completed,
        undoes: record.rollbackOf !== null,
        origin,
        ...(goBack ? { goBack: { deadlineMs } } : {}),
      });
    index.beginStep(record.id, step, owned, (standing) => standing === undefined);
  }
}
