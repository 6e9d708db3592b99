import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { auditingOf, toAskAfter } from "../../machines/app-audit.js";
import type { AppInstanceRecord } from "../../src/contracts/app.js";
import { appChangesKeptMax, appChangesMax } from "../../src/contracts/app-limits.js";
import type { AppChange } from "../../src/contracts/app-report.js";

function change(number: number): AppChange {
  return {
    number,
    app: "mail",
    generation: 1,
    from: "unknown",
    to: "auto_enabled",
    cause: "started",
    reason: null,
    atMs: number,
  };
}

function changes(from: number, to: number): AppChange[] {
  return Array.from({ length: to - from + 1 }, (_, at) => change(from + at));
}

const said = (newest: number, recent: AppChange[], log = "a") => ({
  changes: { log, number: newest },
  recent,
});

describe("which changes go into the audit log", () => {
  test("those that are not in it, in their order", () => {
    const first = auditingOf([], said(2, changes(1, 2)));
    expect(first).toMatchObject({ missed: 0, audited: [{ log: "a", number: 2 }] });
    expect(first?.changes.map(({ number }) => number)).toEqual([1, 2]);
    expect(auditingOf([{ log: "a", number: 2 }], said(2, changes(1, 2)))).toBeUndefined();
    expect(auditingOf([{ log: "a", number: 1 }], said(3, changes(1, 3)))?.changes).toEqual(changes(2, 3));
  });

  test("not yet, if something before them was missed that the instance still has", () => {
    expect(auditingOf([], said(5, changes(4, 5)))).toBeUndefined();
    expect(toAskAfter([], { log: "a", number: 5 })).toEqual({ log: "a", number: 0 });
    expect(toAskAfter([{ log: "a", number: 5 }], { log: "a", number: 5 })).toBeUndefined();
  });

  test("with how many are lost, if the instance keeps them no more", () => {
    const newest = appChangesKeptMax + 30;
    const oldest = newest - appChangesKeptMax + 1;
    const found = auditingOf([{ log: "a", number: 10 }], said(newest, changes(oldest, oldest + 199)));
    expect(found).toMatchObject({ missed: oldest - 11, audited: [{ log: "a", number: oldest + 199 }] });
  });

  test("once each also when two processes of one instance report in turn", () => {
    let audited: AppInstanceRecord["audited"] = [];
    const take = (log: string, newest: number) => {
      const found = auditingOf(audited, said(newest, changes(1, newest), log));
      audited = found?.audited ?? audited;
      return found?.changes.length ?? 0;
    };
    expect([take("a", 2), take("b", 1), take("a", 3), take("b", 1), take("a", 3)]).toEqual([2, 1, 1, 0, 0]);
  });
});

test("however reports are lost and repeated, each change is written once or counted as missed, in order", () => {
  const happening = fc.record({ new: fc.nat(400), lost: fc.boolean(), repeated: fc.boolean() });
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 30, size: "max" }), (happenings) => {
      let audited: AppInstanceRecord["audited"] = [];
      let newest = 0;
      let sent = 0;
      let missed = 0;
      const written: number[] = [];
      const hear = (after: number) => {
        const from = Math.max(after + 1, newest - appChangesKeptMax + 1, 1);
        const recent = changes(from, Math.min(newest, from + appChangesMax - 1));
        const found = auditingOf(audited, said(newest, recent));
        if (found !== undefined) {
          audited = found.audited;
          missed += found.missed;
          written.push(...found.changes.map(({ number }) => number));
        }
        return recent.at(-1)?.number ?? after;
      };
      for (const { new: more, lost, repeated } of happenings) {
        newest += more;
        const before = sent;
        if (!lost) sent = hear(before);
        else sent = Math.min(newest, before + appChangesMax);
        if (repeated) hear(before);
        const asked = toAskAfter(audited, { log: "a", number: newest });
        if (asked !== undefined) hear(asked.number);
      }
      for (let asked = toAskAfter(audited, { log: "a", number: newest }); asked !== undefined; ) {
        hear(asked.number);
        asked = toAskAfter(audited, { log: "a", number: newest });
      }
      expect(written).toEqual([...new Set(written)].sort((one, other) => one - other));
      expect(written.length + missed).toBe(newest);
    }),
  );
});
