import { describe, expect, test } from "vitest";
import type { ReconciliationCommand } from "../../machines/reconciliation.js";
import type { RequestOf } from "../../src/contracts/api.js";
import { keys } from "../../src/contracts/keys.js";
import type { ReconciliationReport } from "../../src/contracts/reconciliation.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { Reconciliation } from "../../src/coordinator/reconciliation.js";
import type { ReconciliationParts } from "../../src/coordinator/reconciliation-facts.js";
import { createMemoryObjects } from "../../src/ledger/memory-objects.js";
import { fleetOfAgents } from "../kit/agent-fleet.js";
import { fleet } from "../kit/coordinators-world.js";
import { FleetWorld } from "../kit/fleet.js";
import { quietLog } from "../kit/quiet-log.js";

const dayMs = 86_400_000;
const rollOut = { selector: "tier=web", batch: 2, failureThreshold: 2 };

/** As the command line does: asks until it is over. */
async function reconcile(
  world: FleetWorld,
  request: RequestOf<"reconciliations.run"> = {},
): Promise<ReconciliationReport> {
  const asked = { by: "ann", requestKey: world.random.id(), ...request };
  let report = await world.call("reconciliations.run", asked);
  while (report.state === "underWay")
    report = await world.call("reconciliations.run", { ...asked, epoch: report.epoch });
  return report;
}

const told = ({ items }: ReconciliationReport) => items.map(({ outcome, what }) => `${outcome}: ${what}`);

/** Three real agents in virtual time, on v2 after v1. */
async function fleetOnV2() {
  const { world, hosts, agents } = await fleetOfAgents(3);
  for (const release of ["v1", "v2"]) {
    const { id } = await world.call("deployments.create", { release, ...rollOut });
    await world.finished(id);
  }
  await world.advance(20_000);
  const [host] = hosts;
  if (host === undefined) throw new Error("there are hosts");
  return { world, hosts, agents, host };
}

/** Everything at once that may be wrong on a host. */
async function muddle({ world, host }: Awaited<ReturnType<typeof fleetOnV2>>): Promise<void> {
  const start = { instance: "web-1", generation: 99, command: "sleep", cwd: "/" };
  await world.during(host.processes.start({ ...start, env: { PORT: "1", ROLLCALL_RELEASE: "v0" } }));
  const disk = host.files.disk("web-1");
  disk.current = "v1";
  disk.copied.add("v9");
  disk.orphans.add("v8");
  host.files.disk("gone-9");
}

describe("a reconciliation of hosts", () => {
  test("says in a dry run what it would do and changes nothing; then does it, and finds nothing more", async () => {
    const fleetWorld = await fleetOnV2();
    const { world, host } = fleetWorld;
    await muddle(fleetWorld);
    const zombies = () => host.processes.livingOf("web-1").length - 1;

    const dry = await reconcile(world, { dryRun: true });
    expect(dry).toMatchObject({ dryRun: true, state: "over", counts: { planned: 5, done: 0, failed: 0 } });
    expect(zombies()).toBe(1);
    expect(host.files.disk("web-1").current).toBe("v1");
    expect(world.eventsOf("fleet", fleet)).toEqual([]);
    expect((await world.call("status.get", {})).reconciliation).toBeNull();

    const real = await reconcile(world, { reason: "after the power cut" });
    expect(told(real).map((line) => line.replace(/process \d+/, "process N"))).toEqual([
      "done: process N has the marks of this agent, and no record owns it",
      "done: the link current of web-1 is wrong; v2 is active",
      "done: release v9 of web-1, which its agent does not need",
      "done: the folder of release v8 of web-1, which was never complete",
      "done: the folder of gone-9, which this agent does not run; nothing else is known of it",
    ]);
    expect(zombies()).toBe(0);
    expect(host.files.disk("web-1").current).toBe("v2");
    expect([...host.files.disk("web-1").copied].sort()).toEqual(["v1", "v2"]);
    expect(await host.files.instances()).toEqual(["web-1"]);
    expect(world.eventsOf("fleet", fleet)).toEqual([...Array<string>(5).fill("mended"), "reconciled"]);

    const subject = subjectsOf(fleet).actorState("reconciliation", "epoch-1");
    const asked = world.hub.connect("person").request(subject, "", { timeoutMs: 1_000 });
    const { context } = JSON.parse(new TextDecoder().decode((await world.during(asked)).data));
    expect(context.counters).toMatchObject({ zombiesRemoved: 4, linksRepaired: 1, reconciliations: 1 });

    const again = await reconcile(world);
    expect(again.counts).toMatchObject({ found: 0, done: 0 });
    const { reconciliation } = await world.call("status.get", {});
    expect(reconciliation).toMatchObject({ by: "ann", counts: { found: 0 } });
  });

  test("leaves a release that may be wanted again, and removes it once it is registered no more", async () => {
    const { world, host } = await fleetOnV2();
    const { id } = await world.call("deployments.create", { release: "v3", ...rollOut });
    await world.finished(id);
    await world.advance(20_000);
    const { copied } = host.files.disk("web-1");
    expect([...copied].sort()).toEqual(["v1", "v2", "v3"]);
    const ofWeb1 = async () =>
      (await reconcile(world)).items.filter(({ object }) => object === "instance/web-1");
    expect(await ofWeb1()).toMatchObject([
      { outcome: "left", why: "release v1 is registered, and may be wanted again" },
    ]);
    await world.call("releases.remove", { version: "v1" });
    expect(await ofWeb1()).toMatchObject([{ outcome: "done", what: expect.stringContaining("release v1") }]);
    expect([...copied].sort()).toEqual(["v2", "v3"]);
  });

  test("comes by itself when it is due", async () => {
    const { world, hosts } = await fleetOfAgents(2, { reconcileEveryMs: 600_000 });
    hosts[0]?.files.disk("web-1").orphans.add("v0");
    await world.advance(700_000);
    const { reconciliation } = await world.call("status.get", {});
    expect(reconciliation?.by).toBe("rollcall");
    expect(world.eventsOf("fleet", fleet)).toContain("reconciled");
  });
});

describe("a reconciliation of what instances run", () => {
  test("tells an instance again that has not acted on what it was told, under the same generation", async () => {
    const world = await FleetWorld.ready(2);
    await world.rolledOut("v1");
    const agent = world.agent("web-1");
    const before = world.desiresOf("web-1");
    agent.set({ running: null, phase: "STOPPED", health: "UNKNOWN" });
    await world.advance(2_500);
    const report = await reconcile(world);
    expect(report.items.find(({ outcome }) => outcome === "done")).toMatchObject({
      object: "instance/web-1",
      what: "web-1 should run v1; it runs stopped",
    });
    expect(world.desiresOf("web-1")).toEqual([...before, before.at(-1)]);
  });

  test("leaves who is silent and who has failed, with the reason", async () => {
    const world = await FleetWorld.ready(3);
    await world.rolledOut("v1");
    world.agent("web-1").stop();
    world.agent("web-2").set({ running: null });
    world.agent("web-2").fail("it crashed");
    await world.advance(10_000);
    const { items, counts } = await reconcile(world);
    expect(counts.done).toBe(0);
    const why = (instance: string) =>
      items.filter(({ object }) => object === `instance/${instance}`).map((item) => item.why);
    expect(why("web-1")).toEqual(["it is told as soon as it is heard of"]);
    expect(why("web-2")).toContain("it has failed: rollcall instances reset web-2");
  });
});

describe("a reconciliation of the ledger and the store", () => {
  test("finds nothing wrong with what changes while an agent takes its time to answer", async () => {
    const { world } = await fleetOfAgents(3);
    const lost = world.hub.drop(({ subject }) => subject.endsWith("ask.web-3.inventory"));
    const request = { by: "ann", reason: null, requestKey: "k", dryRun: false };
    const coordinator = world.coordinators.get(world.leaderName() ?? "")?.coordinator;
    const running = coordinator?.plane["reconciliations.run"](request);
    await world.advance(1_000);
    const { id } = await world.call("deployments.create", { release: "v1", ...rollOut });
    await world.finished(id);
    await world.call("instances.remove", { instance: "web-2" });
    await world.advance(40_000);
    lost.unsubscribe();
    await running;
    const { items, counts } = await reconcile(world, { requestKey: "k" });
    expect(items.map(({ object }) => object)).toEqual(["instance/web-3"]);
    expect(counts.done).toBe(0);
    expect(world.eventsOf("fleet", fleet)).toEqual(["reconciled"]);
  });

  test("removes desired states of instances that are not in the fleet", async () => {
    const world = new FleetWorld();
    const bus = world.hub.connect("before");
    const ledger = await world.during(world.store.open({ fleet, bus, log: world.log }));
    const leadership = await world.during(ledger.acquire({ holder: "before", leaseMs: 3_000 }));
    if ("heldBy" in leadership) throw new Error("nobody else leads");
    const key = keys.desiredInstance("gone-1");
    const event = {
      kind: "instance",
      id: "gone-1",
      type: "instance.told",
      data: {},
      actor: "user:t",
      cause: "request:t",
    };
    await world.during(
      leadership.commit({ events: [event], puts: [{ key, value: { generation: 3 } }], deletes: [] }),
    );
    await world.during(leadership.resign());
    await world.startCoordinator();
    await world.advance(2_500);
    expect(told(await reconcile(world))).toEqual([
      "done: a desired state of gone-1, which is not in the fleet",
    ]);
    expect(await world.during(ledger.get(key))).toBeUndefined();
    expect((await reconcile(world)).counts.found).toBe(0);
  });

  test("removes files that nobody names once they are a day old, and reports those that are missing", async () => {
    let storedAtMs = 0;
    const files = createMemoryObjects({ nowMs: () => storedAtMs });
    const world = await FleetWorld.ready(1, { files, releases: ["v1"] });
    async function put(name: string, ageMs: number): Promise<void> {
      storedAtMs = world.clock.nowMs() - ageMs;
      const bytes = (async function* () {
        yield new Uint8Array(1);
      })();
      await world.during(files.put(name, bytes));
    }
    const ofStore = async () => told(await reconcile(world)).filter((line) => line.includes("file"));
    await put("young.tar", dayMs - 60_000);
    await put("old.tar", dayMs);
    expect(await ofStore()).toEqual([
      "left: the file of release v1 is missing in the store",
      "left: the file young.tar, which no release or configuration names",
      "done: the file old.tar, which no release or configuration names",
    ]);
    await put("v1", 0);
    expect(await ofStore()).toEqual(["left: the file young.tar, which no release or configuration names"]);
    expect((await files.list()).map(({ name }) => name)).toEqual(["young.tar", "v1"]);
  });
});

describe("one leader, one reconciliation at a time", () => {
  test("a second one is told that another is under way; the same request is answered about its own", async () => {
    const { world } = await fleetOnV2();
    const first = world.ask("reconciliations.run", { by: "ann", requestKey: "one" });
    await expect(world.call("reconciliations.run", { by: "bob", requestKey: "two" })).rejects.toMatchObject({
      code: "RECONCILIATION_UNDER_WAY",
      message: expect.stringContaining("asked for by ann"),
    });
    const same = await world.call("reconciliations.run", { by: "ann", requestKey: "one" });
    expect(same.startedAtMs).toBe((await world.during(first)).startedAtMs);
  });

  test("a dry run that is asked for as another one falls due is no part of that", async () => {
    const { world } = await fleetOfAgents(1);
    let perform: (command: ReconciliationCommand) => void = () => undefined;
    const actor = { send: () => true, snapshot: () => ({ context: { treated: [] } }) };
    const spawn = (spec: { readonly perform: typeof perform }) => {
      perform = spec.perform;
      return actor;
    };
    const term = {
      fleet,
      host: { spawn },
      clock: world.clock,
      random: world.random,
      log: quietLog,
      leadership: { epoch: 1 },
      nowMs: () => 1,
      ownOrigin: {},
    };
    const reconciliation = new Reconciliation({ term } as unknown as ReconciliationParts, 1_000);
    reconciliation.start();
    const asked = reconciliation.reconcile({ dryRun: true, by: "ann", reason: null });
    perform({ type: "gather", run: 1, wish: { dryRun: false, by: "rollcall", reason: null } });
    await expect(asked).rejects.toMatchObject({
      code: "RECONCILIATION_UNDER_WAY",
      message: expect.stringContaining("asked for by rollcall"),
    });
  });

  test("lost in the middle, it ends between two things, says so, and the next leader does the rest", async () => {
    const fleetWorld = await fleetOnV2();
    const { world, host } = fleetWorld;
    await world.startCoordinator("c2");
    await muddle(fleetWorld);
    const asked = world.ask("reconciliations.run", { by: "ann", requestKey: "one" });
    await world.until(() => world.eventsOf("fleet", fleet).length === 2);
    await world.stopCoordinator("c1");
    await expect(asked).rejects.toMatchObject({ code: "RECONCILIATION_INTERRUPTED" });
    const before = world.eventsOf("fleet", fleet).length;
    expect(before).toBeLessThan(5);
    expect(await host.files.instances()).toContain("gone-9");

    await world.untilLed();
    await world.advance(10_000);
    const epoch = world.leader().leader().epoch - 1;
    await expect(world.call("reconciliations.run", { epoch, requestKey: "one" })).rejects.toMatchObject({
      code: "RECONCILIATION_INTERRUPTED",
    });
    const rest = await reconcile(world);
    expect(rest.counts).toMatchObject({ found: 5 - before, done: 5 - before });
    expect(await host.files.instances()).toEqual(["web-1"]);
  });

  test("who does not lead does not begin one", async () => {
    const { world } = await fleetOnV2();
    const follower = await world.startCoordinator("c2");
    await expect(world.call("reconciliations.run", {}, follower.plane)).rejects.toMatchObject({
      code: "NO_LEADER",
    });
  });
});
