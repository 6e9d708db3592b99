import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { released } from "../../machines/member-record.js";
import {
  type FleetFacts,
  planReconciliation,
  type ReconcileItem,
} from "../../machines/reconciliation-plan.js";
import type { Finding } from "../../src/contracts/inventory.js";
import { sameVersion, type VersionPair } from "../../src/contracts/version.js";
import { claimOf, instanceOf } from "./samples.js";

const versions = ["v1", "v2", "v3", "v4"] as const;
const pair = fc.constantFrom<(VersionPair | null)[]>(
  null,
  ...versions.map((release) => ({ release, config: null })),
);
const owner = fc.constantFrom("d1", "d2", "d3", "d9");
const names = ["i1", "i2", "i3"] as const;

const record = (id: string) =>
  fc
    .record({
      agent: fc.constantFrom("a1", "a2"),
      generation: fc.nat(3),
      desired: pair,
      stable: pair,
      claim: fc.option(
        fc
          .record({
            deployment: owner,
            target: pair,
            before: pair,
            state: fc.constantFrom("waiting" as const, "told" as const, "succeeded" as const),
          })
          .map(claimOf),
      ),
      last: fc.option(
        fc.record({ deployment: owner, before: pair, result: fc.constant("succeeded" as const) }),
      ),
      owed: fc.option(fc.record({ deployment: owner, target: pair, minHealthyMs: fc.constant(0) })),
    })
    .map((changes) => instanceOf({ id, ...changes }));

const finding: fc.Arbitrary<Finding> = fc
  .record({
    kind: fc.constantFrom("link" as const, "release" as const, "folder" as const, "process" as const),
    instance: fc.constantFrom(...names, "gone-1"),
    release: fc.constantFrom(...versions),
    verdict: fc.constantFrom("mend" as const, "ask" as const, "keep" as const),
  })
  .map((one) => ({ ...one, key: JSON.stringify(one), what: one.kind }));

const facts: fc.Arbitrary<FleetFacts> = fc.record({
  instances: fc.tuple(...names.map(record)).chain((records) =>
    fc.tuple(
      ...records.map((one) =>
        fc.record({
          record: fc.constant(one),
          update: fc.constantFrom(
            "NOT_NEEDED" as const,
            "COMPLETED" as const,
            "IN_PROGRESS" as const,
            "FAILED" as const,
          ),
          said: fc.option(
            fc.record({
              running: pair,
              observedGeneration: fc.nat(3),
              phase: fc.constantFrom("ACTIVE", "BUILDING", "STOPPED"),
            }),
          ),
        }),
      ),
    ),
  ),
  deployments: fc.tuple(
    fc.record({ id: fc.constant("d1"), isOver: fc.boolean(), rollbackOf: fc.constant(null) }),
    fc.record({ id: fc.constant("d2"), isOver: fc.boolean(), rollbackOf: fc.option(fc.constant("d1")) }),
  ),
  desired: fc
    .dictionary(fc.constantFrom(...names, "gone-1"), fc.nat(3))
    .map((found) => new Map(Object.entries(found))),
  recorded: fc.subarray(["d1", "d2", "d3"]),
  named: fc
    .subarray(["release v1", "release v2", "release v3", "release v4"])
    .map((found) => new Map(found.map((by) => [by, `${by}.tar`]))),
  files: fc
    .subarray(["release v1.tar", "release v2.tar", "other.tar", "young.tar"])
    .map((found) => found.map((name) => ({ name, ageMs: name === "young.tar" ? 1_000 : 90_000_000 }))),
  halfUploads: fc.nat(2),
  inventories: fc
    .array(finding, { maxLength: 6 })
    .map((findings) => [{ instance: "i1", agent: "a1", findings, more: 0 }]),
  unanswered: fc.constant([]),
});

/** The world after everything that was planned has been done. */
function done(before: FleetFacts, items: readonly ReconcileItem[]): FleetFacts {
  let now = before;
  for (const { action } of items) {
    const change = (
      id: string,
      to: (one: FleetFacts["instances"][number]) => FleetFacts["instances"][number],
    ) => now.instances.map((one) => (one.record.id === id ? to(one) : one));
    switch (action?.type) {
      case "tell":
        now = {
          ...now,
          desired: new Map([...now.desired, [action.instance, 9]]),
          instances: change(action.instance, ({ record: of, update }) => ({
            record: of,
            update,
            said: { running: of.desired, observedGeneration: of.generation, phase: "ACTIVE" },
          })),
        };
        break;
      case "release":
        now = {
          ...now,
          instances: change(action.instance, (one) => ({
            ...one,
            record: released(one.record, { completed: false, undoes: false }, false),
          })),
        };
        break;
      case "dropDesired":
        now = { ...now, desired: new Map([...now.desired].filter(([id]) => id !== action.instance)) };
        break;
      case "dropDeployment":
        now = { ...now, recorded: now.recorded.filter((id) => id !== action.deployment) };
        break;
      case "dropFile":
        now = { ...now, files: (now.files ?? []).filter(({ name }) => name !== action.name) };
        break;
      case "dropUploads":
        now = { ...now, halfUploads: 0 };
        break;
      case "mend":
        now = {
          ...now,
          inventories: now.inventories.map((one) => ({
            ...one,
            findings: one.findings.filter(({ key }) => key !== action.finding.key),
          })),
        };
        break;
    }
  }
  return now;
}

const removals = (items: readonly ReconcileItem[]) =>
  items.flatMap(({ action }) =>
    action?.type === "mend" && action.finding.verdict === "ask" ? [action.finding] : [],
  );

describe("the plan of a reconciliation, for any fleet", () => {
  test("never removes a release that an instance should run, runs stable, is claimed for, is owed, or may go back to", () => {
    fc.assert(
      fc.property(facts, (fleet) => {
        for (const { kind, instance, release } of removals(planReconciliation(fleet))) {
          if (kind !== "release") continue;
          const of = fleet.instances.find((one) => one.record.id === instance)?.record;
          const { desired, stable, claim, last, owed } = of ?? instanceOf();
          const active = fleet.deployments.filter(({ isOver }) => !isOver);
          const isHeld = active.some(({ id, rollbackOf }) =>
            [id, rollbackOf].includes(claim?.deployment ?? ""),
          );
          const needed = [desired, stable, last?.before, owed?.target];
          if (isHeld) needed.push(claim?.target, claim?.before);
          expect(needed.map((one) => one?.release)).not.toContain(release);
        }
      }),
    );
  });

  test("never removes the folder of an instance that the fleet counts to that very agent", () => {
    fc.assert(
      fc.property(facts, (fleet) => {
        for (const { kind, instance } of removals(planReconciliation(fleet))) {
          const of = fleet.instances.find((one) => one.record.id === instance)?.record;
          if (kind === "folder") expect(of?.agent).not.toBe("a1");
        }
      }),
    );
  });

  test("never ends a claim of a deployment that is under way, or that a rollback under way takes back", () => {
    fc.assert(
      fc.property(facts, (fleet) => {
        const active = fleet.deployments.filter(({ isOver }) => !isOver);
        const owners = active.flatMap(({ id, rollbackOf }) => [id, rollbackOf]);
        for (const { action } of planReconciliation(fleet)) {
          if (action?.type !== "release") continue;
          const of = fleet.instances.find((one) => one.record.id === action.instance)?.record;
          expect(owners).not.toContain(of?.claim?.deployment);
        }
      }),
    );
  });

  test("never removes a file that is named or young, a desired state of a member, or a deployment at hand", () => {
    fc.assert(
      fc.property(facts, (fleet) => {
        for (const { action } of planReconciliation(fleet)) {
          if (action?.type === "dropFile")
            expect([...fleet.named.values(), "young.tar"]).not.toContain(action.name);
          if (action?.type === "dropDesired") expect(names).not.toContain(action.instance);
          if (action?.type === "dropDeployment") expect(["d1", "d2"]).not.toContain(action.deployment);
        }
      }),
    );
  });

  test("tells nobody who is on the way, has failed, or should run what is not registered, unless the telling got lost", () => {
    fc.assert(
      fc.property(facts, (fleet) => {
        for (const { action } of planReconciliation(fleet)) {
          if (action?.type !== "tell") continue;
          const one = fleet.instances.find(({ record: of }) => of.id === action.instance);
          if (one === undefined) throw new Error("it is a member");
          const { record: of, said, update } = one;
          if (of.desired !== null) expect(fleet.named.has(`release ${of.desired.release}`)).toBe(true);
          if ((fleet.desired.get(of.id) ?? -1) < of.generation) continue;
          expect(["NOT_NEEDED", "COMPLETED"]).toContain(update);
          expect(said).not.toBeNull();
          const isThere = sameVersion(said?.running ?? null, of.desired);
          expect(isThere && (said?.observedGeneration ?? 0) >= of.generation).toBe(false);
        }
      }),
    );
  });

  test("finds nothing to do a second time, and says of everything why", () => {
    fc.assert(
      fc.property(facts, (fleet) => {
        const items = planReconciliation(fleet);
        for (const { what, why } of items) expect(what.length * why.length).toBeGreaterThan(0);
        const again = planReconciliation(done(fleet, items));
        expect(again.filter(({ action }) => action !== null)).toEqual([]);
      }),
    );
  });
});

test("what is left is said with its reason: a release that a rollback under way goes back to", () => {
  const release: Finding = {
    key: "release v2 of i1",
    kind: "release",
    instance: "i1",
    release: "v2",
    what: "release v2 of i1, which its agent does not need",
    verdict: "ask",
  };
  const target = { release: "v2", config: null };
  const items = planReconciliation({
    instances: [
      {
        record: instanceOf({ id: "i1", agent: "a1", claim: claimOf({ deployment: "d7", target }) }),
        update: "IN_PROGRESS",
        said: null,
      },
    ],
    deployments: [{ id: "d7", isOver: false, rollbackOf: "d6" }],
    desired: new Map([["i1", 1]]),
    recorded: ["d7"],
    named: new Map([["release v2", "v2.tar"]]),
    files: [{ name: "v2.tar", ageMs: 0 }],
    halfUploads: 0,
    inventories: [{ instance: "i1", agent: "a1", findings: [release], more: 0 }],
    unanswered: [],
  });
  expect(items.filter(({ object, action }) => object === "instance/i1" && action === null)).toMatchObject([
    { what: release.what, why: "release v2 is what rollback d7 goes back to" },
  ]);
});
