import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type FormatsOutlook,
  outlookAt,
  raiseOf,
  settleMs,
  unreadableOf,
  writableFor,
} from "../../machines/formats-agreement.js";
import type { FormatRanges, WrittenFormats } from "../../src/contracts/record-formats.js";

const older: FormatRanges = { deployment: [1, 1], instance: [1, 1] };
const newer: FormatRanges = { deployment: [1, 2], instance: [1, 1] };

test("as long as one coordinator reads less, the newer format is not written", () => {
  expect(writableFor(newer, [newer, older], {})).toEqual({ deployment: 1, instance: 1 });
  expect(writableFor(newer, [newer], {})).toEqual({ deployment: 2, instance: 1 });
  expect(writableFor(newer, [{}], {})).toEqual({ deployment: 1, instance: 1 });
});

test("what was written once stays, whoever comes", () => {
  expect(writableFor(newer, [older], { deployment: 2 })).toEqual({ deployment: 2, instance: 1 });
  expect(writableFor(newer, [older], { lamp: 7 })).toMatchObject({ lamp: 7 });
});

test("who cannot read what is written is told what and how far it reads", () => {
  expect(unreadableOf(older, { deployment: 2 })).toEqual({ kind: "deployment", found: 2, known: 1 });
  expect(unreadableOf({ deployment: [2, 3] }, {})).toEqual({ kind: "deployment", found: 1, known: 2 });
  expect(unreadableOf(newer, { deployment: 2, lamp: 7 })).toBeUndefined();
});

test("nothing is raised before it has been possible for the whole time, without a break", () => {
  const can = { deployment: 2 };
  const written = { deployment: 1 };
  const outlook = outlookAt(undefined, can, 1_000);
  expect(raiseOf(outlook, written, 1_000 + settleMs - 1)).toBeUndefined();
  expect(raiseOf(outlookAt(outlook, { ...can }, 90_000), written, 1_000 + settleMs)).toEqual(can);
  const interrupted = outlookAt(outlookAt(outlook, written, 50_000), can, 80_000);
  expect(raiseOf(interrupted, written, 1_000 + settleMs)).toBeUndefined();
  expect(raiseOf(interrupted, written, 80_000 + settleMs)).toEqual(can);
});

test("through any comings and goings it never falls, and never rises above what a coordinator in sight reads", () => {
  const range = fc
    .integer({ min: 1, max: 4 })
    .map((newest): FormatRanges => ({ deployment: [1, newest], instance: [1, 1] }));
  const look = fc.record({
    ours: range,
    others: fc.array(range, { maxLength: 4 }),
    afterMs: fc.nat(600_000),
  });
  fc.assert(
    fc.property(fc.array(look, { maxLength: 30 }), (looks) => {
      let written: WrittenFormats = {};
      let outlook: FormatsOutlook | undefined;
      let nowMs = 0;
      for (const { ours, others, afterMs } of looks) {
        nowMs += afterMs;
        // A leader reads what is written.
        if (unreadableOf(ours, written) !== undefined) {
          outlook = undefined;
          continue;
        }
        outlook = outlookAt(outlook, writableFor(ours, others, written), nowMs);
        const raised = raiseOf(outlook, written, nowMs);
        if (raised === undefined) continue;
        expect(raised.deployment).toBeGreaterThan(written.deployment ?? 1);
        for (const ranges of [ours, ...others]) expect(unreadableOf(ranges, raised)).toBeUndefined();
        written = raised;
      }
    }),
  );
});
