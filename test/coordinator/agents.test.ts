import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import type { BusMessage } from "../../src/base/ports.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { fleet } from "../kit/coordinators-world.js";
import type { FakeAgent } from "../kit/fake-agent.js";
import { FleetWorld } from "../kit/fleet.js";
import { Invariants } from "../kit/invariants.js";
import { quietLog } from "../kit/quiet-log.js";
import { refusalOf } from "../kit/refusals.js";

let world: FleetWorld;
let warnings: { readonly facts: object; readonly sentence: string }[];

beforeEach(async () => {
  warnings = [];
  const log = {
    ...quietLog,
    warn: (facts: object, sentence: string) => void warnings.push({ facts, sentence }),
    child: () => log,
  };
  world = await FleetWorld.ready(4, { log });
  new Invariants(world);
  await world.rolledOut("v1", { batch: 4 });
});

const isHealth = ({ subject }: { readonly subject: string }) => subject.includes(".health.");

describe("a second agent under the name of an instance", () => {
  let stranger: FakeAgent;

  beforeEach(async () => {
    stranger = world.addAgent("web-1", { tier: "db" }, "stranger");
    await world.advance(5_000);
  });

  test("is told nothing and changes nothing; why says so, and one line in the log", async () => {
    await world.rolledOut("v2", { batch: 4 });
    expect(stranger.told).toEqual([]);
    const shown = await world.instance("web-1");
    expect(shown).toMatchObject({
      agent: "agent-of-web-1",
      labels: { tier: "web" },
      running: { release: "v2" },
    });
    expect(shown.why).toContain("Agent stranger reports under this name too");
    expect(shown.why).toContain("rollcall instances takeover web-1");
    expect(warnings.filter(({ facts }) => "stranger" in facts)).toHaveLength(1);
  });

  test("does not keep an instance alive whose own agent is silent", async () => {
    world.agent("web-1").stop();
    await world.advance(15_000);
    expect((await world.instance("web-1")).status).toBe("UNKNOWN");
  });

  test("is forgotten once it has gone", async () => {
    stranger.stop();
    await world.advance(15_000);
    expect((await world.instance("web-1")).why).toBe("It runs v1.");
  });

  test("gets the instance by a takeover: it is told what the instance runs, and the first one nothing more", async () => {
    const took = await world.call("instances.takeover", { instance: "web-1", agent: "stranger" });
    expect(took).toMatchObject({ agent: "stranger", updateState: "IN_PROGRESS" });
    await world.advance(5_000);
    expect(stranger.story).toEqual(["v1"]);
    expect(await world.instance("web-1")).toMatchObject({
      updateState: "COMPLETED",
      running: { release: "v1" },
    });
    expect((await world.instance("web-1")).why).toContain("Agent agent-of-web-1 reports under this name too");
    const first = world.agent("web-1").told.length;
    await world.rolledOut("v2", { selector: null, batch: 5 });
    expect(world.agent("web-1").told).toHaveLength(first);
    expect(stranger.story).toEqual(["v1", "v2"]);
  });

  test("that takes an instance over while it waits for its turn does not end its turn", async () => {
    world.behave({ v2: { hangs: true } }, ["web-2"]);
    await world.relabel("web-3", { tier: "other" });
    await world.relabel("web-4", { tier: "other" });
    await world.relabel("web-2", { tier: "web" });
    // web-1 is in flight, web-2 waits.
    world.behave({ v2: { tookMs: 30_000 } }, ["web-1"]);
    const { id } = await world.deploy("v2", { batch: 1, deadlineMs: 100_000 });
    await world.advance(1_000);
    const second = world.addAgent("web-2", { tier: "web" }, "agent-9");
    await world.call("instances.takeover", { instance: "web-2", agent: "agent-9" });
    await world.advance(5_000);
    expect(second.story).toEqual(["v1"]);
    expect(await world.instance("web-2")).toMatchObject({ claim: "waiting", updateState: "NEEDING_UPDATE" });
    expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { succeeded: 2 } });
    expect(second.story).toEqual(["v1", "v2"]);
  });

  test("cannot take over what is not there", async () => {
    expect(
      await refusalOf(world.call("instances.takeover", { instance: "web-9", agent: "stranger" })),
    ).toMatchObject({ code: "UNKNOWN_INSTANCE" });
  });
});

describe("an instance that was never told anything", () => {
  test("keeps what it runs when it is taken over: nothing asks the new agent to stop", async () => {
    world.addAgent("free-1", { tier: "none" });
    await world.advance(3_000);
    const next = world.addAgent("free-1", { tier: "none" }, "next");
    await world.call("instances.takeover", { instance: "free-1", agent: "next" });
    await world.advance(10_000);
    expect(next.told).toEqual([]);
    expect(await world.instance("free-1")).toMatchObject({
      agent: "next",
      desired: null,
      updateState: "NOT_NEEDED",
    });
  });
});

describe("whatever arrives on a health subject", () => {
  const good = () => world.agent("web-1").next({ whole: true });
  const wrong: readonly (readonly [what: string, make: () => unknown])[] = [
    ["another instance than the subject", () => ({ ...good(), instance: "web-2" })],
    ["a newer format", () => ({ ...good(), format: 2 })],
    ["a field too many", () => ({ ...good(), extra: 1 })],
    ["a negative number", () => ({ ...good(), seq: -1 })],
    ["a name that is none", () => ({ ...good(), agent: "../etc" })],
    ["a label too long", () => ({ ...good(), state: { ...good().state, labels: { a: "x".repeat(64) } } })],
  ];

  test.each(wrong)("is counted and dropped: %s", async (_what, make) => {
    const before = await world.instance("web-1");
    world.say("garbler", "web-1", JSON.stringify(make()));
    world.agent("web-1").stop();
    await world.advance(1_000);
    expect(await world.instance("web-1")).toMatchObject({
      generation: before.generation,
      running: before.running,
    });
    expect(warnings.filter(({ sentence }) => sentence === "a report was dropped")).toHaveLength(1);
  });

  test("stops nothing: bytes, JSON and half reports of any kind, and the roll-out goes on", async () => {
    const reportLike = fc.record(
      {
        format: fc.constantFrom<unknown>(1, 2, "1"),
        instance: fc.constantFrom<unknown>("web-1", "web-2", "", 7),
        agent: fc.constantFrom<unknown>("agent-of-web-1", "x", null),
        incarnation: fc.constantFrom<unknown>("n1", "n2", ""),
        seq: fc.oneof(fc.integer(), fc.double()),
        observedGeneration: fc.oneof(fc.integer(), fc.constant(2 ** 60)),
        ledgerId: fc.constantFrom<unknown>(null, "x", 3),
        digest: fc.string(),
        healthyForMs: fc.double(),
        phaseAgeMs: fc.integer(),
        state: fc.anything(),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            fc.uint8Array({ maxLength: 200 }),
            fc.json().map((text) => new TextEncoder().encode(text)),
            reportLike.map((value) => new TextEncoder().encode(JSON.stringify(value) ?? "")),
          ),
          { minLength: 1, maxLength: 10 },
        ),
        async (messages) => {
          for (const data of messages) world.say("garbler", "web-1", data);
          await world.advance(5);
          expect(world.leader().leads()).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
    await world.advance(5_000);
    expect(await world.rolledOut("v2", { batch: 4 })).toMatchObject({ outcome: "completed" });
    // One line a sender and minute, however much there was.
    expect(warnings.filter(({ sentence }) => sentence === "a report was dropped").length).toBeLessThanOrEqual(
      3,
    );
  });
});

describe("reports that come", () => {
  const outcomes = async () => {
    world.behave({ v3: { fails: true } }, ["web-2", "web-3"]);
    const good = await world.rolledOut("v2");
    const bad = await world.rolledOut("v3", { batch: 1 });
    const back = await world.finished(bad.rolledBackBy ?? "");
    return [good.outcome, bad.outcome, back.outcome, world.running(), world.agent("web-1").story];
  };
  const expected = [
    "completed",
    "failed",
    "rolled_back",
    { "web-1": "v2", "web-2": "v2", "web-3": "v2", "web-4": "v2" },
    ["v1", "v2", "v3", "v2"],
  ];

  test("twice change nothing", async () => {
    world.hub.duplicate(({ subject }) => subject.startsWith("rollcall."));
    expect(await outcomes()).toEqual(expected);
  });

  test("late change nothing", async () => {
    let count = 0;
    world.hub.delay(700, (delivery) => isHealth(delivery) && count++ % 3 === 0);
    expect(await outcomes()).toEqual(expected);
  });

  test("out of order change nothing", async () => {
    let count = 0;
    for (const delayMs of [150, 400, 1_100]) {
      world.hub.delay(delayMs, (delivery) => isHealth(delivery) && count++ % 2 === 0);
    }
    expect(await outcomes()).toEqual(expected);
  });

  test("or get lost, four of ten, change nothing", async () => {
    world.hub.drop((delivery) => isHealth(delivery) && world.random.unit() < 0.4);
    expect(await outcomes()).toEqual(expected);
  });

  test("behind newer ones of the same process are not taken: nothing goes back in time", async () => {
    const agent = world.agent("web-1");
    const old = agent.next({ whole: true });
    agent.report();
    await world.advance(10);
    await world.rolledOut("v2", { batch: 4 });
    agent.publish(old);
    await world.advance(10);
    expect((await world.instance("web-1")).running).toEqual({ release: "v2", config: null });
  });

  test("of a process that was followed by another one are not taken any more", async () => {
    const agent = world.agent("web-1");
    await world.rolledOut("v2", { batch: 4 });
    const old = agent.next({ whole: true });
    agent.restart();
    await world.advance(3_000);
    await world.rolledOut("v3", { batch: 4 });
    agent.publish({ ...old, seq: 1_000_000 });
    await world.advance(10);
    expect((await world.instance("web-1")).running).toEqual({ release: "v3", config: null });
  });
});

describe("desired states that get lost on their way", () => {
  test("are read again, and the roll-out goes on", async () => {
    let count = 0;
    const drop = world.hub.drop(
      ({ subject, to }) => subject.includes(".desired.") && to.startsWith("agent-") && count++ < 3,
    );
    expect(await world.rolledOut("v2", { deadlineMs: 120_000 })).toMatchObject({ outcome: "completed" });
    drop.unsubscribe();
    expect(world.versions()).toEqual(["v2"]);
  });
});

describe("a report without its state", () => {
  test("of an instance that is known by the digest is enough; of one that is not, the state is asked for", async () => {
    const asked: string[] = [];
    const spy = world.hub.connect("spy");
    spy.subscribe(subjectsOf(fleet).ask("*", "report"), (message: BusMessage) => asked.push(message.subject));
    await world.advance(20_000);
    expect(asked).toEqual([]);
    // A new leader knows no digest.
    world.kill();
    await world.startCoordinator("c2");
    await world.untilLed();
    await world.advance(4_000);
    expect(new Set(asked).size).toBe(4);
    const { items } = await world.call("instances.list", {});
    expect(items.map(({ status }) => status)).toEqual(["HEALTHY", "HEALTHY", "HEALTHY", "HEALTHY"]);
    const count = asked.length;
    await world.advance(20_000);
    expect(asked).toHaveLength(count);
  });

  test("of an instance that nobody knows is answered by asking: so it registers", async () => {
    const { state: _, ...lean } = { ...world.agent("web-1").next(), instance: "new-1", agent: "new" };
    const asked: string[] = [];
    world.hub
      .connect("spy")
      .subscribe(subjectsOf(fleet).ask("new-1", "report"), ({ subject }) => asked.push(subject));
    world.say("lean", "new-1", JSON.stringify(lean));
    await world.advance(100);
    expect(asked).toHaveLength(1);
    expect(await refusalOf(world.instance("new-1"))).toMatchObject({ code: "UNKNOWN_INSTANCE" });
  });
});

test("garbage under ever new names fills no log", async () => {
  for (let n = 0; n < 3_000; n++) world.say("garbler", `nobody-${n}`, "{}");
  await world.advance(1_000);
  const lines = warnings.filter(({ sentence }) => sentence === "a report was dropped").length;
  expect(lines).toBe(1_000);
  await world.advance(61_000);
  world.say("garbler", "nobody-1", "{}");
  await world.advance(100);
  expect(warnings.filter(({ sentence }) => sentence === "a report was dropped")).toHaveLength(lines + 1);
});
