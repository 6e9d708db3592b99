import { type AppLook, lookAtApp, lookForUnasked, type UnaskedAlert } from "../../../machines/app-look.js";
import type { AppInstance, AskedApp } from "../../../machines/app-standing.js";
import type { Clock, Timer } from "../../base/ports.js";
import type { KnownApps } from "./known-apps.js";

/** Pairs of app and instance that are looked at in one go, a few milliseconds: in between everything else has its turn. */
const pairsAtOnceMax = 20_000;
/** Alerts that begin in one go, so that their words cost little and their events fit some batches. */
const alertsAtOnceMax = 250;
/** Names that are remembered of apps that nobody asked for. */
const unaskedMax = 1_000;

/** Some apps and what was found of them, a moment ago. */
export interface Looked {
  readonly looks: readonly { readonly asked: AskedApp; readonly look: AppLook }[];
  readonly instances: readonly AppInstance[];
}

export interface AppLooksParts {
  readonly clock: Clock;
  readonly known: KnownApps;
  /** Between two rounds, milliseconds. */
  readonly everyMs: number;
  readonly alertAfterMs: number;
  nowMs(): number;
  /** Some apps were looked at: what follows is done in the same turn, while it is so. */
  onLooked(looked: Looked): void;
  /** The same of what instances have that nobody asked for. */
  onUnasked(begin: readonly UnaskedAlert[]): void;
  /** All were. */
  onRound(): void;
}

/** Looks at all apps, round after round, some at a time, and has it remembered since when their conditions are what they are. */
export class AppLooks {
  readonly #parts: AppLooksParts;
  #timer: Timer | undefined;

  constructor(parts: AppLooksParts) {
    this.#parts = parts;
  }

  start(): void {
    const { known, clock, everyMs } = this.#parts;
    this.#timer = clock.setTimer(everyMs, () => this.#look([...known.catalog.records.keys()]));
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #look(apps: readonly string[]): void {
    const { known, clock, alertAfterMs, onLooked, nowMs } = this.#parts;
    const instances = known.instances();
    const atOnce = Math.max(1, Math.floor(pairsAtOnceMax / Math.max(1, instances.length)));
    const now = nowMs();
    let room = alertsAtOnceMax;
    const looks = apps.slice(0, atOnce).flatMap((app) => {
      const record = known.catalog.records.get(app);
      if (record === undefined) return [];
      const asked = known.askedOf(record);
      const look = lookAtApp(asked, instances, now, { alertAfterMs, room });
      room -= look.begin.length;
      known.noteConditions(asked, look.tally);
      return [{ asked, look }];
    });
    onLooked({ looks, instances });
    const left = apps.slice(atOnce);
    if (left.length > 0) this.#timer = clock.setTimer(0, () => this.#look(left));
    else this.#lookForUnasked([...known.catalog.instances.keys()], new Set(), alertsAtOnceMax);
  }

  #lookForUnasked(ids: readonly string[], found: Set<string>, room: number): void {
    const { known, clock, alertAfterMs, onUnasked, onRound, nowMs } = this.#parts;
    const instances: AppInstance[] = [];
    let at = 0;
    for (let pairs = 0; at < ids.length && pairs < pairsAtOnceMax; at++) {
      const one = known.find(ids[at] ?? "");
      pairs += 1 + (one?.states.size ?? 0);
      if (one !== undefined) instances.push(one);
    }
    const rules = { alertAfterMs, room };
    const { apps, begin } = lookForUnasked(instances, known.askedApps(), nowMs(), rules);
    for (const app of apps) if (found.size < unaskedMax) found.add(app);
    onUnasked(begin);
    if (at < ids.length) {
      this.#timer = clock.setTimer(0, () => this.#lookForUnasked(ids.slice(at), found, room - begin.length));
      return;
    }
    known.noteUnasked(found);
    onRound();
    this.start();
  }
}
