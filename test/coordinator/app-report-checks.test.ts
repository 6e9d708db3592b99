import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { BusMessage } from "../../src/base/ports.js";
import { type AppReport, appReportSchema, appStateText } from "../../src/contracts/app-report.js";
import { currentFormats } from "../../src/contracts/record-formats.js";
import { instanceOfSubject, subjectsOf } from "../../src/contracts/subjects.js";
import { type AppAsk, AppIntake } from "../../src/coordinator/apps/app-intake.js";
import { SilenceWatch } from "../../src/coordinator/silence-watch.js";
import { SetDigest } from "../../src/runtime/set-digest.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";
import { quietLog } from "../kit/quiet-log.js";
import { appState } from "../machines/app-samples.js";

const subjects = subjectsOf("test");

const report: AppReport = {
  format: 1,
  instance: "web-1",
  incarnation: "first",
  seq: 1,
  agentVersion: "1.0.0",
  desiredFormat: 1,
  ledgerId: "l1",
  generation: 3,
  digest: "0".repeat(32),
  count: 0,
  changes: { log: "first", number: 0 },
  atMs: 5,
};

function intakeOf(patienceMs = 0, wants: () => AppAsk | undefined = () => undefined, log = quietLog) {
  const clock = createVirtualClock();
  const watch = new SilenceWatch(clock);
  const asked: string[] = [];
  const place = {
    clock,
    subjects,
    log,
    ledgerId: "l1",
    bus: { subscribe: () => ({ unsubscribe: () => undefined }) },
    formats: { known: currentFormats },
    nowMs: () => clock.nowMs(),
  };
  const intake = new AppIntake(place, {
    watch,
    patienceMs,
    join: () => undefined,
    onNews: () => undefined,
    wants,
    ask: (instance) => asked.push(instance),
  });
  const take = (said: object | string, on = subjects.apps("web-1")) =>
    intake.take(asMessage(on, typeof said === "string" ? said : JSON.stringify(said)));
  return { intake, asked, take, clock };
}

test("two processes that go on reporting under one name are told of, a late report of the one before is not", () => {
  const told: string[] = [];
  const warn = (facts: object) => void told.push((facts as { problem: string }).problem);
  const { intake, take } = intakeOf(0, () => undefined, { ...quietLog, warn });
  const older = (seq: number) => take({ ...report, seq });
  older(1);
  take({ ...report, incarnation: "second", changes: { log: "second", number: 0 } });
  for (let seq = 2; seq <= 5; seq++) older(seq);
  expect(told).toEqual([]);
  older(6);
  older(7);
  expect(told).toEqual([expect.stringContaining("two processes report under the same instance name")]);
  expect(intake.bad).toBe(0);
});

/** What may stand in a report's place: another number, another word, a field too many or too few. */
const change = fc.oneof(
  fc.record({
    field: fc.constantFrom("seq", "generation", "count", "atMs", "desiredFormat", "format"),
    value: fc.oneof(fc.nat(4), fc.integer(), fc.double(), fc.constantFrom(2 ** 53, 1e300, "1", null, true)),
  }),
  fc.record({
    field: fc.constantFrom("instance", "incarnation", "agentVersion", "ledgerId", "digest"),
    value: fc.constantFrom(
      "web-1",
      "web-2",
      "first",
      "second",
      "l1",
      "",
      null,
      "0".repeat(32),
      "f".repeat(32),
      1,
      {},
    ),
  }),
  fc.record({
    field: fc.constant("changes"),
    value: fc.constantFrom<unknown>(
      { log: "first", number: 0 },
      { log: "first", number: -1 },
      { log: "first", number: 0, more: 1 },
      { log: "first" },
      ["first", 0],
      null,
      0,
    ),
  }),
  fc.record({
    field: fc.constantFrom("apps", "recent", "extra", "__proto__", "toString"),
    value: fc.constantFrom<unknown>(1, {}, null, [], { whole: true, states: [], gone: [] }),
  }),
  fc.record({ field: fc.constantFrom(...Object.keys(report)), value: fc.constant(undefined) }),
);
const on = fc.constantFrom(
  ...["web-1", "web-1", "web-1", "web-2", "xweb-1", ""].map(subjects.apps),
  subjectsOf("other").apps("web-1"),
  `${subjects.apps("web-1")}.more`,
);

test("reports are dropped exactly where the schema and the subject do not allow them, however much they repeat", () => {
  const message = fc.record({ changes: fc.array(change, { maxLength: 2 }), on, seq: fc.nat(1_000) });
  fc.assert(
    fc.property(fc.array(message, { minLength: 20, maxLength: 40 }), (messages) => {
      const { intake, take } = intakeOf();
      take({ ...report, seq: 0 });
      let bad = 0;
      for (const { changes, on: subject, seq } of messages) {
        const entries = new Map<string, unknown>(Object.entries({ ...report, seq }));
        for (const { field, value } of changes) entries.set(field, value);
        const text = JSON.stringify(
          Object.fromEntries([...entries].filter(([, value]) => value !== undefined)),
        );
        const parsed = appReportSchema.safeParse(JSON.parse(text));
        if (!parsed.success || instanceOfSubject(subject) !== parsed.data.instance) bad++;
        take(text, subject);
        expect(intake.bad, text).toBe(bad);
      }
    }),
    { numRuns: 300 },
  );
});

describe("what is known of the states of an instance", () => {
  const digestOf = (...apps: string[]) => {
    const digest = new SetDigest();
    for (const app of apps) digest.add(appStateText(appState({ app })));
    return digest.value;
  };
  const whole = (...apps: string[]) => ({
    ...report,
    digest: digestOf(...apps),
    count: apps.length,
    apps: { whole: true, states: apps.map((app) => appState({ app })), gone: [] },
  });

  test("is asked for when the digest says that something is missing, once a second and then ever more seldom", async () => {
    const { intake, asked, take, clock } = intakeOf();
    take(whole("a", "b"));
    expect([asked, intake.find("web-1")?.isWhole]).toEqual([[], true]);
    const news = { ...report, seq: 2, digest: digestOf("a", "b", "c"), count: 3 };
    const asksWithin = async (seconds: number) => {
      const before = asked.length;
      for (let n = 0; n < 10 * seconds; n++) {
        news.seq++;
        take(news);
        await clock.advance(100);
      }
      return asked.length - before;
    };
    expect(await asksWithin(1)).toBe(1);
    expect(await asksWithin(60)).toBeLessThan(9);
    take({ ...whole("a", "b", "c"), seq: ++news.seq });
    const before = asked.length;
    take({ ...news, seq: news.seq + 1 });
    expect(asked.length).toBe(before);
    expect([...(intake.find("web-1")?.states.keys() ?? [])]).toEqual(["a", "b", "c"]);
  });

  test("changes by what changed, and loses what is gone", () => {
    const { intake, take, asked } = intakeOf();
    take(whole("a", "b"));
    const states = [appState({ app: "c" })];
    take({
      ...report,
      seq: 2,
      digest: digestOf("b", "c"),
      count: 2,
      apps: { whole: false, states, gone: ["a"] },
    });
    expect([...(intake.find("web-1")?.states.keys() ?? [])]).toEqual(["b", "c"]);
    expect(asked).toEqual([]);
  });

  test("is not changed by a report that comes late or twice", () => {
    const { intake, take } = intakeOf();
    take({ ...whole("a", "b"), seq: 5 });
    take({ ...whole("a"), seq: 4 });
    take({ ...whole("a"), seq: 5 });
    expect(intake.find("web-1")?.states.size).toBe(2);
  });
});

function asMessage(subject: string, text: string): BusMessage {
  return {
    subject,
    data: new TextEncoder().encode(text),
    header: () => undefined,
    expectsReply: false,
    respond: () => undefined,
  };
}
