import { messageOf } from "../../base/errors.js";
import type { DeploymentRecord } from "../../contracts/deployment.js";
import { refusal } from "../../contracts/errors.js";
import { parseKey } from "../../contracts/keys.js";
import { writeRecords } from "../history.js";
import { type SimulatedCoordinator, SimulatedWorld } from "../world.js";
import type { Act, Ask } from "./acts.js";
import { dataOf, movedSchema } from "./event-data.js";
import { type RecordedEvent, takenApart } from "./recorded-event.js";
import type { Script } from "./script.js";
import { ScriptedCrew } from "./scripted-crew.js";

/** Something that people asked for and today's control plane refuses. */
export interface Refused {
  readonly event: RecordedEvent;
  readonly atMs: number;
  readonly problem: string;
}

/** What came of a replay. */
export interface Played {
  readonly events: readonly RecordedEvent[];
  /** Its deployment, and the rollback that followed; `null` if there is none. */
  readonly forward: string | null;
  readonly rollback: string | null;
  readonly refused: readonly Refused[];
  readonly isOver: boolean;
}

/** A leader hands over at the recorded moment, and not because its lease has ended. */
const leaseMs = 60_000;
/** Behind its last event a leader may have done what followed from that; anything else it did not do any more. */
const afterLastMs = 500;
/** What is not over so long after it was over then is not waited for. */
const patienceMs = 3_600_000;

/** Plays one deployment with the coordinator of production, in virtual time. */
export async function play(script: Script): Promise<Played> {
  const stage = new Stage(script);
  await stage.open();
  await stage.run();
  return stage.played();
}

class Stage {
  readonly #script: Script;
  readonly #world: SimulatedWorld;
  readonly #refused: Refused[] = [];
  #coordinator: SimulatedCoordinator | undefined;
  #coordinators = 0;
  #crew: ScriptedCrew | undefined;
  #forward: DeploymentRecord | undefined;
  #rollback: DeploymentRecord | undefined;
  #isOn = false;

  constructor(script: Script) {
    this.#script = script;
    this.#world = new SimulatedWorld({ seed: "replay", startMs: script.startMs });
  }

  async open(): Promise<void> {
    const world = this.#world;
    const { parts, direction, records, creation } = this.#script;
    const ledger = await world.openLedger(world.hub.connect("history"));
    await world.during(writeRecords(ledger, records));
    this.#crew = new ScriptedCrew(world, ledger.ledgerId, parts, direction);
    await this.#lead();
    this.#crew.begin();
    await world.clock.advanceTo(creation.atMs);
    this.#isOn = true;
  }

  async run(): Promise<void> {
    const { creation, acts, takeovers, endMs, isOver } = this.#script;
    const { clock } = this.#world;
    this.#perform(creation);
    const steps = [
      ...takeovers.flatMap(({ fromMs, atMs }) => [
        { atMs: Math.min(fromMs + afterLastMs, atMs), take: () => this.#stop() },
        { atMs, take: () => this.#takeOver() },
      ]),
      // Whoever asks in the moment in which somebody begins to lead is answered by that one.
      ...acts.map((act) => ({ atMs: act.atMs, take: async () => this.#perform(act) })),
    ].toSorted((one, other) => one.atMs - other.atMs);
    for (const { atMs, take } of steps) {
      await clock.advanceTo(Math.max(clock.nowMs(), atMs));
      await take();
    }
    await clock.advanceTo(Math.max(clock.nowMs(), endMs));
    if (!isOver) return;
    const untilMs = clock.nowMs() + patienceMs;
    const isRefused = () => this.#refused.some(({ event }) => event === creation.event);
    await clock.runUntil(() => this.#isOver || isRefused() || clock.nowMs() >= untilMs, {
      limitMs: patienceMs,
    });
  }

  played(): Played {
    const { store, fleet } = this.#world;
    return {
      events: store.events(fleet).map((event) => takenApart(event)),
      forward: this.#forward?.id ?? null,
      rollback: this.#rollback?.id ?? null,
      refused: this.#refused,
      isOver: this.#isOver,
    };
  }

  get #isOver(): boolean {
    const forward = this.#forward;
    if (forward === undefined || forward.outcome === null) return false;
    return this.#rollback === undefined || this.#rollback.outcome !== null;
  }

  async #lead(): Promise<void> {
    this.#coordinator = await this.#world.startCoordinator(`coordinator-${++this.#coordinators}`, {
      leaseMs,
      onCommit: ({ puts }) => {
        for (const { key, value } of puts)
          if (this.#isOn && parseKey(key)?.[0] === "deployment") this.#see(value as DeploymentRecord);
      },
      unsentAtMs: (instance) => this.#crew?.unsentAtMs(instance),
    });
  }

  #see(record: DeploymentRecord): void {
    if (this.#forward === undefined || this.#forward.id === record.id) this.#forward = record;
    else if (record.rollbackOf === this.#forward.id) this.#rollback = record;
  }

  /** From here on nobody leads. */
  async #stop(): Promise<void> {
    const coordinator = this.#coordinator;
    this.#coordinator = undefined;
    if (coordinator !== undefined) await this.#world.stopCoordinator(coordinator);
  }

  async #takeOver(): Promise<void> {
    await this.#stop();
    await this.#lead();
    this.#crew?.reportAll();
  }

  /** The deployment that an act is about, which may have another name here than in the log. */
  #nameOf({ type, id }: RecordedEvent): string {
    const { rollback, creation } = this.#script;
    const isOfRollback = type.startsWith("deployment.") && type !== "deployment.rollback" && id === rollback;
    return isOfRollback ? (this.#rollback?.id ?? id) : (this.#forward?.id ?? creation.event.id);
  }

  #perform(act: Act): void {
    const { event } = act;
    const { fleet, clock } = this.#world;
    const plane = this.#coordinator?.coordinator.plane;
    const ask: Ask = (name, request) => {
      const asked = async () => {
        if (plane === undefined) throw refusal("NO_LEADER", { fleet });
        return await this.#world.ask(plane, name, request);
      };
      asked().catch((error: unknown) => {
        this.#refused.push({ event, atMs: clock.nowMs(), problem: messageOf(error) });
      });
    };
    act.perform(ask, this.#nameOf(event));
    if (event.type === "instance.moved") this.#crew?.moveTo(event.id, dataOf(movedSchema, event).agent);
  }
}
