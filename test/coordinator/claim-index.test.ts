import fc from "fast-check";
import { expect, test } from "vitest";
import { isAwaited, type Observed, stepMax } from "../../machines/deployment-plan.js";
import { wasTouched } from "../../machines/member-record.js";
import type { Claim } from "../../src/contracts/deployment.js";
import { ClaimIndex, type Standing } from "../../src/coordinator/claim-index.js";
import { calm } from "../machines/samples.js";

const deployments = ["d1", "d2"] as const;
const names = Array.from({ length: 8 }, (_, at) => `i${at + 1}`);

const standings: fc.Arbitrary<Standing> = fc
  .record({
    deployment: fc.constantFrom(...deployments),
    state: fc.constantFrom<Claim["state"]>(
      "waiting",
      "waiting",
      "told",
      "told",
      "notNeeded",
      "succeeded",
      "failed",
    ),
    urgent: fc.boolean(),
    toldAtMs: fc.nat(5),
    hasFailed: fc.boolean(),
    hasBefore: fc.boolean(),
    silent: fc.boolean(),
    heard: fc.boolean(),
  })
  .map(({ deployment, state, urgent, toldAtMs, hasFailed, hasBefore, silent, heard }) => ({
    claim: {
      deployment,
      state,
      target: { release: "v2", config: null },
      before: hasBefore ? { release: "v1", config: null } : null,
      urgent,
      toldAtMs: state === "waiting" || state === "notNeeded" ? null : toldAtMs,
      minHealthyMs: 0,
      hasFailed,
      reason: state === "failed" && hasBefore ? { code: "EXIT", message: "it ended" } : null,
    },
    silent,
    heard,
  }));

type Change =
  | { readonly kind: "stands"; readonly instance: string; readonly standing: Standing | undefined }
  /** Only what is heard of it is another. */
  | { readonly kind: "sounds"; readonly instance: string; readonly silent: boolean; readonly heard: boolean }
  | { readonly kind: "leaves"; readonly instance: string }
  | { readonly kind: "writes" | "wrote"; readonly deployment: string }
  | { readonly kind: "steps"; readonly deployment: string; readonly instances: readonly string[] };

const instance = fc.constantFrom(...names);
const deployment = fc.constantFrom(...deployments);
const changes: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("stands" as const),
      instance,
      standing: fc.option(standings, { nil: undefined, freq: 8 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("sounds" as const),
      instance,
      silent: fc.boolean(),
      heard: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("leaves" as const), instance }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom("writes" as const, "wrote" as const), deployment }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("steps" as const),
      deployment,
      instances: fc.uniqueArray(instance),
    }),
  },
);

function standingIn(state: Claim["state"], toldAtMs: number | null): Standing {
  return {
    claim: {
      deployment: "d1",
      state,
      target: null,
      before: null,
      urgent: false,
      toldAtMs,
      minHealthyMs: 0,
      hasFailed: false,
      reason: null,
    },
    silent: false,
    heard: true,
  };
}

const isTold = (standing: Standing | undefined) => standing?.claim.state !== "waiting";

/** What an index has to say, worked out anew from everything that is the case. */
class Plain {
  /** In the order in which they last changed. */
  readonly standings = new Map<string, Standing>();
  readonly unwritten = new Map<string, number>();
  readonly steps = new Map<string, { readonly step: number; begun: number; awaited: Set<string> }>();

  change(name: string, standing: Standing | undefined): void {
    this.standings.delete(name);
    if (standing !== undefined) this.standings.set(name, standing);
    this.#look();
  }

  leave(name: string): void {
    this.change(name, undefined);
    for (const { awaited } of this.steps.values()) awaited.delete(name);
    this.#look();
  }

  begin(id: string, step: number, instances: readonly string[]): void {
    this.steps.set(id, { step: this.stepOf(id), begun: step, awaited: new Set(instances) });
    this.#look();
  }

  stepOf(id: string): number {
    return this.steps.get(id)?.step ?? 0;
  }

  #look(): void {
    for (const [id, { step, begun, awaited }] of this.steps) {
      for (const name of awaited) {
        const standing = this.standings.get(name);
        if (isTold(standing?.claim.deployment === id ? standing : undefined)) awaited.delete(name);
      }
      this.steps.set(id, { step: awaited.size === 0 ? begun : step, begun, awaited });
    }
  }

  observe(id: string, batch: number): Observed {
    const own = [...this.standings].filter(([, { claim }]) => claim.deployment === id);
    const inState = (state: Claim["state"]) => own.filter(([, { claim }]) => claim.state === state);
    const waiting = inState("waiting");
    const calmly = waiting.filter(([, { claim, silent }]) => !claim.urgent && !silent);
    const urgent = waiting.filter(([, { claim }]) => claim.urgent);
    const flights = inState("told")
      .filter(([, { claim, silent }]) => isAwaited({ urgent: claim.urgent, silent }))
      .map(([name, { claim }]) => ({ instance: name, toldAtMs: claim.toldAtMs ?? 0 }))
      .sort((one, other) => one.toldAtMs - other.toldAtMs);
    const [failure] = inState("failed").flatMap(([name, { claim }]) =>
      claim.reason === null ? [] : [{ instance: name, reason: claim.reason }],
    );
    const namesOf = (some: readonly (readonly [string, Standing])[]) => some.map(([name]) => name);
    return {
      step: this.stepOf(id),
      total: own.length,
      notNeeded: inState("notNeeded").length,
      succeeded: inState("succeeded").length,
      failed: inState("failed").length,
      everFailed: own.filter(([, { claim }]) => claim.hasFailed).length,
      failure,
      waiting: calmly.length,
      next: namesOf(calmly.filter(([, { heard }]) => heard)).slice(0, Math.max(1, batch - flights.length)),
      urgent: urgent.length,
      nextUrgent: namesOf(urgent),
      unreachable: waiting.length - calmly.length - urgent.length,
      inFlight: inState("told").length,
      awaited: flights.length,
      flights,
      returnable: own.filter(([, { claim }]) => wasTouched(claim) && claim.before !== null).length,
      unwritten: this.unwritten.get(id) ?? 0,
      silence: calm,
    };
  }
}

test("after whatever has happened, what was counted as it came is what a count of everything comes to", () => {
  fc.assert(
    fc.property(fc.array(changes, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), (history, batch) => {
      const index = new ClaimIndex();
      const plain = new Plain();
      const written = new Map<string, (() => void)[]>(deployments.map((id) => [id, []]));
      let step = 0;
      for (const change of history) {
        if (change.kind === "stands") {
          index.update(change.instance, change.standing);
          plain.change(change.instance, change.standing);
        } else if (change.kind === "sounds") {
          const before = plain.standings.get(change.instance);
          const { silent, heard } = change;
          if (before === undefined || (before.silent === silent && before.heard === heard)) continue;
          index.update(change.instance, { ...before, silent, heard });
          plain.change(change.instance, { ...before, silent, heard });
        } else if (change.kind === "leaves") {
          index.remove(change.instance);
          plain.leave(change.instance);
        } else if (change.kind === "steps") {
          index.beginStep(change.deployment, ++step, change.instances, isTold);
          plain.begin(change.deployment, step, change.instances);
        } else {
          const underWay = written.get(change.deployment) ?? [];
          if (change.kind === "writes") underWay.push(index.writing(change.deployment));
          else underWay.pop()?.();
          plain.unwritten.set(change.deployment, underWay.length);
        }
        for (const id of deployments)
          expect(index.observe(id, batch, calm)).toEqual(plain.observe(id, batch));
        const told = [...plain.standings].filter(([, { claim }]) => claim.state === "told");
        expect(index.inFlightCount()).toBe(told.length);
        expect(names.filter((name) => index.isInFlight(name)).sort()).toEqual(
          told.map(([name]) => name).sort(),
        );
      }
    }),
    { numRuns: 300 },
  );
});

test("who is heard of before it has handled what it was told does not count as told", () => {
  const index = new ClaimIndex();
  const waiting = standingIn("waiting", null);
  index.update("i1", waiting);
  index.beginStep("d1", 1, ["i1"], isTold);
  index.update("i1", { ...waiting, silent: true });
  index.update("i1", waiting);
  expect(index.observe("d1", 1, calm)).toMatchObject({ step: 0, next: ["i1"] });
  index.update("i1", standingIn("told", 0));
  expect(index.observe("d1", 1, calm)).toMatchObject({ step: 1, next: [] });
});

test("of a large batch no more are named than a step takes, in the order of their turn and of their deadlines", () => {
  const index = new ClaimIndex();
  for (let at = 0; at < 1_000; at++) index.update(`w${at}`, standingIn("waiting", null));
  // A new leader finds them in some order.
  for (let at = 0; at < 1_000; at++) index.update(`t${at}`, standingIn("told", (at * 7) % 1_000));
  const { waiting, next, inFlight, awaited, flights } = index.observe("d1", 1_500, calm);
  expect({ waiting, inFlight, awaited }).toEqual({ waiting: 1_000, inFlight: 1_000, awaited: 1_000 });
  expect(next).toEqual(Array.from({ length: stepMax }, (_, at) => `w${at}`));
  expect(flights.map(({ toldAtMs }) => toldAtMs)).toEqual(Array.from({ length: stepMax }, (_, at) => at));
});

test("who moved is told at the next look, in whole milliseconds whatever the clock says", () => {
  const moved: string[] = [];
  const index = new ClaimIndex({
    onChange: () => undefined,
    onMoved: (deployment) => void moved.push(deployment),
    onWritten: () => undefined,
  });
  index.update("i1", standingIn("told", 0));
  expect(index.takeMovedAgoMs("d1", 1_000.4)).toBeNull();
  index.noteProgress("i1", { at: "PULLING_SOURCE 0", stillForMs: 250, healthyForMs: 0 }, 1_000.25);
  index.noteProgress("i1", { at: "BUILDING 10", stillForMs: 5, healthyForMs: 0 }, 1_700.5);
  expect(moved).toEqual(["d1", "d1"]);
  expect(index.takeMovedAgoMs("d1", 2_000.75)).toBe(300);
  expect(index.takeMovedAgoMs("d1", 2_000.75)).toBeNull();
});

test("the ledger having the last change of a deployment's instances is told once", () => {
  const written: string[] = [];
  const index = new ClaimIndex({
    onChange: () => undefined,
    onMoved: () => undefined,
    onWritten: (deployment) => void written.push(deployment),
  });
  const underWay = [index.writing("d1"), index.writing("d1")];
  underWay[0]?.();
  expect(written).toEqual([]);
  underWay[1]?.();
  expect(written).toEqual(["d1"]);
});
