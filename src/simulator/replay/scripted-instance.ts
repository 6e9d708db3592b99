import type { Clock, Timer } from "../../base/ports.js";
import type { DesiredInstance, Labels } from "../../contracts/instance.js";
import { sameVersion, type VersionPair } from "../../contracts/version.js";
import { standInAgent } from "../members.js";
import type { Standing, Voice } from "../voice.js";
import type { ComparedTime } from "./compared-time.js";
import type { Life, Result } from "./lives.js";
import type { Silence } from "./silences.js";

/** What an instance does in a replay. */
export interface Part {
  readonly life: Life;
  readonly labels: Labels;
  /** What it runs at the beginning. */
  readonly runs: VersionPair | null;
  readonly generation: number;
  readonly silence: Silence | undefined;
}

/** What all of them go by. */
export interface Direction {
  readonly minHealthyMs: number;
  readonly time: ComparedTime;
  /** How long an update takes of which the log says nothing. */
  readonly typicalMs: number;
  /** When an update that goes on shows that next; never, if the log says that from then on nothing moved. */
  nextMoveMs(nowMs: number): number;
}

/** An instance that does what the log says of it, when the log says it. */
export class ScriptedInstance {
  readonly #clock: Clock;
  readonly #voice: Voice;
  readonly #part: Part;
  readonly #direction: Direction;
  readonly #work = new Set<Timer>();
  #agent = standInAgent;
  #standing: Standing;
  #healthyForMs = 0;
  #generation: number;
  #told = 0;
  #mutedAtMs: number | null = null;

  constructor(clock: Clock, voice: Voice, part: Part, direction: Direction) {
    this.#clock = clock;
    this.#voice = voice;
    this.#part = part;
    this.#direction = direction;
    this.#generation = part.generation;
    const { runs } = part;
    // What runs the right version and is still owed it when the deployment is done was not well.
    const isWell = !(part.life.isLeftOwed && part.life.claims[0]?.state === "notNeeded");
    const health = isWell ? "HEALTHY" : "DEGRADED";
    this.#standing =
      runs === null ? stopped : { health, reason: null, running: runs, phase: "ACTIVE", progress: 100 };
    if (runs !== null) this.#healthyForMs = longMs;
  }

  begin(): void {
    const { life, silence } = this.#part;
    if (!life.isFromTheBeginning) this.#mute();
    if (silence !== undefined) {
      this.#at(silence.fromMs, () => this.#mute());
      this.#at(silence.untilMs, () => this.#speak());
    }
    for (const atMs of life.leavesAtMs) this.#at(atMs, () => this.#mute());
    for (const atMs of life.joinsAtMs) this.#at(atMs, () => this.#speak());
    this.report(true);
  }

  /** When it would have reported last, had it said what is nothing new. */
  unsentAtMs(): number {
    return this.#mutedAtMs ?? this.#clock.monotonicMs();
  }

  report(whole: boolean): void {
    if (this.#mutedAtMs !== null) return;
    const said = {
      agent: this.#agent,
      observedGeneration: this.#generation,
      healthyForMs: this.#healthyForMs,
    };
    this.#voice.report(this.#standing, said, whole);
  }

  /** It belongs to another agent from now on. */
  moveTo(agent: string): void {
    this.#agent = agent;
    this.report(true);
  }

  take({ generation, run }: DesiredInstance): void {
    if (generation <= this.#generation) return;
    this.#generation = generation;
    for (const timer of this.#work) timer.cancel();
    this.#work.clear();
    const target =
      run === null ? null : { release: run.release.version, config: run.config?.version ?? null };
    const telling = this.#part.life.tellings[this.#told];
    const nowMs = this.#clock.nowMs();
    this.#change({ phase: "PULLING_SOURCE", progress: 0, health: "UNKNOWN", reason: null });
    this.#keepMoving();
    if (telling === undefined || !sameVersion(telling.target, target)) {
      this.#later(this.#direction.typicalMs, () => this.#succeed(target));
      return;
    }
    this.#told++;
    // Told at another time than it was, it takes as long as it did.
    const shiftMs = this.#direction.time.isSame(nowMs, telling.atMs) ? 0 : nowMs - telling.atMs;
    for (const result of telling.results)
      this.#later(result.atMs + shiftMs - nowMs, () => this.#comeTo(result, target));
  }

  #comeTo({ failure: reason }: Result, target: VersionPair | null): void {
    if (reason === null) this.#succeed(target);
    else this.#change({ phase: "FAILED", health: "FAILED", reason });
  }

  #succeed(target: VersionPair | null): void {
    if (target === null) this.#change(stopped);
    else
      this.#change(
        { health: "HEALTHY", reason: null, running: target, phase: "ACTIVE", progress: 100 },
        this.#direction.minHealthyMs,
      );
  }

  #change(change: Partial<Standing>, healthyForMs = 0): void {
    this.#standing = { ...this.#standing, ...change };
    this.#healthyForMs = healthyForMs;
    this.report(false);
  }

  #keepMoving(): void {
    const nowMs = this.#clock.nowMs();
    const nextMs = this.#direction.nextMoveMs(nowMs);
    if (!Number.isFinite(nextMs)) return;
    this.#later(nextMs - nowMs, () => {
      const { phase, progress } = this.#standing;
      if (phase !== "PULLING_SOURCE") return;
      this.#change({ progress: (progress % 99) + 1 });
      this.#keepMoving();
    });
  }

  #mute(): void {
    this.#mutedAtMs ??= this.#clock.monotonicMs();
  }

  #speak(): void {
    this.#mutedAtMs = null;
    this.report(true);
  }

  #later(delayMs: number, fire: () => void): void {
    this.#work.add(this.#clock.setTimer(Math.max(0, delayMs), fire));
  }

  #at(atMs: number, fire: () => void): void {
    if (atMs < this.#clock.nowMs()) fire();
    else if (Number.isFinite(atMs)) this.#clock.setTimer(atMs - this.#clock.nowMs(), fire);
  }
}

/** What runs when a replay begins has run for a while. */
const longMs = 3_600_000;
const stopped: Standing = { health: "UNKNOWN", reason: null, running: null, phase: "STOPPED", progress: 0 };
