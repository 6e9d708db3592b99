import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type MemberEvent, reportedHealth } from "../../machines/member.js";
import type { ClaimState, InstanceRecord } from "../../src/contracts/deployment.js";
import { instanceRecordSchema } from "../../src/contracts/deployment.js";
import { sameVersion } from "../../src/contracts/version.js";
import { type DrivenMember, driveMember, restoreMember } from "./drive.js";
import { broken, instanceOf, sightingOf, v1, v2 } from "./samples.js";

/** What may happen next to an instance; what makes no sense as things stand does not happen. */
type Happening =
  | { readonly what: "report"; readonly late: boolean; readonly sighting: Parameters<typeof sightingOf>[0] }
  | { readonly what: "silent" | "tell" | "expire" | "reset" | "goBack" | "catchUp" | "rollback" | "bind" }
  | { readonly what: "claim"; readonly wanted: "v1" | "v2" }
  | { readonly what: "release"; readonly completed: boolean; readonly undoes: boolean };

const reports: fc.Arbitrary<Happening> = fc.record({
  what: fc.constant("report" as const),
  late: fc.boolean(),
  sighting: fc.record({
    health: fc.constantFrom("UNKNOWN", "HEALTHY", "HEALTHY", "DEGRADED", "FAILED"),
    running: fc.constantFrom(v1, v2, v2, null),
    healthyForMs: fc.constantFrom(0, 9_999, 10_000),
    phase: fc.constantFrom("ACTIVE", "STOPPED"),
    reason: fc.constantFrom(null, broken),
  }),
});

const happenings: fc.Arbitrary<Happening[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: reports },
    {
      weight: 2,
      arbitrary: fc.record({ what: fc.constant("claim" as const), wanted: fc.constantFrom("v1", "v2") }),
    },
    { weight: 4, arbitrary: fc.constant<Happening>({ what: "tell" }) },
    {
      weight: 1,
      arbitrary: fc.record({
        what: fc.constant("release" as const),
        completed: fc.boolean(),
        undoes: fc.boolean(),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        what: fc.constantFrom("silent", "expire", "reset", "goBack", "catchUp", "rollback", "bind"),
      }),
    },
  ),
  { maxLength: 40 },
);

const deadlineMs = 100_000;

/** The events that the coordinator would send, given the record as it stands; none if it would not. */
function eventsOf(
  happening: Happening,
  record: InstanceRecord,
  isFailed: boolean,
  count: number,
): MemberEvent[] {
  const { claim, owed, generation, stable } = record;
  const deployment = `d${count}`;
  const claimed = { type: "claim", deployment, before: stable, minHealthyMs: 10_000 } as const;
  switch (happening.what) {
    case "report": {
      const observedGeneration = Math.max(0, generation - (happening.late ? 1 : 0));
      return [{ type: "report", sighting: sightingOf({ ...happening.sighting, observedGeneration }) }];
    }
    case "silent":
      return [{ type: "silent" }];
    case "claim":
      return claim === null
        ? [{ ...claimed, target: happening.wanted === "v1" ? v1 : v2, urgent: false }]
        : [];
    case "rollback":
      return claim === null || claim.toldAtMs === null
        ? []
        : [{ ...claimed, target: claim.before, before: claim.before, urgent: claim.state !== "succeeded" }];
    case "tell":
      return claim?.state === "waiting"
        ? [{ type: "tell", deployment: claim.deployment, toldAtMs: 5, deadlineMs }]
        : [];
    case "expire":
      return claim?.state === "told" ? [{ type: "expire", reason: broken }] : [];
    case "reset":
      return isFailed ? [{ type: "reset", deadlineMs }] : [];
    case "release":
      return claim === null
        ? []
        : [{ type: "release", completed: happening.completed, undoes: happening.undoes }];
    case "goBack":
      return claim === null ? [] : [{ type: "release", completed: false, goBack: { deadlineMs } }];
    case "catchUp":
      return claim === null && owed !== null
        ? [{ type: "catchUp", deployment: owed.deployment, deadlineMs }]
        : [];
    case "bind":
      return [{ type: "bind", agent: `a${count}`, deadlineMs }];
  }
}

interface Moment {
  readonly member: DrivenMember;
  readonly event: MemberEvent;
  readonly before: DrivenMember["snapshot"];
  readonly commands: DrivenMember["commands"];
  /** The newest report since the instance fell silent. */
  readonly heard: MemberEvent | undefined;
}

/** Checks something after each event of random histories. A failure prints the seed and the shortest history that shows it. */
function always(check: (moment: Moment) => void): void {
  fc.assert(
    fc.property(
      fc.constantFrom(instanceOf(), instanceOf({ generation: 1, desired: v1, stable: v1 })),
      happenings,
      (record, story) => {
        const member = driveMember(record);
        let heard: MemberEvent | undefined;
        story.forEach((happening, count) => {
          const { context, value } = member.snapshot;
          for (const event of eventsOf(happening, context.record, value.update === "FAILED", count)) {
            const before = member.snapshot;
            if (event.type === "report") heard = event;
            if (event.type === "silent" || event.type === "bind") heard = undefined;
            check({ member, event, before, commands: member.send(event), heard });
          }
        });
      },
    ),
    { numRuns: 1_000 },
  );
}

const updateOf: Readonly<Record<ClaimState, string>> = {
  notNeeded: "NOT_NEEDED",
  waiting: "NEEDING_UPDATE",
  told: "IN_PROGRESS",
  succeeded: "COMPLETED",
  failed: "FAILED",
};

describe("whatever happens to an instance", () => {
  test("its status is what it said last, UNKNOWN while it is silent, and never a failure that was reset", () => {
    always(({ member, heard }) => {
      const { record } = member.snapshot.context;
      const said = heard?.type === "report" ? heard.sighting : undefined;
      const wasReset =
        record.resetGeneration > 0 && (said?.observedGeneration ?? 0) <= record.resetGeneration;
      const health = said?.state.health ?? "UNKNOWN";
      expect(member.snapshot.value.status).toBe(health === "FAILED" && wasReset ? "UNKNOWN" : health);
      expect(reportedHealth(member.snapshot.context)).toBe(member.snapshot.value.status);
    });
  });

  test("while a deployment owns it, its update state is what its claim has come to", () => {
    always(({ member }) => {
      const { claim } = member.snapshot.context.record;
      if (claim !== null) expect(updateOf[claim.state]).toBe(member.snapshot.value.update);
    });
  });

  test("a new leader sees the same update state in its record, and the same status once it is heard", () => {
    always(({ member, heard }) => {
      const { record } = member.snapshot.context;
      const restored = restoreMember(record);
      expect(restored.snapshot.value).toEqual({ status: "UNKNOWN", update: member.snapshot.value.update });
      if (heard === undefined) return;
      restored.send(heard);
      expect(restored.snapshot.value).toEqual(member.snapshot.value);
      expect(restored.snapshot.context.record).toEqual(record);
      expect(restored.commands, "what was noted once is not noted again").toEqual([]);
    });
  });

  test("its record is one that the ledger takes", () => {
    always(({ member }) => {
      const { record } = member.snapshot.context;
      expect(instanceRecordSchema.parse(record)).toEqual(record);
    });
  });

  test("it succeeds only on the newest command, on that very version, healthy for as long as asked", () => {
    always(({ member, before, event }) => {
      const { value, context } = member.snapshot;
      if (value.update !== "COMPLETED" || before.value.update === "COMPLETED") return;
      // What it had done before is told by its record when a claim ends.
      if (event.type === "release") return;
      const { record, seen, silent } = context;
      expect(silent).toBe(false);
      expect(seen?.observedGeneration).toBeGreaterThanOrEqual(record.generation);
      expect(sameVersion(seen?.state.running ?? null, record.desired)).toBe(true);
      if (record.desired === null) expect(seen?.state.phase).toBe("STOPPED");
      else {
        expect(seen?.state.health).toBe("HEALTHY");
        expect(seen?.healthyForMs).toBeGreaterThanOrEqual(record.claim?.minHealthyMs ?? 0);
      }
    });
  });

  test("it fails only by its deadline or by a report of the newest command that was not reset", () => {
    always(({ member, before, event }) => {
      const { value, context } = member.snapshot;
      if (value.update !== "FAILED" || before.value.update === "FAILED") return;
      if (event.type === "expire" || event.type === "release") return;
      const { record, seen } = context;
      expect(value.status).toBe("FAILED");
      expect(seen?.observedGeneration).toBeGreaterThanOrEqual(record.generation);
      expect(record.generation).toBeGreaterThan(record.resetGeneration);
    });
  });

  test("each desired state is under the next generation, and nothing else changes what is asked of it", () => {
    always(({ member, before, commands }) => {
      const desires = commands.filter(({ type }) => type === "desire");
      const { record } = member.snapshot.context;
      const was = before.context.record;
      expect(desires.length).toBe(record.generation - was.generation);
      const { generation, desired: target, agent } = record;
      for (const desire of desires) expect(desire).toMatchObject({ generation, target, agent });
      if (desires.length === 0) expect(record.desired).toEqual(was.desired);
    });
  });

  test("a failure under a claim stays counted until the claim ends", () => {
    always(({ member, before, event }) => {
      const { claim } = member.snapshot.context.record;
      const was = before.context.record.claim;
      if (claim === null || was === null || event.type === "claim") return;
      expect(claim.hasFailed || !was.hasFailed).toBe(true);
      expect(claim.hasFailed || claim.state !== "failed").toBe(true);
    });
  });

  test("its stable version moves only by a deployment that is over", () => {
    always(({ member, before, event }) => {
      const { record } = member.snapshot.context;
      if (sameVersion(record.stable, before.context.record.stable)) return;
      const byCompletion = event.type === "release" && event.completed;
      expect(byCompletion || record.claim === null).toBe(true);
      expect(record.stable).toEqual(record.desired);
    });
  });
});
