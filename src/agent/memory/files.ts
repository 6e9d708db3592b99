import { assert } from "../../base/assert.js";
import type { Clock, Random } from "../../base/ports.js";
import { refusal } from "../../contracts/errors.js";
import type {
  ActiveRelease,
  DiskSurvey,
  PhaseWork,
  ReleaseFiles,
  RouteTarget,
  SurveyedRelease,
} from "../ports.js";
import type { Behaviour, Behaviours, WorkStep } from "./behaviour.js";

/** How long a step takes, at least and at most. */
export interface StepTime {
  readonly minMs: number;
  readonly maxMs: number;
}

const defaultStepTimes: Readonly<Record<WorkStep, StepTime>> = {
  pull: { minMs: 200, maxMs: 800 },
  build: { minMs: 300, maxMs: 1_500 },
  copy: { minMs: 50, maxMs: 200 },
  prepareNext: { minMs: 5, maxMs: 20 },
  stageRoutes: { minMs: 5, maxMs: 20 },
  activate: { minMs: 10, maxMs: 50 },
  withdrawRoutes: { minMs: 5, maxMs: 20 },
};

/** What is on the disk of one instance. */
export interface MemoryDisk {
  pulled: Set<string>;
  built: Set<string>;
  copied: Set<string>;
  /** Release folders that were never complete. */
  orphans: Set<string>;
  next: string | null;
  current: string | null;
  staged: { readonly release: string; readonly port: number } | null;
  published: { readonly release: string; readonly port: number } | null;
}

/** What the sentence of any failure in memory is filled with. */
const details = {
  problem: "so it behaves in memory",
  how: "exit code 1",
  output: "so it behaves in memory",
  fleet: "memory",
  name: "the release",
  found: "one checksum",
  expected: "another",
  timeoutMs: 1,
};

interface FilesOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly behaviours: Behaviours;
  readonly stepTimes?: Partial<Record<WorkStep, StepTime>>;
}

/** The releases of a host, in memory. It outlives the agent, as a disk does, and fails where the order of the steps is wrong. */
export class MemoryFiles implements ReleaseFiles {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #behaviours: Behaviours;
  readonly #stepTimes: Readonly<Record<WorkStep, StepTime>>;
  readonly #disks = new Map<string, MemoryDisk>();
  readonly #failures = new Map<string, number>();
  /** Instances with a step under way: there must never be two. */
  #busy = new Set<string>();
  /** Counts the agents that have worked here. */
  #life = 0;
  #slowMs = 0;
  #full = false;
  readonly #steps: {
    readonly instance: string;
    readonly step: WorkStep | "abandon" | "prune";
    readonly release: string | null;
  }[] = [];

  constructor({ clock, random, behaviours, stepTimes }: FilesOptions) {
    this.#clock = clock;
    this.#random = random;
    this.#behaviours = behaviours;
    this.#stepTimes = { ...defaultStepTimes, ...stepTimes };
  }

  /** Every step that was begun, oldest first; the newest 10,000. */
  get steps() {
    return this.#steps;
  }

  /** Whoever works on the files is killed: what is under way never ends. */
  crash(): void {
    this.#life++;
    this.#busy = new Set();
  }

  /** Each step takes so much longer from now on. */
  slow(byMs: number): void {
    this.#slowMs = byMs;
  }

  /** The disk is full, or has room again: no step ends well on a full one. */
  setFull(full: boolean): void {
    this.#full = full;
  }

  disk(instance: string): MemoryDisk {
    const fresh: MemoryDisk = {
      pulled: new Set(),
      built: new Set(),
      copied: new Set(),
      orphans: new Set(),
      next: null,
      current: null,
      staged: null,
      published: null,
    };
    const disk = this.#disks.get(instance) ?? fresh;
    this.#disks.set(instance, disk);
    return disk;
  }

  pull(work: PhaseWork): Promise<void> {
    return this.#step("pull", work, (disk, { version }) => disk.pulled.add(version));
  }

  build(work: PhaseWork): Promise<void> {
    return this.#step("build", work, (disk, { version }) => {
      assert(disk.pulled.has(version), "what is built was pulled");
      disk.built.add(version);
    });
  }

  copy(work: PhaseWork): Promise<void> {
    return this.#step("copy", work, (disk, { version }) => {
      assert(disk.built.has(version), "what is copied was built");
      disk.copied.add(version);
    });
  }

  prepareNext(work: PhaseWork): Promise<void> {
    return this.#step("prepareNext", work, (disk, { version }) => {
      assert(disk.copied.has(version), "next points at what was copied");
      disk.next = version;
    });
  }

  stageRoutes(work: PhaseWork, { port }: RouteTarget): Promise<void> {
    return this.#step("stageRoutes", work, (disk, { version }) => {
      disk.staged = { release: version, port };
    });
  }

  activate(work: PhaseWork): Promise<void> {
    return this.#step("activate", work, (disk, { version }) => {
      if (disk.current === version && disk.published?.release === version && disk.staged === null) return;
      assert(disk.next === version && disk.staged?.release === version, "what becomes active was prepared");
      disk.current = version;
      disk.published = disk.staged;
      disk.next = null;
      disk.staged = null;
    });
  }

  async abandon(instance: string): Promise<void> {
    this.#note(instance, "abandon", null);
    const disk = this.disk(instance);
    disk.next = null;
    disk.staged = null;
  }

  async recover(): Promise<void> {
    // What a killed agent was at never ends here, see `crash`.
  }

  async restore(instance: string, { release, port }: ActiveRelease): Promise<void> {
    const disk = this.disk(instance);
    disk.current = release;
    disk.published = { release, port };
  }

  withdrawRoutes(instance: string): Promise<void> {
    const { current } = this.disk(instance);
    return this.#timed("withdrawRoutes", instance, current ?? "", undefined, () => {
      this.disk(instance).published = null;
    });
  }

  async prune(instance: string, keep: readonly string[], keepMax: number): Promise<void> {
    this.#note(instance, "prune", null);
    const { copied, current } = this.disk(instance);
    const old = [...copied].filter((version) => !keep.includes(version) && version !== current);
    for (const version of old.slice(0, Math.max(0, copied.size - keepMax))) copied.delete(version);
  }

  async survey(instance: string, active: SurveyedRelease | null): Promise<DiskSurvey> {
    const { copied, current, published, orphans } = this.disk(instance);
    const releases = [
      ...[...copied].map((version) => ({ version, complete: true })),
      ...[...orphans].map((version) => ({ version, complete: false })),
    ];
    if (active === null) return { link: "right", routes: "right", whole: true, releases };
    const { version } = active.release;
    return {
      link: current === version ? "right" : current === null ? "missing" : "wrong",
      routes: published?.release === version && published.port === active.port ? "right" : "wrong",
      whole: copied.has(version),
      releases,
    };
  }

  async instances(): Promise<readonly string[]> {
    return [...this.#disks.keys()];
  }

  async removeRelease(instance: string, version: string): Promise<boolean> {
    const { copied, orphans, current, next } = this.disk(instance);
    if (version === current || version === next) return false;
    copied.delete(version);
    orphans.delete(version);
    return true;
  }

  async removeInstance(instance: string): Promise<void> {
    this.#disks.delete(instance);
  }

  places(instance: string, release: string, config: string | null) {
    const cwd = `/memory/${instance}/releases/${release}`;
    return { cwd, configFile: config === null ? null : `/memory/${instance}/configs/${config}` };
  }

  #step(
    step: WorkStep,
    work: PhaseWork,
    done: (disk: MemoryDisk, release: PhaseWork["release"]) => void,
  ): Promise<void> {
    const { instance, release } = work;
    return this.#timed(step, instance, release.version, work, () => done(this.disk(instance), release));
  }

  async #timed(
    step: WorkStep,
    instance: string,
    release: string,
    work: PhaseWork | undefined,
    done: () => void,
  ): Promise<void> {
    assert(!this.#busy.has(instance), `only one step works on the files of ${instance}`);
    this.#note(instance, step, release);
    this.#busy.add(instance);
    try {
      const behaviour = this.#behaviours.get(release) ?? {};
      await this.#wait(step, behaviour, work);
      if (behaviour.failsIn === step && this.#failsNow(`${instance} ${release} ${step}`, behaviour))
        throw refusal(behaviour.code ?? "INTERNAL", { ...details, version: release, where: instance });
      if (this.#full) throw refusal("DISK_FULL", { where: instance });
      done();
    } finally {
      this.#busy.delete(instance);
    }
  }

  #failsNow(key: string, { failsTimes }: Behaviour): boolean {
    const failed = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failed + 1);
    return failsTimes === undefined || failed < failsTimes;
  }

  /** Half of the time, a progress report, the other half. */
  async #wait(step: WorkStep, behaviour: Behaviour, work: PhaseWork | undefined): Promise<void> {
    const { minMs, maxMs } = this.#stepTimes[step];
    const tookMs = minMs + (maxMs - minMs) * this.#random.unit() + (behaviour.slowMs ?? 0) + this.#slowMs;
    if (behaviour.hangsIn === step) await this.#sleep(Number.POSITIVE_INFINITY, work?.signal);
    const ticks = behaviour.tickerIn === step ? (behaviour.ticks ?? 0) : 0;
    for (let tick = 0; tick < ticks; tick++) {
      await this.#sleep(behaviour.everyMs ?? 0, work?.signal);
      work?.progress(10, "still at it");
    }
    await this.#sleep(tookMs / 2, work?.signal);
    work?.progress(50, `${step} of ${work.release.version}`);
    await this.#sleep(tookMs / 2, work?.signal);
  }

  #sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const life = this.#life;
    return new Promise((resolve, reject) => {
      const cancelled = (): void => {
        timer?.cancel();
        if (life === this.#life) reject(refusal("CANCELLED"));
      };
      const slept = (): void => {
        signal?.removeEventListener("abort", cancelled);
        if (life === this.#life) resolve();
      };
      const timer = Number.isFinite(ms) ? this.#clock.setTimer(ms, slept) : undefined;
      if (signal?.aborted === true) cancelled();
      else signal?.addEventListener("abort", cancelled, { once: true });
    });
  }

  #note(instance: string, step: WorkStep | "abandon" | "prune", release: string | null): void {
    this.#steps.push({ instance, step, release });
    if (this.#steps.length > 10_000) this.#steps.shift();
  }
}
