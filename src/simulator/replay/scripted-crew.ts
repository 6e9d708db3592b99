import { desiredInstanceSchema } from "../../contracts/instance.js";
import { instanceOfSubject, subjectsOf } from "../../contracts/subjects.js";
import { openLedgerReader } from "../../ledger/ledger-reader.js";
import { standInAgent } from "../members.js";
import { Voice } from "../voice.js";
import type { SimulatedWorld } from "../world.js";
import { type Direction, type Part, ScriptedInstance } from "./scripted-instance.js";

/** The instances of a replay. */
export class ScriptedCrew {
  readonly #world: SimulatedWorld;
  readonly #instances = new Map<string, ScriptedInstance>();

  constructor(world: SimulatedWorld, ledgerId: string, parts: readonly Part[], direction: Direction) {
    this.#world = world;
    const { clock, fleet, hub } = world;
    const bus = hub.connect(standInAgent);
    for (const part of parts) {
      const { labels } = part;
      const instance = part.life.id;
      const subject = subjectsOf(fleet).health(instance);
      const voice = new Voice({ bus, subject, instance, labels, ledgerId });
      this.#instances.set(instance, new ScriptedInstance(clock, voice, part, direction));
    }
    openLedgerReader(bus, fleet).watch("desired.>", ({ value }) => {
      const desired = desiredInstanceSchema.safeParse(value);
      if (desired.success) this.#instances.get(desired.data.instance)?.take(desired.data);
    });
    bus.subscribe(subjectsOf(fleet).ask("*", "report"), ({ subject }) => {
      this.#instances.get(instanceOfSubject(subject) ?? "")?.report(true);
    });
  }

  unsentAtMs = (instance: string): number | undefined => this.#instances.get(instance)?.unsentAtMs();

  begin(): void {
    for (const instance of this.#instances.values()) instance.begin();
  }

  /** A new leader hears all of them within an interval. */
  reportAll(): void {
    for (const instance of this.#instances.values()) instance.report(true);
  }

  moveTo(instance: string, agent: string): void {
    // In a later turn: its first report under the other agent comes after it was given to that one.
    this.#world.clock.setTimer(1, () => this.#instances.get(instance)?.moveTo(agent));
  }
}
