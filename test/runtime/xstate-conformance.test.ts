import { describe, expect, test } from "vitest";
import {
  type AnyMachineSnapshot,
  assign,
  createMachine,
  emit,
  raise,
  sendTo,
  setup,
  spawnChild,
} from "xstate";
import { liveRoots, stateRoots } from "../../src/runtime/machine-root.js";
import {
  delayedTransitionsOf,
  MachineRunner,
  noEffects,
  plainStateOf,
  snapshotOf,
} from "../../src/runtime/machine-runner.js";
import { quietLog } from "../kit/quiet-log.js";

/** What `MachineRunner` and its roots rely on and XState does not promise. When one of these fails after an update of XState, those two files change and no other. */
const machine = setup({
  types: {} as {
    context: { delayMs: number };
    events: { type: "GO" | "BACK" | "BOOM" | "TWICE" };
    emitted: { type: "did"; what: string };
  },
  delays: { soon: ({ context }) => context.delayMs, later: 9_000 },
  actions: {
    boom: () => {
      throw new Error("boom");
    },
  },
}).createMachine({
  id: "m",
  context: { delayMs: 70 },
  initial: "a",
  entry: emit({ type: "did", what: "began" }),
  states: {
    a: { after: { 100: "b", soon: "b", later: "b" }, on: { GO: "b" } },
    b: {
      type: "parallel",
      on: { BACK: "a", BOOM: { actions: [emit({ type: "did", what: "never" }), "boom"] } },
      states: {
        left: { after: { 5: {} } },
        right: {
          initial: "x",
          states: {
            x: {
              after: { 6: "y" },
              on: {
                TWICE: {
                  actions: [
                    raise({ type: "GO" }),
                    emit({ type: "did", what: "one" }),
                    emit({ type: "did", what: "two" }),
                  ],
                },
              },
            },
            y: {},
          },
        },
      },
    },
  },
});

const armed = (id: string, delayMs: number) => ({ id, event: { type: id }, delayMs });

describe.each([
  ["live actors", liveRoots],
  ["states alone", stateRoots],
])("of XState the runtime relies, for %s, on", (_, roots) => {
  test("the scheduler of a system being replaceable before the start, and asked with stable ids", () => {
    const runner = new MachineRunner(quietLog, roots);
    const { root, effects } = runner.begin(machine, undefined);
    expect(effects).toEqual({
      commands: [{ type: "did", what: "began" }],
      timers: [
        armed("xstate.after.100.m.a", 100),
        armed("xstate.after.soon.m.a", 70),
        armed("xstate.after.later.m.a", 9_000),
      ],
    });
    const cancelled = (id: string) => ({ id, event: undefined });
    expect(runner.handle(root, { type: "GO" }).timers).toEqual([
      cancelled("xstate.after.100.m.a"),
      cancelled("xstate.after.soon.m.a"),
      cancelled("xstate.after.later.m.a"),
      armed("xstate.after.5.m.b.left", 5),
      armed("xstate.after.6.m.b.right.x", 6),
    ]);
    expect(runner.handle(root, { type: "xstate.after.6.m.b.right.x" }).timers).toEqual([
      cancelled("xstate.after.6.m.b.right.x"),
    ]);
    expect((root.getSnapshot() as AnyMachineSnapshot).value).toEqual({ b: { left: {}, right: "y" } });
  });

  test("emitted events coming in their order, and none of a transition that throws", () => {
    const runner = new MachineRunner(quietLog, roots);
    const { root } = runner.begin(machine, undefined);
    runner.handle(root, { type: "GO" });
    expect(runner.handle(root, { type: "TWICE" }).commands).toEqual([
      { type: "did", what: "one" },
      { type: "did", what: "two" },
    ]);
    expect(() => runner.handle(root, { type: "BOOM" })).toThrow("boom");
    const other = runner.begin(machine, undefined);
    expect(other.effects.commands).toEqual([{ type: "did", what: "began" }]);
  });

  test("an event that nobody handles giving back the very same snapshot", () => {
    const runner = new MachineRunner(quietLog, roots);
    const { root } = runner.begin(machine, undefined);
    const before = root.getSnapshot();
    expect(runner.handle(root, { type: "UNKNOWN" })).toBe(noEffects);
    expect(root.getSnapshot()).toBe(before);
  });

  test("a snapshot being enough to resume from, without anything being entered or asked for", () => {
    const runner = new MachineRunner(quietLog, roots);
    const { root } = runner.begin(machine, undefined);
    runner.handle(root, { type: "GO" });
    const again = runner.resume(machine, root.getSnapshot());
    expect((again.getSnapshot() as AnyMachineSnapshot).value).toEqual({ b: { left: {}, right: "x" } });
    expect(runner.handle(again, { type: "UNKNOWN" })).toBe(noEffects);
    const restored = snapshotOf(machine, JSON.parse(JSON.stringify(plainStateOf(root.getSnapshot()))));
    expect(restored.value).toEqual({ b: { left: {}, right: "x" } });
  });

  test("state nodes listing the delayed transitions that entering them arms", () => {
    const runner = new MachineRunner(quietLog, roots);
    const { root, effects } = runner.begin(machine, undefined);
    expect(delayedTransitionsOf(root.getSnapshot())).toEqual(effects.timers);
    const next = runner.handle(root, { type: "GO" });
    expect(delayedTransitionsOf(root.getSnapshot())).toEqual(
      next.timers.filter(({ event }) => event !== undefined),
    );
  });

  test("a child actor being seen in the snapshot, so that it can be refused", () => {
    const child = createMachine({ id: "child" });
    const spawning = setup({ types: {} as { context: { ref?: unknown } }, actors: { child } }).createMachine({
      id: "spawning",
      context: {},
      on: {
        ACTION: { actions: spawnChild("child", { id: "kid" }) },
        ASSIGN: { actions: assign({ ref: ({ spawn }) => spawn("child", { id: "kid" }) }) },
      },
    });
    const runner = new MachineRunner(quietLog, roots);
    for (const type of ["ACTION", "ASSIGN"]) {
      const { root } = runner.begin(spawning, undefined);
      expect(() => runner.handle(root, { type })).toThrow(
        "the machine spawned the actor 'kid'; emit a command instead",
      );
    }
  });
});

test("an actor that runs not needing what it was started with, which would be kept for ever", () => {
  const runner = new MachineRunner(quietLog);
  const { root } = runner.begin(machine, { large: true });
  const again = runner.resume(machine, root.getSnapshot());
  for (const { options } of [root, again]) expect(options).toEqual({});
  runner.handle(again, { type: "GO" });
  expect((again.getSnapshot() as AnyMachineSnapshot).value).toEqual({ b: { left: {}, right: "x" } });
  again.stop();
  expect(again.getSnapshot()).toMatchObject({ status: "stopped" });
});

test("a machine that sends being refused where there is no actor, be it to itself", () => {
  const sending = createMachine({
    id: "sending",
    on: { GO: { actions: sendTo(({ self }) => self, { type: "GO" }) } },
  });
  const runner = new MachineRunner(quietLog, stateRoots);
  const { root } = runner.begin(sending, undefined);
  expect(() => runner.handle(root, { type: "GO" })).toThrow("emit a command instead");
});
