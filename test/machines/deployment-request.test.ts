import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type NewDeployment,
  newDeployment,
  newRollback,
  resolveAmount,
  targetFor,
} from "../../machines/deployment-request.js";
import type { Amount } from "../../src/contracts/deployment.js";
import { deploymentRecordSchema } from "../../src/contracts/deployment.js";
import { byAnna, deploymentOf, specOf, v1, v2, v2c1 } from "./samples.js";

function asked(changes: Partial<NewDeployment> = {}): NewDeployment {
  return {
    id: "d1",
    spec: specOf(),
    release: null,
    config: null,
    matched: 10,
    mark: byAnna(0),
    requestKey: null,
    rollbackOf: null,
    retryOf: null,
    ...changes,
  };
}

function codeOf(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return undefined;
}

describe("a batch or threshold", () => {
  test.each<[Amount, number, number]>([
    [3, 10, 3],
    ["3", 10, 3],
    [30, 10, 30],
    ["25%", 10, 2],
    ["25%", 8, 2],
    ["25%", 7, 1],
    ["1%", 10, 1],
    ["1%", 0, 1],
    ["100%", 10, 10],
    ["99%", 100, 99],
    ["33%", 100_000, 33_000],
  ])("of %s is, of %d instances, %d", (amount, of, number) => {
    expect(resolveAmount(amount, of, "BAD_BATCH")).toBe(number);
  });

  test.each<Amount>([0, -1, "0", "0%", "-1%", "101%", "1000000000%", "%", "", 1.5, "1.5%", "ten"])(
    "of %s is refused by its name",
    (amount) => {
      expect(codeOf(() => resolveAmount(amount, 10, "BAD_BATCH"))).toBe("BAD_BATCH");
      expect(codeOf(() => resolveAmount(amount, 10, "BAD_FAILURE_THRESHOLD"))).toBe("BAD_FAILURE_THRESHOLD");
    },
  );

  test("as a percentage is rounded down, is at least 1, and never more than there are", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 1_000_000 }), (percent, of) => {
        const number = resolveAmount(`${percent}%`, of, "BAD_BATCH");
        expect(number).toBe(Math.max(1, Math.floor((of * percent) / 100)));
        expect(number).toBeLessThanOrEqual(of);
      }),
    );
  });
});

describe("a new deployment", () => {
  test("keeps the numbers that its percentages came to, and its record is one that the ledger takes", () => {
    const record = newDeployment(asked({ spec: specOf({ batch: "25%", failureThreshold: "50%" }) }));
    expect(record).toMatchObject({
      batch: 2,
      failureThreshold: 5,
      matched: 10,
      stage: "preparing",
      outcome: null,
    });
    expect(deploymentRecordSchema.parse(record)).toEqual(record);
  });

  test("of a retry keeps a threshold that was larger than what is left: it has failed when all of that has", () => {
    const retried = asked({ spec: specOf({ failureThreshold: 50 }) });
    expect(newDeployment({ ...retried, retryOf: "d1" }).failureThreshold).toBe(10);
    expect(newDeployment({ ...retried, retryOf: "d1", matched: 0 }).failureThreshold).toBe(1);
  });

  test.each([
    ["NOTHING_TO_DEPLOY", { release: null, config: null }],
    ["BAD_BATCH", { batch: 0 }],
    ["BAD_BATCH", { batch: "101%" }],
    ["BAD_FAILURE_THRESHOLD", { failureThreshold: 0 }],
    ["BAD_DEADLINE", { deadlineMs: 10_000, minHealthyMs: 10_000 }],
    ["CONTRADICTORY_ROLLOUT", { failureThreshold: 50 }],
  ])("is refused as %s if it asks for %o", (code, spec) => {
    expect(codeOf(() => newDeployment(asked({ spec: specOf(spec) })))).toBe(code);
  });
});

test("a rollback has the batch, the threshold and the deadlines of what it undoes, for the instances that were touched", () => {
  const failed = deploymentOf({
    batch: 3,
    failureThreshold: 4,
    spec: { deadlineMs: 5_000, minHealthyMs: 1 },
  });
  const rollback = newRollback(failed, "d2", byAnna(7), 3);
  expect(rollback).toMatchObject({
    id: "d2",
    rollbackOf: "d1",
    batch: 3,
    failureThreshold: 3,
    matched: 3,
    stage: "preparing",
    created: byAnna(7),
    spec: { deadlineMs: 5_000 },
  });
  expect(deploymentRecordSchema.parse(rollback)).toEqual(rollback);
});

test("a deployment wants of an instance what it names, and leaves the rest as it is", () => {
  expect(targetFor(specOf({ release: "v2" }), v1)).toEqual(v2);
  expect(targetFor(specOf({ release: "v2" }), { release: "v1", config: "c1" })).toEqual(v2c1);
  expect(targetFor(specOf({ release: null, config: "c1" }), v2)).toEqual(v2c1);
  expect(targetFor(specOf({ release: "v2", config: "c1" }), null)).toEqual(v2c1);
  expect(targetFor(specOf({ release: null, config: "c1" }), null)).toBeUndefined();
});
