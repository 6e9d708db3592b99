import { beforeEach, describe, expect, test } from "vitest";
import { eventTypes } from "../../src/contracts/event-types.js";
import { chainVerifier } from "../../src/ledger/event-chain.js";
import { AuditCheck } from "../kit/audit-check.js";
import { fleet } from "../kit/coordinators-world.js";
import { FleetWorld } from "../kit/fleet.js";

let world: FleetWorld;
let audit: AuditCheck;

/** Six instances on v1, and v2 and v3 to come; everything heard from the first batch on. */
beforeEach(async () => {
  world = new FleetWorld();
  audit = new AuditCheck(world);
  await world.startCoordinator();
  for (let n = 1; n <= 6; n++) world.addAgent(`web-${n}`, { tier: "web" });
  await world.advance(2_500);
  for (const version of ["v1", "v2", "v3"]) await world.pushRelease(version);
  await world.rolledOut("v1");
});

/** Nothing was found, and the log that is in the store is all of it, whole. */
function expectWhole(): void {
  expect(audit.problems).toEqual([]);
  const events = world.store.events(fleet);
  expect(events).toHaveLength(audit.events);
  expect(events.map(chainVerifier()).filter((problem) => problem !== undefined)).toEqual([]);
}

test("every change of every record over a roll-out that is rolled back has its event in the same batch, and every event a cause that exists", async () => {
  world.behave({ v2: { fails: true } }, ["web-3", "web-4"]);
  const failed = await world.rolledOut("v2", { by: "alice", requestKey: "k1" });
  expect(failed).toMatchObject({ outcome: "failed" });
  expect(await world.finished(failed.rolledBackBy ?? "")).toMatchObject({ outcome: "rolled_back" });
  await world.advance(1_000);
  expectWhole();
});

test("the way from a request to what an agent was told, and back, can be read off actor and cause", async () => {
  world.behave({ v2: { fails: true } }, ["web-3", "web-4"]);
  const { id } = await world.rolledOut("v2", { by: "alice", requestKey: "k1" });
  const events = world.store.events(fleet);
  const of = (subject: string, type: string) =>
    events.filter((event) => event.subject === subject && event.type === `dev.rollcall.${type}.v1`);
  const [created] = of(`deployment/${id}`, "deployment.created");
  expect(created).toMatchObject({ actor: "user:alice", cause: "request:k1", generation: 1 });
  const [told] = of("instance/web-3", "instance.told").filter(({ cause }) =>
    cause?.startsWith(`deployment:${id}/`),
  );
  expect(told).toMatchObject({ actor: "rule:rollout", generation: 2 });
  const step = of(`deployment/${id}`, "deployment.told").find(
    ({ body }) => `deployment:${id}/${JSON.parse(body).step}` === told?.cause,
  );
  expect(step?.sequence).toBeLessThan(told?.sequence ?? 0);
  expect(of("instance/web-3", "instance.failed")[0]).toMatchObject({
    actor: `agent:${world.agent("web-3").agent}`,
    cause: expect.stringMatching(/^report:web-3\/\w+\/\d+$/),
  });
  expect(of(`deployment/${id}`, "deployment.finished")[0]?.cause).toMatch(/^report:web-[34]\//);
  const [rollback] = of("deployment/d3", "deployment.rollback");
  expect(JSON.parse(rollback?.body ?? "")).toMatchObject({ rollbackOf: id });
});

test("a full ledger has no room for the event that somebody leads, and is led all the same", async () => {
  await world.startCoordinator("c2");
  // Room for leases, and none for batches.
  world.store.limit(fleet, world.store.used(fleet) + 20_000);
  world.kill("c1");
  expect(await world.untilLed()).toBe("c2");
  await world.advance(10_000);
  expect(world.leaderName()).toBe("c2");
  expect(world.leader().view().epoch).toBe(2);
  world.store.limit(fleet, 1_073_741_824);
  expect(await world.rolledOut("v2")).toMatchObject({ outcome: "completed" });
});

describe("every decision is one event", () => {
  test("over everything that people, rules and time decide", async () => {
    // Config, pause, resume, abort.
    await world.pushConfig("c1");
    world.behave({ v2: { hangs: true } });
    const one = await world.deploy("v2", { batch: 1 });
    await world.call("deployments.pause", { deployment: one.id, by: "bob" });
    await world.call("deployments.resume", { deployment: one.id, by: "bob" });
    await world.call("deployments.abort", { deployment: one.id, by: "bob" });
    await world.finished(one.id);
    // A deadline, a failure that is not enough, a reset, a person's rollback.
    world.behave({ v2: { hangs: true } }, ["web-1"]);
    world.behave({}, ["web-2", "web-3", "web-4", "web-5", "web-6"]);
    await world.rolledOut("v2", { batch: 6, deadlineMs: 30_000 });
    world.behave({});
    await world.call("instances.reset", { instance: "web-1", by: "bob" });
    await world.advance(5_000);
    // Labels, another agent, leaving and coming back.
    await world.relabel("web-6", { tier: "web", zone: "b" });
    world.agent("web-6").stop();
    const other = world.addAgent("web-6", { tier: "web", zone: "b" }, "a-other");
    await world.advance(3_000);
    await world.call("instances.takeover", { instance: "web-6", agent: "a-other", by: "bob" });
    await world.advance(5_000);
    other.stop();
    await world.call("instances.remove", { instance: "web-6", by: "bob" });
    // A leader that is stopped in order, and one that dies in the middle.
    await world.startCoordinator("c2");
    await world.stopCoordinator("c1");
    await world.untilLed();
    await world.advance(5_000);
    const two = await world.deploy("v3", { batch: 1 });
    await world.startCoordinator("c3");
    world.kill("c2");
    await world.untilLed();
    expect(await world.finished(two.id)).toMatchObject({ outcome: "completed" });
    await world.call("deployments.rollback", { deployment: two.id, by: "bob" });
    await world.advance(60_000);
    await world.call("configs.remove", { version: "c1", by: "bob" });
    expectWhole();
    for (const type of [
      ...["ledger.begun", "coordinator.leading", "coordinator.resigned"],
      ...["release.pushed", "config.pushed", "config.removed"],
      ...["deployment.created", "deployment.started", "deployment.told", "deployment.paused"],
      ...["deployment.resumed", "deployment.aborted", "deployment.reverting", "deployment.expired"],
      ...["deployment.completing", "deployment.finished"],
      ...["instance.joined", "instance.claimed", "instance.told", "instance.succeeded", "instance.failed"],
      ...["instance.released", "instance.reset", "instance.relabelled", "instance.moved", "instance.left"],
    ])
      expect(audit.types, type).toContain(type);
    for (const type of audit.types) expect(Object.keys(eventTypes)).toContain(type);
  });

  test("an alert too", async () => {
    world.behave({ v2: { fails: true }, v1: { fails: true } }, ["web-3", "web-4"]);
    const failed = await world.rolledOut("v2");
    await world.finished(failed.rolledBackBy ?? "");
    expectWhole();
    const alerts = world.store.events(fleet).filter(({ type }) => type.includes("alerted"));
    expect(alerts.map(({ subject, body }) => [subject, JSON.parse(body).code])).toEqual([
      [`deployment/${failed.id}`, "DEPLOYMENT_FAILED"],
      [`deployment/${failed.rolledBackBy}`, "ROLLBACK_FAILED"],
    ]);
  });

  test("what a roll-out holds for and is forced on by as well", async () => {
    for (let n = 7; n <= 10; n++) world.addAgent(`web-${n}`, { tier: "web" });
    world.behave({ v2: { hangs: true } }, ["web-1"]);
    const { id } = await world.deploy("v2", { batch: 1, deadlineMs: 600_000 });
    await world.advance(3_000);
    for (const n of [7, 8, 9, 10]) world.agent(`web-${n}`).stop();
    await world.advance(10_000);
    expect(await world.view(id)).toMatchObject({ state: "held" });
    await world.call("deployments.resume", { deployment: id, force: true, by: "bob" });
    for (const n of [7, 8, 9, 10]) world.agent(`web-${n}`).start();
    await world.advance(30_000);
    expectWhole();
    const events = world.store.events(fleet).filter(({ subject }) => subject === `deployment/${id}`);
    const origins = new Map(events.map(({ type, actor, cause }) => [type.split(".")[3], [actor, cause]]));
    expect(origins.get("held")).toEqual(["rule:mass-silence", "clock:silence"]);
    expect(origins.get("forced")).toEqual(["user:bob", expect.stringMatching(/^request:1-\d+$/)]);
    expect(origins.get("unforced")).toEqual(["rule:mass-silence", "clock:silence"]);
  });
});
