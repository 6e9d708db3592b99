import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createActor } from "xstate";
import { appMachine, appSustainedMs } from "../../machines/app.js";
import {
  type AppCommand,
  type AppEvent,
  type AppFailure,
  defaultLimitsMs,
  initStatusOf,
  isAsAsked,
  retryInMs,
} from "../../machines/app-facts.js";
import type { AppContent } from "../../src/contracts/app.js";
import { desiredApp } from "./app-samples.js";

const failure: AppFailure = { cause: "error", code: "APP_FAILED", message: "it threw", permanent: false };
const compiler: AppFailure = { ...failure, cause: "compiler", code: "APP_COMPILER_ERROR", permanent: true };
const stillClock = { setTimeout: () => 0, clearTimeout: () => undefined };

type Called = Extract<AppCommand, { type: "call" }>;

/** An app with an engine that does what it is told, when a test says so, and an actor that hears of it. */
class World {
  readonly actor = createActor(appMachine, {
    input: { app: "mail", limitsMs: defaultLimitsMs },
    clock: stillClock,
  });
  /** What really runs, and what is really here. */
  running: AppContent | null = null;
  files: string | null = null;
  /** Calls whose end nobody has been told yet, given up ones among them. */
  readonly pending: Called[] = [];
  #wantsTurn = false;
  #generation = 0;

  constructor() {
    this.actor.on("*", (command) => {
      if (command.type === "askTurn") this.#wantsTurn = true;
      else if (command.type === "endTurn") this.#wantsTurn = false;
      else if (command.type === "call") this.pending.push(command);
    });
    this.actor.start();
    this.send({ type: "resume", unit: 0.5 });
  }

  get context() {
    return this.actor.getSnapshot().context;
  }

  get value() {
    return this.actor.getSnapshot().value;
  }

  send(event: AppEvent): void {
    this.actor.send(event);
    const { status, error } = this.actor.getSnapshot() as { status: string; error?: unknown };
    if (status === "error") throw error;
  }

  ask(desiredStatus: "enabled" | "disabled" | "uninstalled", version = "1.0.0"): void {
    const state = desiredApp(++this.#generation, desiredStatus, { version });
    this.send({ type: "desired", state, revision: this.#generation, heard: "told" });
  }

  turn(): void {
    if (this.#wantsTurn) this.send({ type: "turn" });
  }

  ring(delay: string, state: string): void {
    this.send({ type: `xstate.after.${delay}.app.${state}` } as unknown as AppEvent);
  }

  /** The call under way takes too long. */
  tooLong(): void {
    const { value } = this;
    if (typeof value === "object") this.ring("limit", `working.${value.working}`);
  }

  /** One of the calls ends; `effect`: what it does happens, be it that it fails. */
  end(which: number, outcome: AppFailure | null, effect = true): void {
    const [call] = this.pending.splice(which % Math.max(1, this.pending.length), 1);
    if (call === undefined) return;
    if (outcome === null || effect) this.#takeEffect(call);
    const { number } = call;
    this.send(
      outcome === null ? { type: "done", number } : { type: "failed", number, failure: outcome, unit: 0.5 },
    );
  }

  /** Everything works from now on. */
  calm(): void {
    for (let step = 0; step < 100; step++) {
      this.turn();
      if (this.pending.length > 0) this.end(0, null);
      else if (this.value === "backoff") this.ring("backoff", "backoff");
      else if (this.value === "resting" || this.value === "stopped") return;
    }
    throw new Error(`it does not come to rest: ${JSON.stringify(this.actor.getSnapshot())}`);
  }

  #takeEffect({ verb, content }: Called): void {
    if (verb === "install") this.files = content.version;
    else if (verb === "enable") this.running = content;
    else if (verb === "disable") this.running = null;
    else if (verb === "uninstall") this.files = null;
  }
}

const step = fc.oneof(
  fc.record({
    what: fc.constant("ask" as const),
    status: fc.constantFrom("enabled", "disabled", "uninstalled"),
    version: fc.constantFrom("1.0.0", "2.0.0"),
  }),
  fc.record({
    what: fc.constant("end" as const),
    which: fc.nat(3),
    outcome: fc.constantFrom(null, failure, compiler),
    effect: fc.boolean(),
  }),
  fc.record({
    what: fc.constantFrom("turn", "turn", "tooLong", "backoff", "retry", "crash", "sustained"),
  }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function take(world: World, next: Step): void {
  if (next.what === "ask" && "status" in next) world.ask(next.status, next.version);
  else if (next.what === "end" && "which" in next) world.end(next.which, next.outcome, next.effect);
  else if (next.what === "turn") world.turn();
  else if (next.what === "tooLong") world.tooLong();
  else if (next.what === "backoff" && world.value === "backoff") world.ring("backoff", "backoff");
  else if (next.what === "sustained" && world.value === "resting") world.ring("sustained", "resting");
  else if (next.what === "retry") world.send({ type: "retry" });
  else if (next.what === "crash") {
    world.running = null;
    world.send({ type: "ended", failure, unit: 0.5 });
  }
}

describe("whatever happened, once everything works", () => {
  test("it is what is asked, or has failed for good; what is not asked does not run", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const world = new World();
        for (const next of steps) take(world, next);
        world.calm();
        const { context, running } = world;
        const wanted = context.wanted?.desiredStatus;
        if (world.value === "stopped") {
          expect(context.failure?.permanent).toBe(true);
          expect(running).toBeNull();
          world.send({ type: "retry" });
          world.calm();
        }
        expect(isAsAsked(world.context)).toBe(true);
        expect(world.running).toEqual(wanted === "enabled" ? world.context.wanted?.content : null);
        if (wanted === "uninstalled") expect(world.files).toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  test("what it says of itself is never better than it is while one call is open at most", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const world = new World();
        for (const next of steps) {
          if (next.what === "tooLong") continue;
          take(world, next);
          const status = initStatusOf(world.context);
          if (status.endsWith("_enabled")) expect(world.running).not.toBeNull();
          if (status === "manually_disabled" || status === "disabled") expect(world.running).toBeNull();
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("tries", () => {
  test("never end, ever more seldom, and begin anew with what is asked anew", () => {
    const world = new World();
    world.ask("enabled");
    const waits: number[] = [];
    for (let at = 0; at < 60; at++) {
      world.turn();
      while (world.value !== "backoff") world.end(0, world.pending[0]?.verb === "install" ? failure : null);
      waits.push(retryInMs(world.context));
      world.ring("backoff", "backoff");
    }
    expect(waits[0]).toBe(750);
    expect(waits.slice(1).every((wait, at) => wait >= (waits[at] ?? 0))).toBe(true);
    expect(waits.at(-1)).toBe(225_000);
    expect(world.context.attempts).toBe(60);
    world.ask("enabled", "2.0.0");
    expect(world.context.attempts).toBe(0);
    world.calm();
    expect(initStatusOf(world.context)).toBe("manually_enabled");
  });

  test("an app that works for long enough is forgiven, one that soon ends again is not", () => {
    const world = new World();
    world.ask("enabled");
    world.calm();
    for (const expected of [1, 2, 3]) {
      world.running = null;
      world.send({ type: "ended", failure, unit: 0.5 });
      expect(initStatusOf(world.context)).toBe("error_disabled");
      expect(world.context.attempts).toBe(expected);
      world.calm();
    }
    world.ring("sustained", "resting");
    expect(world.context.attempts).toBe(0);
    expect(appSustainedMs).toBeGreaterThan(retryInMs({ ...world.context, attempts: 1 }));
  });

  test("a permanent cause is tried again when its settings change, when it is asked again, or when somebody asks to", () => {
    const world = new World();
    world.ask("enabled");
    const fail = (): void => {
      world.turn();
      while (world.value !== "stopped")
        world.end(0, world.pending[0]?.verb === "initialize" ? compiler : null);
    };
    fail();
    expect(initStatusOf(world.context)).toBe("compiler_error_disabled");
    world.turn();
    expect(world.pending).toEqual([]);
    world.send({ type: "retry" });
    fail();
    const state = desiredApp(9, "enabled", { settings: { strict: false } });
    world.send({ type: "desired", state, revision: 9, heard: "told" });
    world.calm();
    expect(initStatusOf(world.context)).toBe("manually_enabled");
  });
});

test("an enable that hangs and succeeds after all is undone when the app is not wanted any more", () => {
  const world = new World();
  world.ask("enabled");
  world.turn();
  world.end(0, null);
  world.end(0, null);
  world.tooLong();
  const late = world.pending[0];
  expect(late?.verb).toBe("enable");
  world.ask("uninstalled");
  world.turn();
  // Disabled, uninstalled; the late one is the first of those that are open all the time.
  for (let at = 0; at < 4 && world.pending.length > 1; at++) {
    world.end(1, null);
    world.turn();
  }
  expect([world.files, world.value]).toEqual([null, "resting"]);
  world.end(0, null);
  expect(world.running).not.toBeNull();
  expect(isAsAsked(world.context)).toBe(false);
  world.calm();
  expect([world.files, world.running]).toEqual([null, null]);
  expect(isAsAsked(world.context)).toBe(true);
});
