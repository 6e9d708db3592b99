import { currentFormats, type Formats } from "../../src/contracts/record-formats.js";
import { nextFormats } from "../../src/simulator/chaos/next-formats.js";
import { AuditCheck } from "./audit-check.js";
import { fleet, leaseMs } from "./coordinators-world.js";
import type { Behaviour } from "./fake-agent.js";
import { FleetWorld } from "./fleet.js";
import { Invariants } from "./invariants.js";
import { quietLog } from "./quiet-log.js";
import { WrittenFormats } from "./written-formats.js";

const releases = ["v1", "v2", "v3", "v4"] as const;
const selectors = [null, "tier=web", "tier!=web", "zone=a"] as const;
/** From here on everything is told to behave; more than this and it does not come to rest. */
const restMs = 3_600_000;

/**
 * A random life of a small fleet, whole and repeatable by its seed: random sizes, behaviours, requests of people, lost, late
 * and doubled messages, faults of the ledger, coordinators that are stopped, killed, stalled and cut off. What must hold is
 * checked after each virtual event; at the end all faults are over, and the fleet has to come to rest.
 */
export class RandomFleet {
  readonly world: FleetWorld;
  readonly invariants: Invariants;
  /** What happened, for whoever reads a failure. */
  readonly diary: string[] = [];
  readonly #unit: () => number;
  readonly #audit: AuditCheck;
  readonly #faults: { end: () => void }[] = [];
  #coordinators = 0;
  #joined = 0;
  readonly #errors: string[] = [];
  /** Coordinators and agents are of two versions, at random. */
  readonly #isUpgrade: boolean;
  readonly written: WrittenFormats;

  constructor(seed: number, options: { upgrade?: boolean } = {}) {
    this.#isUpgrade = options.upgrade ?? false;
    const log = {
      ...quietLog,
      error: (facts: object, sentence: string) => this.#noteError(facts, sentence),
      child: () => log,
    };
    this.world = new FleetWorld({ seed, log });
    this.#unit = generator(seed);
    this.#audit = new AuditCheck(this.world, { reports: false });
    this.written = new WrittenFormats(this.world);
    this.invariants = new Invariants(this.world);
  }

  async live(steps: number): Promise<void> {
    await this.#begin();
    for (let step = 0; step < steps; step++) {
      await this.#step();
      await this.world.advance(this.#int(0, this.#chance(0.3) ? 30_000 : 3_000));
      if (this.#isUpgrade && this.#chance(0.15)) await this.world.advance(this.#int(100_000, 500_000));
    }
    await this.#rest();
  }

  async #begin(): Promise<void> {
    const { world } = this;
    await this.#startCoordinator();
    if (this.#chance(0.5)) await this.#startCoordinator();
    const size = this.#int(1, 9);
    for (let n = 0; n < size; n++) this.#join();
    await world.advance(2_500);
    for (const release of releases)
      await world.pushRelease(release, {
        deadlineMs: this.#int(5, 60) * 1_000,
        minHealthyMs: this.#int(0, 3_000),
      });
    await world.pushConfig("c1");
  }

  async #step(): Promise<void> {
    const happenings: readonly (readonly [weight: number, what: () => Promise<void> | void])[] = [
      [6, () => this.#create()],
      [3, () => this.#act("pause")],
      [4, () => this.#act("resume")],
      [2, () => this.#act("abort")],
      [3, () => this.#act("rollback")],
      [2, () => this.#act("retry")],
      [3, () => this.#instance("reset")],
      [1, () => this.#instance("remove")],
      [1, () => this.#relabel()],
      [2, () => this.#join()],
      [3, () => this.#agentFault()],
      [4, () => this.#messageFault()],
      [2, () => this.#ledgerFault()],
      [3, () => this.#coordinatorFault()],
      [3, () => this.#endFault()],
    ];
    let at = this.#unit() * happenings.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, what] of happenings) {
      at -= weight;
      if (at >= 0) continue;
      await what();
      return;
    }
  }

  async #rest(): Promise<void> {
    const { world } = this;
    this.diary.push("all faults are over");
    for (const { end } of this.#faults.splice(0)) end();
    for (const agent of world.agents.values()) {
      agent.behaviour = () => ({});
      if (!agent.started) agent.start();
    }
    if (world.coordinators.size === 0) await this.#startCoordinator();
    // One that can lead whatever is written by now.
    if (this.#isUpgrade) await this.#startCoordinator(nextFormats);
    const untilMs = world.clock.nowMs() + restMs;
    for (;;) {
      await world.advance(20_000);
      const problem = await this.#untilCalm();
      if (problem === undefined) break;
      if (world.clock.nowMs() > untilMs) throw new Error(`it does not come to rest: ${problem}`);
    }
    this.invariants.checkEnd();
    if (this.#audit.problems.length > 0) throw new Error(this.#audit.problems.join("; "));
    if (this.#errors.length > 0) throw new Error(`errors were logged: ${this.#errors.join("; ")}`);
  }

  /** Lets go of what people have stopped. @returns what is not calm yet */
  async #untilCalm(): Promise<string | undefined> {
    const { world } = this;
    if (world.leaderName() === undefined) return "nobody leads";
    const { items } = await world.call("deployments.list", {});
    // A fault that still waits for the next write may refuse it; it is asked for again.
    for (const { id, paused } of items)
      if (paused !== null)
        await world.call("deployments.resume", { deployment: id, force: true }).catch(() => undefined);
    const active = items.filter(({ outcome }) => outcome === null);
    if (active.length > 0) return active.map(({ why }) => why.sentence).join(" ");
    try {
      this.invariants.checkEnd();
      return undefined;
    } catch (problem) {
      return String(problem);
    }
  }

  // People

  async #create(): Promise<void> {
    const release = this.#chance(0.9) ? this.#pick(releases) : null;
    await this.#ask("create", () =>
      this.world.ask("deployments.create", {
        release,
        config: release === null || this.#chance(0.2) ? "c1" : null,
        selector: this.#pick(selectors),
        batch: this.#chance(0.5) ? this.#int(1, 5) : `${this.#int(1, 100)}%`,
        failureThreshold: this.#int(1, 4),
        progressDeadlineMs: this.#int(30, 600) * 1_000,
        rollback: this.#chance(0.8) ? "auto" : "off",
      }),
    );
  }

  async #act(verb: "pause" | "resume" | "abort" | "rollback" | "retry"): Promise<void> {
    // Ids are d1, d2, …: mostly one of the newest, sometimes any.
    const newest = this.invariants.deployments.size;
    const number = this.#chance(0.7) ? Math.max(1, newest - this.#int(0, 1)) : this.#int(1, newest + 1);
    const asked = { deployment: `d${number}`, by: "random" };
    await this.#ask(`${verb} d${number}`, () =>
      verb === "resume"
        ? this.world.ask("deployments.resume", { ...asked, force: this.#chance(0.5) })
        : this.world.ask(`deployments.${verb}`, asked),
    );
  }

  async #instance(verb: "reset" | "remove"): Promise<void> {
    const instance = this.#pick([...this.world.agents.keys()]);
    await this.#ask(`${verb} ${instance}`, () => this.world.ask(`instances.${verb}`, { instance }));
  }

  /** Asks without waiting for the answer, or waits for it for a while; refusals are as good as answers. */
  async #ask(what: string, request: () => Promise<unknown>): Promise<void> {
    this.diary.push(what);
    if (this.world.leaderName() === undefined) return;
    const answer = request().then(
      () => undefined,
      (error: unknown) => this.diary.push(`  refused: ${String(error)}`),
    );
    if (this.#chance(0.5)) return;
    const patience = new Promise<void>((resolve) => this.world.clock.setTimer(2_000, resolve));
    await this.world.during(Promise.race([answer, patience]));
  }

  // Instances

  #join(): void {
    this.#joined++;
    const name = `i${this.#joined}`;
    this.diary.push(`${name} joins`);
    const labels = { tier: this.#pick(["web", "db"]), ...(this.#chance(0.5) ? { zone: "a" } : {}) };
    const agent = this.world.addAgent(name, labels, undefined, this.#formats());
    const seeds = Object.fromEntries(releases.map((release) => [release, this.#unit()] as const));
    agent.behaviour = ({ run }) => this.#behaviourOf(seeds[run?.release.version ?? "v1"] ?? 0);
  }

  /** Half of what is told goes well. */
  #behaviourOf(at: number): Behaviour {
    const tookMs = this.#int(100, 8_000);
    if (at < 0.55) return { tookMs };
    if (at < 0.7) return { tookMs, fails: true };
    if (at < 0.8) return { hangs: true };
    if (at < 0.9) return { tookMs, failsAfterMs: this.#int(100, 5_000) };
    return this.#chance(0.5) ? { tookMs, fails: true } : { tookMs };
  }

  async #relabel(): Promise<void> {
    const agent = this.world.agent(this.#pick([...this.world.agents.keys()]));
    this.diary.push(`${agent.instance} has other labels`);
    agent.labels = { tier: this.#pick(["web", "db"]) };
    agent.set({ labels: agent.labels });
  }

  #agentFault(): void {
    const agent = this.world.agent(this.#pick([...this.world.agents.keys()]));
    const bus = `agent-${agent.instance}`;
    const kind = this.#pick(["restart", "stop", "cut", "fail", "recover"] as const);
    this.diary.push(`${kind} ${agent.instance}`);
    if (kind === "restart") agent.restart();
    else if (kind === "fail") agent.fail("at random");
    else if (kind === "recover") agent.recover();
    else if (kind === "stop") {
      agent.stop();
      this.#faults.push({ end: () => void (agent.started || agent.start()) });
    } else {
      this.world.hub.disconnect(bus);
      this.#faults.push({ end: () => this.world.hub.reconnect(bus) });
    }
  }

  // The world between

  #messageFault(): void {
    const { hub } = this.world;
    const kind = this.#pick(["drop", "duplicate", "delay"] as const);
    const area = this.#pick([".health.", ".desired.", ".ask."]);
    const share = this.#unit() * 0.5;
    this.diary.push(`${kind} ${Math.round(share * 100)} % of ${area}`);
    const which = ({ subject, to }: { subject: string; to: string }) =>
      to !== "witness" && subject.includes(area) && this.#unit() < share;
    const fault =
      kind === "delay"
        ? hub.delay(this.#int(1, 5_000), which)
        : kind === "drop"
          ? hub.drop(which)
          : hub.duplicate(which);
    this.#faults.push({ end: () => fault.unsubscribe() });
  }

  #ledgerFault(): void {
    const { store } = this.world;
    const kind = this.#pick(["refuse", "lose", "hold", "unavailable", "full", "depose"] as const);
    this.diary.push(`ledger: ${kind}`);
    if (kind === "refuse") store.refuseNextCommit(fleet);
    else if (kind === "lose") store.loseNextAnswer(fleet);
    else if (kind === "depose") store.depose(fleet);
    else if (kind === "hold") this.#faults.push({ end: store.holdNextCommit(fleet) });
    else if (kind === "unavailable") {
      const fault = store.unavailable();
      this.#faults.push({ end: () => fault.unsubscribe() });
    } else {
      store.limit(fleet, store.used(fleet) + 2_000);
      this.#faults.push({ end: () => store.limit(fleet, 1_073_741_824) });
    }
  }

  async #coordinatorFault(): Promise<void> {
    const { world } = this;
    const name = this.#pick([...world.coordinators.keys()]);
    const kind = this.#pick(["kill", "stop", "stall", "cut", "start"] as const);
    this.diary.push(`${kind} ${name}`);
    if (kind === "start" && world.coordinators.size < 3) await this.#startCoordinator();
    else if (kind === "stall") world.stall(name, this.#int(100, 20_000));
    else if (kind === "cut") {
      world.hub.disconnect(name);
      this.#faults.push({ end: () => void (world.coordinators.has(name) && world.hub.reconnect(name)) });
    } else if (kind === "kill" || kind === "stop") {
      if (kind === "kill") world.kill(name);
      else await this.#stopCoordinator(name);
      if (world.coordinators.size === 0) await this.#startCoordinator();
    }
  }

  /** It may be cut off or stalled, and the store away: then it takes a while, or is killed. */
  async #stopCoordinator(name: string): Promise<void> {
    await this.world.stopCoordinator(name).catch(() => {
      this.diary.push(`  ${name} does not stop and is killed`);
      this.world.kill(name);
    });
  }

  #formats(): Formats {
    return this.#isUpgrade && this.#chance(0.5) ? nextFormats : currentFormats;
  }

  async #startCoordinator(formats: Formats = this.#formats()): Promise<void> {
    this.#coordinators++;
    const name = `c${this.#coordinators}`;
    this.diary.push(`start ${name}${formats === nextFormats ? ", a newer one" : ""}`);
    for (;;) {
      try {
        await this.world.startCoordinator(name, leaseMs, formats);
        return;
      } catch (error) {
        // Without the ledger no coordinator starts; whoever runs it tries again.
        this.diary.push(`  ${name} does not start: ${String(error)}`);
        this.#endFault();
        this.#coordinators++;
        return this.#startCoordinator(formats);
      }
    }
  }

  #endFault(): void {
    const at = Math.floor(this.#unit() * this.#faults.length);
    const [fault] = this.#faults.splice(at, 1);
    if (fault === undefined) return;
    this.diary.push("a fault is over");
    fault.end();
  }

  /** Alerts about releases and the ledger are what is expected; anything else is a defect. */
  #noteError(facts: object, sentence: string): void {
    const isExpected =
      ("code" in facts &&
        /^(DEPLOYMENT_FAILED|ROLLBACK_FAILED|CONVERGENCE_FAILED)$/.test(String(facts.code))) ||
      /could not be saved|records could not be read|coordinator cannot lead/.test(sentence);
    if (!isExpected) this.#errors.push(`${sentence} ${JSON.stringify(facts)}`);
  }

  #chance(share: number): boolean {
    return this.#unit() < share;
  }

  #int(from: number, to: number): number {
    return from + Math.floor(this.#unit() * (to - from + 1));
  }

  #pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.#unit() * items.length)];
    if (item === undefined) throw new Error("there is nothing to pick from");
    return item;
  }
}

/** Numbers in [0, 1), the same for the same seed on every machine (mulberry32). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
