import fc from "fast-check";
import type { InFlight, Observed } from "../../machines/deployment-plan.js";
import type { DeploymentCommand, DeploymentEvent } from "../../machines/deployment-record.js";
import { deploymentRecordSchema } from "../../src/contracts/deployment.js";
import { type DrivenDeployment, driveDeployment, restoreDeployment } from "./drive.js";
import { byAnna, calm, deploymentOf, mass } from "./samples.js";

/**
 * A deployment with hands: its commands take effect on a naive fleet after a while, and it is shown how the fleet
 * stands only when something has changed, or when it asked to be. People and changes of leader come in between.
 */

const tickMs = 1_000;

type Deed =
  | "pause"
  | "resume"
  | "force"
  | "abort"
  | "rollBack"
  | "newLeader"
  | "silence"
  | "calm"
  | "reset"
  | "leave";

export interface Story {
  readonly isRollback: boolean;
  readonly rollback: "auto" | "off";
  readonly batch: number;
  readonly failureThreshold: number;
  /** What each instance does when it is told, and after how many ticks. */
  readonly fleet: readonly {
    readonly does: "succeeds" | "fails" | "hangs";
    readonly afterTicks: number;
    readonly hasBefore: boolean;
  }[];
  /** What else happens: at which tick, and to which instance if to one. */
  readonly deeds: readonly { readonly tick: number; readonly what: Deed; readonly instance: number }[];
  /** Ticks until a step has taken effect and is written. */
  readonly lagTicks: number;
}

export const stories: fc.Arbitrary<Story> = fc.record({
  isRollback: fc.boolean(),
  rollback: fc.constantFrom("auto", "off"),
  batch: fc.integer({ min: 1, max: 4 }),
  failureThreshold: fc.integer({ min: 1, max: 4 }),
  fleet: fc.array(
    fc.record({
      does: fc.constantFrom("succeeds", "succeeds", "fails", "hangs"),
      afterTicks: fc.integer({ min: 1, max: 5 }),
      hasBefore: fc.boolean(),
    }),
    { minLength: 1, maxLength: 8 },
  ),
  deeds: fc.array(
    fc.record({
      tick: fc.nat(60),
      what: fc.constantFrom<Deed>(
        "pause",
        "resume",
        "force",
        "abort",
        "rollBack",
        "newLeader",
        "newLeader",
        "silence",
        "calm",
        "reset",
        "leave",
      ),
      instance: fc.nat(7),
    }),
    { maxLength: 8 },
  ),
  lagTicks: fc.nat(2),
});

export interface Member {
  readonly name: string;
  state: "free" | "waiting" | "told" | "succeeded" | "failed" | "gone";
  hasFailed: boolean;
  toldAtMs: number;
  toldAtTick: number;
  tells: number;
  resets: number;
}

/** One event that the deployment handled, and what came of it. */
export interface Turn {
  readonly event: DeploymentEvent;
  readonly commands: readonly DeploymentCommand[];
  readonly deployment: DrivenDeployment;
  readonly fleet: readonly Member[];
}

/** After the last deed a paused or held roll-out is let go on; it has to end within so many ticks. */
const deedsEndAtTick = 70;
const ticksMax = 600;

/** Plays a story to its end, or to where it hangs. `onTurn` sees each event that the deployment handled. */
export function play(story: Story, onTurn: (turn: Turn) => void): DrivenDeployment {
  const host = new Host(story, onTurn);
  for (let tick = 0; tick < ticksMax && !host.isOver; tick++) host.tick(tick);
  return host.deployment;
}

class Host {
  deployment: DrivenDeployment;
  readonly #story: Story;
  readonly #onTurn: (turn: Turn) => void;
  readonly #fleet: Member[];
  #pending: { readonly atTick: number; readonly command: DeploymentCommand }[] = [];
  #step = 0;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #silence: Observed["silence"] = calm;
  #dirty = true;
  #moved = false;
  #nowMs = 0;

  constructor(story: Story, onTurn: (turn: Turn) => void) {
    this.#story = story;
    this.#onTurn = onTurn;
    this.#fleet = story.fleet.map((_, at) => ({
      name: `i${at}`,
      state: "free",
      hasFailed: false,
      toldAtMs: 0,
      toldAtTick: 0,
      tells: 0,
      resets: 0,
    }));
    const { batch, failureThreshold, rollback, isRollback } = story;
    const rollbackOf = isRollback ? "d0" : null;
    const spec = { rollback, deadlineMs: 10 * tickMs, progressDeadlineMs: 60 * tickMs };
    this.deployment = driveDeployment(deploymentOf({ batch, failureThreshold, rollbackOf, spec }));
    this.#take(this.deployment.commands, 0);
  }

  get isOver(): boolean {
    return this.deployment.snapshot.context.record.stage === "finished";
  }

  tick(tick: number): void {
    this.#nowMs = tick * tickMs;
    for (const deed of this.#story.deeds) if (deed.tick === tick) this.#do(deed.what, deed.instance, tick);
    if (tick === deedsEndAtTick) {
      this.#silence = { ...calm, calmSinceMs: this.#nowMs - calm.windowMs };
      this.#send({ type: "resume", mark: byAnna(this.#nowMs), force: true }, tick);
      this.#dirty = true;
    }
    const due = this.#pending.filter(({ atTick }) => atTick <= tick);
    this.#pending = this.#pending.filter(({ atTick }) => atTick > tick);
    for (const { command } of due) this.#carryOut(command, tick);
    this.#live(tick);
    const isWoken = this.#nowMs >= this.#wakeAtMs;
    if (!this.#dirty && !isWoken) return;
    this.#dirty = false;
    if (isWoken) this.#wakeAtMs = Number.POSITIVE_INFINITY;
    this.#send({ type: "observe", observed: this.#observed(), moved: this.#moved, nowMs: this.#nowMs }, tick);
    this.#moved = false;
  }

  #send(event: DeploymentEvent, tick: number): void {
    const commands = this.deployment.send(event);
    this.#take(commands, tick);
    this.#onTurn({ event, commands, deployment: this.deployment, fleet: this.#fleet });
  }

  /** What is asked for takes effect later, in its order; asking to be woken does at once. */
  #take(commands: readonly DeploymentCommand[], tick: number): void {
    for (const command of commands) {
      if (command.type === "wake") this.#wakeAtMs = command.atMs;
      else if ("step" in command) this.#pending.push({ atTick: tick + this.#story.lagTicks, command });
    }
  }

  #carryOut(command: DeploymentCommand, tick: number): void {
    const named = (names: readonly string[]) => this.#fleet.filter(({ name }) => names.includes(name));
    if (!("step" in command)) return;
    this.#step = command.step;
    this.#dirty = true;
    if (command.type === "claim") {
      for (const one of this.#fleet) if (one.state === "free") one.state = "waiting";
    } else if (command.type === "tell") {
      for (const one of named(command.instances)) {
        if (one.state !== "waiting") continue;
        one.state = "told";
        one.tells++;
        one.toldAtMs = command.toldAtMs;
        one.toldAtTick = tick;
        this.#moved = true;
      }
    } else if (command.type === "expire") {
      for (const one of named(command.instances)) if (one.state === "told") this.#fail(one);
    } else for (const one of this.#fleet) one.state = "gone";
  }

  #fail(one: Member): void {
    one.state = "failed";
    one.hasFailed = true;
    this.#moved = true;
  }

  #live(tick: number): void {
    this.#story.fleet.forEach(({ does, afterTicks }, at) => {
      const one = this.#fleet[at];
      if (one?.state !== "told" || does === "hangs" || tick - one.toldAtTick < afterTicks) return;
      if (does === "fails") this.#fail(one);
      else one.state = "succeeded";
      this.#moved = true;
      this.#dirty = true;
    });
  }

  #do(what: Deed, instance: number, tick: number): void {
    const mark = byAnna(this.#nowMs);
    const one = this.#fleet[instance];
    switch (what) {
      case "pause":
      case "abort":
      case "rollBack":
        this.#send({ type: what, mark }, tick);
        break;
      case "resume":
      case "force":
        this.#send({ type: "resume", mark, force: what === "force" }, tick);
        break;
      case "newLeader":
        this.#changeLeader(tick);
        break;
      case "silence":
      case "calm":
        this.#silence = what === "silence" ? mass : { ...calm, calmSinceMs: this.#nowMs };
        this.#dirty = true;
        break;
      case "reset":
        if (one?.state !== "failed") return;
        one.state = "waiting";
        one.resets++;
        this.#dirty = true;
        break;
      case "leave":
        if (one === undefined || one.state === "gone" || one.state === "free") return;
        one.state = "gone";
        this.#dirty = true;
        this.#send({ type: "left", failed: one.hasFailed }, tick);
    }
  }

  /** Nothing is known to the new one but the record, and what has taken effect. */
  #changeLeader(tick: number): void {
    if (this.isOver) return;
    const kept = JSON.stringify(this.deployment.snapshot.context.record);
    const record = deploymentRecordSchema.parse(JSON.parse(kept));
    this.#pending = [];
    this.#step = 0;
    this.#wakeAtMs = Number.POSITIVE_INFINITY;
    this.deployment = restoreDeployment(record, this.#nowMs, this.#nowMs + 2 * tickMs);
    this.#send({ type: "takenOver" }, tick);
    this.#dirty = true;
  }

  #observed(): Observed {
    const owned = this.#fleet.filter(({ state }) => state !== "gone" && state !== "free");
    const inState = (state: Member["state"]) => owned.filter((one) => one.state === state);
    const flights = inState("told")
      .map(({ name, toldAtMs }): InFlight => ({ instance: name, toldAtMs }))
      .sort((one, other) => one.toldAtMs - other.toldAtMs);
    const waiting = inState("waiting").map(({ name }) => name);
    const hasBefore = (one: Member) => this.#story.fleet[this.#fleet.indexOf(one)]?.hasBefore === true;
    return {
      step: this.#step,
      total: owned.length,
      notNeeded: 0,
      succeeded: inState("succeeded").length,
      failed: inState("failed").length,
      everFailed: owned.filter(({ hasFailed }) => hasFailed).length,
      waiting: waiting.length,
      next: waiting.slice(0, this.#story.batch),
      urgent: 0,
      nextUrgent: [],
      unreachable: 0,
      inFlight: flights.length,
      awaited: flights.length,
      flights,
      returnable: owned.filter((one) => one.tells > 0 && hasBefore(one)).length,
      unwritten: this.#pending.length,
      silence: this.#silence,
    };
  }
}
