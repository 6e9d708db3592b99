import fc from "fast-check";
import { expect, test } from "vitest";
import { AppError } from "../../src/agent/app-engine.js";
import { RollcallError } from "../../src/base/errors.js";
import type { AppView } from "../../src/contracts/app-api.js";
import { appReportSchema } from "../../src/contracts/app-report.js";
import { parseKey } from "../../src/contracts/keys.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { AppFleet } from "../kit/app-fleet.js";
import { fleet } from "../kit/coordinators-world.js";
import { onBatches } from "../kit/on-batches.js";

const apps = ["mail", "chat"] as const;
const instances = ["web-1", "web-2", "web-3"] as const;
const app = fc.constantFrom(...apps);
const instance = fc.constantFrom(...instances);

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant("ask" as const),
      app,
      verb: fc.constantFrom("add", "add", "enable", "disable", "set", "uninstall", "uninstall"),
      waits: fc.boolean(),
    }),
  },
  fc.record({
    what: fc.constant("fail" as const),
    app,
    instance,
    verb: fc.constantFrom("install", "initialize", "enable", "disable", "uninstall"),
    cause: fc.constantFrom("compiler", "license", "error"),
    times: fc.integer({ min: 1, max: 3 }),
  }),
  fc.record({ what: fc.constantFrom("restart" as const, "crash" as const, "leave" as const), app, instance }),
  fc.record({
    what: fc.constant("lose" as const),
    area: fc.constantFrom(".apps.", ".desired.", ".apps-ask."),
    ms: fc.nat(4_000),
  }),
  fc.record({ what: fc.constant("double" as const), ms: fc.nat(2_000) }),
  fc.record({ what: fc.constantFrom("kill" as const, "handOver" as const, "cutOff" as const) }),
  fc.record({ what: fc.constant("again" as const), back: fc.nat(4) }),
  fc.record({ what: fc.constant("reconcile" as const) }),
  fc.record({ what: fc.constant("wait" as const), ms: fc.nat(20_000) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class Life {
  readonly world: AppFleet;
  /** What somebody was told that it is so, by app: the highest generation. */
  readonly acknowledged = new Map<string, AppView>();
  readonly #away = new Set<string>();
  readonly #requests: Promise<void>[] = [];
  readonly #granted: {
    readonly ask: () => Promise<AppView>;
    readonly key: string;
    readonly view: AppView;
  }[] = [];
  readonly #client;
  #coordinators = 1;

  constructor(world: AppFleet) {
    this.world = world;
    this.#client = world.client("administrators");
  }

  async take(next: Step): Promise<void> {
    const { world } = this;
    switch (next.what) {
      case "ask": {
        const asked = this.#ask(next.app, next.verb);
        this.#requests.push(asked);
        if (next.waits) await world.during(asked, 120_000);
        return;
      }
      case "again":
        return this.#askAgain(next.back);
      case "fail":
        this.#fail(next);
        return;
      case "crash":
        if (!this.#away.has(next.instance)) world.instance(next.instance).engine.crash(next.app);
        return;
      case "restart":
        if (this.#away.delete(next.instance)) return world.startInstance(next.instance);
        world.killInstance(next.instance);
        return world.startInstance(next.instance);
      case "leave":
        if (this.#away.has(next.instance)) return;
        this.#away.add(next.instance);
        return world.stopInstance(next.instance, { leave: true });
      case "lose": {
        const lost = world.hub.drop(({ subject }) => subject.includes(next.area));
        await world.advance(next.ms);
        lost.unsubscribe();
        return;
      }
      case "double": {
        const doubled = world.hub.duplicate(({ subject }) => subject.includes(".apps"));
        await world.advance(next.ms);
        doubled.unsubscribe();
        return;
      }
      case "reconcile":
        this.#requests.push(this.#settled(this.#client.apps.reconcile({})));
        return;
      case "wait":
        return world.advance(next.ms);
      default:
        return this.#unseat(next.what);
    }
  }

  /** Everything is well from here on. */
  async heal(): Promise<void> {
    const { world } = this;
    for (const { engine } of world.instances.values()) engine.fates.clear();
    for (const id of this.#away) await world.startInstance(id);
    this.#away.clear();
    for (const asked of this.#requests) await world.during(asked, 120_000);
    await world.untilLed();
    await world.advance(10_000);
    // What failed for a permanent cause is tried again when somebody asks.
    await world.call("apps.reconcile", {});
  }

  #fail({ app: id, instance: where, verb, cause, times }: Extract<Step, { what: "fail" }>): void {
    const fate = new AppError(cause as "error", "so it is");
    this.world.instance(where).engine.fates.set(`${id} ${verb}`, Array(times).fill(fate));
  }

  async #unseat(what: "kill" | "handOver" | "cutOff"): Promise<void> {
    const { world } = this;
    const name = `c${++this.#coordinators}`;
    await world.startCoordinator(name);
    world.serve(name);
    const leader = await world.untilLed();
    if (what === "kill") world.kill(leader);
    else if (what === "handOver") await world.stopCoordinator(leader);
    else {
      world.hub.disconnect(leader);
      await world.advance(9_000);
      world.hub.reconnect(leader);
    }
  }

  async #ask(id: string, verb: string): Promise<void> {
    const { apps: asks } = this.#client;
    const key = `k${this.#requests.length}`;
    const common = { app: id, requestKey: key };
    const content = { ...common, version: `1.0.${this.#requests.length}` };
    const ask = (): Promise<AppView> =>
      verb === "add"
        ? asks.add({ ...content, desiredStatus: "enabled" })
        : verb === "set"
          ? asks.set(content)
          : asks[verb as "enable"](common);
    await this.#settled(
      ask().then((view) => {
        this.#granted.push({ ask, key, view });
        const before = this.acknowledged.get(id);
        if (before === undefined || view.generation >= before.generation) this.acknowledged.set(id, view);
      }),
    );
  }

  /** What was granted and has changed an app is known again until the app is forgotten, whoever leads and whatever was asked since. */
  async #askAgain(back: number): Promise<void> {
    const { world } = this;
    const granted = this.#granted.at(-1 - back);
    if (granted === undefined) return;
    const { app: id, generation, desiredStatus } = granted.view;
    const made = () => {
      const ofApp = world.events().filter(({ subject }) => subject === `app/${id}`);
      const forgotten = ofApp.findLastIndex(({ type }) => type.includes("cleared"));
      return ofApp.slice(forgotten + 1).filter(({ cause }) => cause === `request:${granted.key}`).length;
    };
    if (made() === 0) return;
    const answer = await world.during(
      granted.ask().catch((error: unknown) => error as Error),
      120_000,
    );
    if (made() === 0) return;
    expect(made()).toBe(1);
    if (answer instanceof Error)
      expect(answer).toMatchObject({ code: expect.not.stringMatching(/^(UNKNOWN_APP|APP_|GENERATION_)/) });
    else expect(answer).toMatchObject({ generation, desiredStatus });
  }

  async #settled(answer: Promise<unknown>): Promise<void> {
    try {
      await answer;
    } catch (error) {
      if (!(error instanceof RollcallError)) throw error;
    }
  }
}

/** What every batch of the ledger keeps to. */
function watchLedger(world: AppFleet): string[] {
  const problems: string[] = [];
  const generations = new Map<string, number>();
  onBatches(world, ({ puts, events }) => {
    for (const { key, value } of puts) {
      const [kind = "", name = ""] = parseKey(key) ?? [];
      if (kind !== "app" && kind !== "desired.app" && kind !== "desired") continue;
      const { generation } = value as { generation: number };
      if (generation < (generations.get(key) ?? 0)) problems.push(`${key} goes back to ${generation}`);
      generations.set(key, generation);
      if (kind === "app" && !events.some((event) => event.kind === "app" && event.id === name))
        problems.push(`${key} has changed without an event`);
    }
  });
  return problems;
}

/** Each change that an instance has said is in the audit log at most once, a tombstone is cleared once, and an alert has one end. */
function watchedAudit(world: AppFleet): void {
  const seen = new Set<string>();
  const alerted = new Set<string>();
  for (const { type, subject, data, cause, generation } of world.events()) {
    if (type.includes("cleared")) {
      const key = `${subject} ${generation}`;
      expect(seen.has(key), key).toBe(false);
      seen.add(key);
    }
    if (type.includes("app.status")) {
      const incarnation = String(cause).split("/")[1];
      const key = JSON.stringify([subject, data.instance, incarnation, data.atMs, data.from, data.to]);
      expect(seen.has(key), key).toBe(false);
      seen.add(key);
    }
    const pair = `${subject} ${String(data.instance)}`;
    if (type.includes("mismatched")) {
      expect(alerted.has(pair), pair).toBe(false);
      alerted.add(pair);
    }
    if (type.includes("app.matched")) expect(alerted.delete(pair), pair).toBe(true);
    // Who leaves takes the alerts along.
    if (type.includes("app-instance.left"))
      for (const one of alerted)
        if (one.endsWith(` ${subject.slice("app-instance/".length)}`)) alerted.delete(one);
  }
}

test("whatever is asked, fails, is lost or ends: nothing that was acknowledged is lost, and every instance comes to it and says so", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 3, maxLength: 25, size: "max" }),
      fc.nat(),
      async (steps, seed) => {
        let problems: readonly string[] = [];
        const world = await AppFleet.ready(3, {
          seed,
          apps: { everyMs: 5_000, alertAfterMs: 10_000 },
          first: (made) => {
            problems = watchLedger(made);
          },
        });
        world.hub.connect("witness").subscribe(subjectsOf(fleet).apps("*"), ({ data }) => {
          expect(appReportSchema.safeParse(JSON.parse(new TextDecoder().decode(data))).success).toBe(true);
        });
        const life = new Life(world);
        for (const next of steps) await life.take(next);
        await life.heal();
        await world.settled(900_000);
        await world.advance(60_000);
        await world.settled(5_000);
        // What a leader knows is what the ledger has.
        await life.take({ what: "handOver" });
        await world.untilLed();
        await world.advance(10_000);
        await world.settled(5_000);
        const { items } = await world.call("apps.list", { uninstalled: true });
        for (const [id, told] of life.acknowledged) {
          const now = items.find((one) => one.app === id);
          if (now === undefined) continue;
          expect(now.generation).toBeGreaterThanOrEqual(told.generation);
          if (now.generation === told.generation) expect(now.desiredStatus).toBe(told.desiredStatus);
        }
        expect(items.every(({ desiredStatus }) => desiredStatus !== "uninstalled")).toBe(true);
        for (const id of apps) {
          const asked = items.find((one) => one.app === id);
          for (const { engine } of world.instances.values())
            expect(engine.running.get(id)).toBe(
              asked?.desiredStatus === "enabled" ? asked.content.version : undefined,
            );
        }
        expect(problems).toEqual([]);
        watchedAudit(world);
        expect(world.leader().view().problem).toBeNull();
      },
    ),
    { numRuns: Number(process.env.APPS_RUNS ?? 15) },
  );
}, 120_000);
