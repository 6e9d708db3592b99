import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { BusMessage } from "../../src/base/ports.js";
import { type InstanceState, type Report, reportSchema } from "../../src/contracts/instance.js";
import { currentFormats } from "../../src/contracts/record-formats.js";
import { instanceOfSubject, subjectsOf } from "../../src/contracts/subjects.js";
import { Leader } from "../../src/coordinator/leader.js";
import { SelfWatch } from "../../src/coordinator/self-watch.js";
import { createActorHost } from "../../src/runtime/actor-host.js";
import { fleet, leaseMs } from "../kit/coordinators-world.js";
import { FleetWorld } from "../kit/fleet.js";
import { quietLog } from "../kit/quiet-log.js";

const state: InstanceState = {
  labels: { tier: "web" },
  health: "HEALTHY",
  reason: null,
  running: null,
  phase: "STOPPED",
  progress: 0,
  note: "",
  port: null,
  pid: null,
  restarts: 0,
  agentVersion: "1.0.0",
};

const report: Report = {
  format: 1,
  instance: "web-1",
  agent: "host-1",
  incarnation: "first",
  seq: 1,
  observedGeneration: 0,
  ledgerId: null,
  digest: "d1",
  healthyForMs: 5_000,
  phaseAgeMs: 6_000,
};

/** What may stand in a report's place: another number, another word, a field too many or too few. */
const change = fc.oneof(
  fc.record({
    field: fc.constantFrom("seq", "observedGeneration", "healthyForMs", "phaseAgeMs"),
    value: fc.oneof(fc.nat(), fc.integer(), fc.double(), fc.constantFrom(2 ** 53, 1e300, "1", null, true)),
  }),
  fc.record({
    field: fc.constantFrom("format", "instance", "agent", "incarnation", "ledgerId", "digest", "state"),
    value: fc.oneof(
      fc.constantFrom(1, 2, "web-1", "web-2", "host-1", "host-2", "first", "second", "d1", "d2", "", null),
      fc.constantFrom(state, { ...state, health: "WELL" }, { ...state, labels: [] }, {}, []),
      fc.string(),
    ),
  }),
  fc.record({
    field: fc.constantFrom("extra", "__proto__", "toString"),
    value: fc.constantFrom(1, {}, null),
  }),
  fc.record({ field: fc.constantFrom(...Object.keys(report)), value: fc.constant(undefined) }),
);

const subject = fc.constantFrom(
  ...["web-1", "web-1", "web-1", "web-2", "xweb-1", "web-1=", ""].map(subjectsOf(fleet).health),
  subjectsOf("other").health("web-1"),
  `${subjectsOf(fleet).health("web-1")}.more`,
);

/** The known state, or one with a field too many, too few, of another name or with something else in it. */
const stateLike = fc
  .tuple(
    fc.constantFrom("same", "add", "remove", "rename", "replace", "list"),
    fc.constantFrom(...Object.keys(state)),
    fc.constantFrom("more", "__proto__", "toString"),
    fc.constantFrom<unknown>({}, [], null, "", 1, { tier: "web" }),
  )
  .map(([how, field, name, value]) => (known: InstanceState) => {
    const entries = new Map<string, unknown>(Object.entries(known));
    if (how === "remove" || how === "rename") entries.delete(field);
    if (how === "add" || how === "rename") entries.set(name, value);
    if (how === "replace") entries.set(field, value);
    if (how === "list") entries.set("labels", []);
    return objectOf(entries);
  });

const message = fc.record({
  changes: fc.array(change, { maxLength: 2 }),
  on: subject,
  seq: fc.nat(1_000),
  whole: fc.option(stateLike),
});

/** With `__proto__` as a field like any other. */
function objectOf(entries: Iterable<readonly [string, unknown]>): object {
  return Object.fromEntries([...entries].filter(([, value]) => value !== undefined));
}

describe("the reports of an instance that is known", () => {
  test("are dropped exactly where the schema and the subject do not allow them, however much they repeat", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(message, { minLength: 20, maxLength: 40 }),
        async (labelled, messages) => {
          const { world, leader } = await lead();
          const known: InstanceState = { ...state, labels: labelled ? state.labels : {} };
          const first = { ...report, seq: 0, state: known };
          leader.intake.take(asMessage(subjectsOf(fleet).health("web-1"), JSON.stringify(first)));
          await world.clock.advance(10);
          let bad = 0;
          for (const { changes, on, seq, whole } of messages) {
            const entries = new Map<string, unknown>(Object.entries({ ...report, seq }));
            for (const { field, value } of changes) entries.set(field, value);
            if (whole !== null) entries.set("state", whole(known));
            const text = JSON.stringify(objectOf(entries));
            const content: unknown = JSON.parse(text);
            const parsed = reportSchema.safeParse(content);
            if (!parsed.success || instanceOfSubject(on) !== parsed.data.instance) bad++;
            leader.intake.take(asMessage(on, text));
            expect(leader.intake.stats.bad, text).toBe(bad);
            await world.clock.advance(1);
          }
          leader.drop(new Error("the end"));
        },
      ),
      { numRuns: 300 },
    );
  });
});

async function lead(): Promise<{ world: FleetWorld; leader: Leader }> {
  const world = new FleetWorld();
  const { clock, random } = world;
  const bus = world.hub.connect("c1");
  const ledger = await world.during(world.store.open({ fleet, bus, log: quietLog }));
  const leadership = await world.during(ledger.acquire({ holder: "c1", leaseMs }));
  if ("heldBy" in leadership) throw new Error("somebody leads already");
  const host = createActorHost({ node: "c1", clock, random, log: quietLog });
  const onFailed = (error: unknown) => {
    throw error;
  };
  const leader = new Leader({
    fleet,
    ledger,
    leadership,
    clock,
    random,
    log: quietLog,
    bus,
    host,
    formats: currentFormats,
    askPeers: async () => [],
    selfWatch: new SelfWatch(onFailed),
    onFailed,
  });
  await world.during(leader.load());
  leader.lead();
  return { world, leader };
}

function asMessage(on: string, text: string): BusMessage {
  return {
    subject: on,
    data: new TextEncoder().encode(text),
    header: () => undefined,
    expectsReply: false,
    respond: () => undefined,
  };
}
