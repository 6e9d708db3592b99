import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type AnyStateMachine, assign, createMachine, emit, enqueueActions, raise, setup } from "xstate";
import { deploymentMachine } from "../../machines/deployment.js";
import { memberMachine } from "../../machines/member.js";
import { CompiledMachine } from "../../src/runtime/compiled-machine.js";
import { liveRoots, stateRoots } from "../../src/runtime/machine-root.js";
import { type Effects, MachineRunner } from "../../src/runtime/machine-runner.js";
import { quietLog } from "../kit/quiet-log.js";

/** The tree of a statechart, before anything leads from state to state. */
interface Tree {
  readonly type: "atomic" | "compound" | "parallel";
  readonly children: readonly Tree[];
  /** Numbers from which the rest is drawn. */
  readonly draws: readonly number[];
}

const draws = fc.array(fc.nat(999), { minLength: 40, maxLength: 40 });
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 3, depthSize: "medium" },
    fc.record({ type: fc.constant("atomic" as const), children: fc.constant([]), draws }),
    fc.record({
      type: fc.constantFrom("compound" as const, "parallel" as const),
      children: fc.array(tie("tree"), { minLength: 1, maxLength: 3 }),
      draws,
    }),
  ),
}));
const charts = fc.record({
  type: fc.constantFrom("compound" as const, "parallel" as const),
  children: fc.array(tree, { minLength: 2, maxLength: 3 }),
  draws,
});
const eventTypes = ["A", "B", "C"];

/** A machine that writes down the order in which its code runs; fuel ends what goes on by itself. */
function machineOf(chart: Tree): AnyStateMachine {
  const ids: string[] = [];
  const named = (node: Tree, id: string): void => {
    ids.push(id);
    for (const [at, child] of node.children.entries()) named(child, `${id}_${at}`);
  };
  named(chart, "s");
  const does = [
    "bump",
    "spend",
    "raiseOne",
    "several",
    { type: "say", params: { what: "fixed" } },
    { type: "say", params: ({ context }: { context: Context }) => ({ what: `at ${context.count}` }) },
  ];
  const nodeOf = (node: Tree, id: string): object => {
    let at = 0;
    const draw = (max: number) => (node.draws[at++ % node.draws.length] ?? 0) % max;
    const edgeOf = (guard: object | undefined) => ({
      ...(draw(4) > 0 && { target: `#${ids[draw(ids.length)]}` }),
      ...(draw(3) === 0 && { reenter: true }),
      ...(guard !== undefined && { guard }),
      actions: Array.from({ length: draw(3) }, () => does[draw(does.length)]),
    });
    const residue = () => ({ type: "isResidue", params: { of: 2 + draw(2), is: draw(2) } });
    const edges = () => [edgeOf(residue()), ...(draw(2) === 0 ? [edgeOf(undefined)] : [])];
    const keys = node.children.map((_, index) => `k${index}`);
    return {
      id,
      type: node.type === "parallel" ? "parallel" : undefined,
      ...(node.type === "compound" && {
        initial: draw(2) === 0 ? keys[0] : { target: keys[draw(keys.length)], actions: ["bump"] },
      }),
      ...(draw(3) === 0 && { tags: `tag ${id}` }),
      entry: [{ type: "say", params: { what: `into ${id}` } }, ...(draw(3) === 0 ? ["bump"] : [])],
      exit: [{ type: "say", params: { what: `out of ${id}` } }],
      on: Object.fromEntries(
        [...eventTypes, "RAISED"]
          .filter(() => draw(3) > 0)
          .map((type) => [type, draw(5) === 0 ? {} : edges()]),
      ),
      ...(draw(3) === 0 && {
        always: [{ ...edgeOf({ type: "hasFuel", params: { from: draw(3) } }), actions: ["spend", "bump"] }],
      }),
      states: Object.fromEntries(
        node.children.map((child, index) => [`k${index}`, nodeOf(child, `${id}_${index}`)]),
      ),
    };
  };
  return chartSetup.createMachine({
    ...nodeOf(chart, "s"),
    context: { count: 0, fuel: 12 },
  } as Parameters<typeof chartSetup.createMachine>[0]) as AnyStateMachine;
}

interface Context {
  readonly count: number;
  readonly fuel: number;
}

const chartSetup = setup({
  types: {} as { context: Context; events: { type: string }; emitted: { type: "said"; what: string } },
  guards: {
    isResidue: ({ context }, { of, is }: { of: number; is: number }) => context.count % of === is,
    hasFuel: ({ context }, { from }: { from: number }) => context.fuel > from,
  },
  actions: {
    bump: assign({ count: ({ context }) => context.count + 1 }),
    spend: assign(({ context }) => ({ fuel: context.fuel - 1 })),
    say: emit(({ context, event }, { what }: { what: string }) => ({
      type: "said" as const,
      what: `${what}, ${context.count} ${event.type}`,
    })),
    raiseOne: enqueueActions(({ context, enqueue, check }) => {
      if (context.fuel <= 0) return;
      // Names of its siblings are no part of the type of an action.
      enqueue("spend" as never);
      enqueue.raise({ type: "RAISED" });
      if (check({ type: "isResidue", params: { of: 2, is: 0 } } as never)) enqueue.raise({ type: "RAISED" });
    }),
    several: enqueueActions(({ enqueue, event }) => {
      enqueue.assign({ count: ({ context }: { context: Context }) => context.count + 10 });
      enqueue({ type: "say", params: { what: "of several" } } as never);
      enqueue.emit({ type: "said", what: event.type });
    }),
  },
});

/** Everything that can be seen of a machine after each event. */
function courseOf(machine: AnyStateMachine, events: readonly string[], roots: typeof liveRoots): unknown[] {
  const runner = new MachineRunner(quietLog, roots);
  const { root, effects } = runner.begin(machine, undefined);
  const seen = (of: Effects, isSame: boolean) => {
    const snapshot = root.getSnapshot();
    const { value, context, _nodes, tags, status } = snapshot;
    const states = (_nodes as { id: string }[]).map(({ id }) => id);
    return { of, isSame, value, context, states, tags: [...tags], status, has: Object.keys(snapshot) };
  };
  const course = [seen(effects, false)];
  for (const type of events) {
    const before = root.getSnapshot();
    const came = runner.handle(root, { type });
    course.push(seen(came, root.getSnapshot() === before));
  }
  return course;
}

describe("a compiled machine", () => {
  test("does what XState does, over random statecharts and events", () => {
    fc.assert(
      fc.property(
        charts,
        fc.array(fc.constantFrom(...eventTypes, "UNKNOWN"), { maxLength: 20 }),
        (chart, events) => {
          expect(CompiledMachine.of(machineOf(chart))).toBeDefined();
          const course = courseOf(machineOf(chart), events, stateRoots);
          expect(course).toEqual(courseOf(machineOf(chart), events, liveRoots));
        },
      ),
      { numRuns: 1_500 },
    );
  });

  test("is what members and deployments are", () => {
    for (const machine of [memberMachine, deploymentMachine])
      expect(CompiledMachine.of(machine)).toBeDefined();
  });

  test("hands nothing over of an event whose code throws, and stays where it was", () => {
    const machine = createMachine({
      initial: "a",
      states: {
        a: {
          on: {
            GO: {
              target: "b",
              actions: [
                emit({ type: "never" }),
                () => {
                  throw new Error("boom");
                },
              ],
            },
          },
        },
        b: {},
      },
    });
    const runner = new MachineRunner(quietLog, stateRoots);
    const { root } = runner.begin(machine, undefined);
    expect(() => runner.handle(root, { type: "GO" })).toThrow("boom");
    expect(root.getSnapshot().value).toBe("a");
    expect(runner.handle(root, { type: "UNKNOWN" }).commands).toEqual([]);
  });

  test("that goes round in circles is stopped", () => {
    const machine = createMachine({
      initial: "a",
      states: { a: { on: { GO: "b" } }, b: { always: "c" }, c: { always: "b" } },
    });
    const runner = new MachineRunner(quietLog, stateRoots);
    const { root } = runner.begin(machine, undefined);
    expect(() => runner.handle(root, { type: "GO" })).toThrow("goes round in circles");
  });

  test.each([
    ["a final state", createMachine({ initial: "a", states: { a: { type: "final" } } })],
    ["a history state", createMachine({ initial: "a", states: { a: {}, h: { type: "history" } } })],
    ["a delay", createMachine({ initial: "a", states: { a: { after: { 5: "b" } }, b: {} } })],
    ["a delayed event", createMachine({ on: { GO: { actions: raise({ type: "B" }, { delay: 5 }) } } })],
    ["a wildcard", createMachine({ on: { "*": { actions: emit({ type: "x" }) } } })],
  ])("is not made of one with %s", (_, machine) => {
    expect(CompiledMachine.of(machine)).toBeUndefined();
  });
});
