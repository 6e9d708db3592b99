import { beforeEach, describe, expect, test } from "vitest";
import { FleetWorld } from "../kit/fleet.js";
import { Invariants } from "../kit/invariants.js";
import { refusalOf } from "../kit/refusals.js";

let world: FleetWorld;

beforeEach(async () => {
  world = await FleetWorld.ready(6);
  new Invariants(world);
  await world.rolledOut("v1", { batch: 6 });
});

const retry = (deployment: string, more = {}) =>
  world.call("deployments.retry", { deployment, by: "anna", ...more });
const reset = (instance: string) => world.call("instances.reset", { instance, by: "anna" });
const remove = (instance: string) => world.call("instances.remove", { instance, by: "anna" });

describe("a retry", () => {
  test("of a completed deployment is a new one for the instances that failed", async () => {
    world.behave({ v2: { fails: true } }, ["web-2", "web-4"]);
    const first = await world.rolledOut("v2", { failureThreshold: 3 });
    expect(first).toMatchObject({ outcome: "completed", counts: { failed: 2 } });
    world.behave({});
    const again = await retry(first.id);
    expect(again).toMatchObject({ retryOf: first.id, rollbackOf: null, matched: 2 });
    expect(await world.finished(again.id)).toMatchObject({
      outcome: "completed",
      counts: { total: 2, succeeded: 2 },
    });
    expect(world.versions()).toEqual(["v2"]);
    expect((await world.instance("web-2")).stable?.release).toBe("v2");
    expect(await refusalOf(retry(first.id))).toMatchObject({
      code: "NOTHING_TO_RETRY",
      details: { deployment: first.id },
    });
  });

  test("of an aborted one takes those that failed and those that it had not come to", async () => {
    world.behave({ v2: { fails: true } }, ["web-2"]);
    const { id } = await world.deploy("v2");
    await world.until(() => world.toldOf("v2").length === 4);
    await world.call("deployments.abort", { deployment: id });
    world.behave({});
    await world.advance(5_000);
    const done = Object.values(world.running()).filter((release) => release === "v2").length;
    const again = await retry(id);
    expect(again.matched).toBe(6 - done);
    expect(await world.finished(again.id)).toMatchObject({ outcome: "completed" });
    expect(world.versions()).toEqual(["v2"]);
  });

  test("of one that was rolled back tries all of it again", async () => {
    world.behave({ v2: { fails: true } });
    const bad = await world.rolledOut("v2");
    await world.finished(bad.rolledBackBy ?? "");
    world.behave({});
    const again = await retry(bad.id);
    expect(again).toMatchObject({ matched: 6, batch: 2, failureThreshold: 2 });
    expect(await world.finished(again.id)).toMatchObject({ outcome: "completed", counts: { succeeded: 6 } });
  });

  test("leaves what a later deployment has touched to that one", async () => {
    world.behave({ v2: { fails: true } }, ["web-1", "web-2"]);
    const first = await world.rolledOut("v2", { failureThreshold: 3 });
    await world.relabel("web-1", { tier: "web", name: "one" });
    await world.rolledOut("v3", { selector: "name=one" });
    world.behave({});
    const again = await retry(first.id);
    expect(again.matched).toBe(1);
    await world.finished(again.id);
    expect(world.running()).toMatchObject({ "web-1": "v3", "web-2": "v2" });
  });

  test("is refused while the deployment runs, and while another one has the instances", async () => {
    world.behave({ v2: { hangs: true } });
    const { id } = await world.deploy("v2");
    expect(await refusalOf(retry(id))).toMatchObject({ code: "NOT_FINISHED", details: { deployment: id } });
    await world.call("deployments.abort", { deployment: id });
    world.behave({ v3: { hangs: true } });
    const other = await world.deploy("v3");
    expect(await refusalOf(retry(id))).toMatchObject({
      code: "ROLLOUT_IN_PROGRESS",
      details: { other: other.id, shared: 6 },
    });
  });

  test("with the key of an earlier request is that one", async () => {
    world.behave({ v2: { fails: true } }, ["web-2"]);
    const first = await world.rolledOut("v2", { failureThreshold: 3 });
    const [one, other] = [
      await retry(first.id, { requestKey: "r1" }),
      await retry(first.id, { requestKey: "r1" }),
    ];
    expect(other.id).toBe(one.id);
  });
});

describe("a reset", () => {
  test("while rolling: the instance waits for a free slot, and its failure stays spent", async () => {
    world.behave({ v2: { fails: true } }, ["web-1"]);
    world.behave({ v2: { tookMs: 10_000 } }, ["web-2", "web-3", "web-4", "web-5", "web-6"]);
    const { id } = await world.deploy("v2", { batch: 2, failureThreshold: 2 });
    await world.until(() => world.eventsOf("instance", "web-1").at(-1) === "failed");
    await world.advance(500);
    expect(await world.view(id)).toMatchObject({ counts: { inFlight: 2, failed: 1 } });
    world.agent("web-1").behaviour = () => ({});
    expect(await reset("web-1")).toMatchObject({
      updateState: "NEEDING_UPDATE",
      claim: "waiting",
      status: "UNKNOWN",
    });
    await world.advance(2_000);
    expect(world.agent("web-1").story).toEqual(["v1", "v2"]);
    const done = await world.finished(id);
    expect(done).toMatchObject({ outcome: "completed", counts: { succeeded: 6, failed: 0 } });
    expect(world.agent("web-1").story).toEqual(["v1", "v2", "v2"]);
  });

  test("gives nothing of the threshold back: the next failure ends it", async () => {
    world.behave({ v2: { fails: true } }, ["web-1", "web-4"]);
    const { id } = await world.deploy("v2", { batch: 1, failureThreshold: 2 });
    await world.until(() => world.eventsOf("instance", "web-1").at(-1) === "failed");
    await reset("web-1");
    const done = await world.finished(id);
    expect(done).toMatchObject({ outcome: "failed", reason: { code: "FAILURE_THRESHOLD" } });
    await world.finished(done.rolledBackBy ?? "");
    expect(world.versions()).toEqual(["v1"]);
  });

  test("and an abort at once after it: it goes back to what it had", async () => {
    world.behave({ v2: { fails: true } }, ["web-1"]);
    world.behave({ v2: { hangs: true } }, ["web-2", "web-3"]);
    const { id } = await world.deploy("v2", { batch: 2, failureThreshold: 2 });
    await world.until(() => world.toldOf("v2").length === 3);
    await reset("web-1");
    await world.call("deployments.abort", { deployment: id });
    await world.advance(5_000);
    expect(world.agent("web-1").story).toEqual(["v1", "v2", "v1"]);
  });

  test("of a finished deployment's failure tells the same once more, and its success is stable", async () => {
    world.behave({ v2: { fails: true } }, ["web-3"]);
    const done = await world.rolledOut("v2", { failureThreshold: 2 });
    expect(await world.instance("web-3")).toMatchObject({ updateState: "FAILED", stable: { release: "v1" } });
    world.behave({});
    expect(await reset("web-3")).toMatchObject({ updateState: "IN_PROGRESS" });
    await world.advance(5_000);
    expect(await world.instance("web-3")).toMatchObject({
      updateState: "COMPLETED",
      stable: { release: "v2" },
    });
    expect(await refusalOf(retry(done.id))).toMatchObject({ code: "NOTHING_TO_RETRY" });
  });

  test("is refused for what has not failed and for what is not there", async () => {
    expect(await refusalOf(reset("web-1"))).toMatchObject({ code: "INSTANCE_NOT_FAILED" });
    expect(await refusalOf(reset("web-9"))).toMatchObject({ code: "UNKNOWN_INSTANCE" });
  });

  test("is answered when the ledger has it, not before", async () => {
    world.behave({ v2: { fails: true } }, ["web-3"]);
    await world.rolledOut("v2", { failureThreshold: 2 });
    const fault = world.store.unavailable();
    let answered = false;
    const asked = world.ask("instances.reset", { instance: "web-3" }).finally(() => {
      answered = true;
    });
    asked.catch(() => undefined);
    await world.advance(1_000);
    expect(answered).toBe(false);
    fault.unsubscribe();
    await world.during(Promise.allSettled([asked]));
  });
});

describe("an instance that is taken out of the fleet", () => {
  test("in flight: its slot is free at once, and its desired state is gone", async () => {
    world.behave({ v2: { hangs: true } }, ["web-1"]);
    const { id } = await world.deploy("v2", { batch: 1 });
    await world.until(() => world.toldOf("v2").length === 1);
    world.agent("web-1").stop();
    await world.advance(20);
    expect(await remove("web-1")).toEqual({ instance: "web-1" });
    await world.advance(100);
    expect(world.toldOf("v2")).toEqual(["web-1", "web-2"]);
    expect(world.desires.filter(({ instance }) => instance === "web-1").at(-1)?.desired).toBeUndefined();
    expect(await world.finished(id)).toMatchObject({
      outcome: "completed",
      counts: { total: 5, succeeded: 5 },
    });
    expect(await refusalOf(world.instance("web-1"))).toMatchObject({ code: "UNKNOWN_INSTANCE" });
  });

  test("after it failed: what it spent stays spent", async () => {
    world.behave({ v2: { fails: true } }, ["web-1", "web-3"]);
    const { id } = await world.deploy("v2", { batch: 1, failureThreshold: 2 });
    await world.until(() => world.eventsOf("instance", "web-1").at(-1) === "failed");
    world.agent("web-1").stop();
    await remove("web-1");
    expect(await world.finished(id)).toMatchObject({ outcome: "failed", counts: { failed: 1, total: 5 } });
  });

  test("as the last one that a deployment waits for: the deployment completes", async () => {
    world.behave({ v2: { hangs: true } }, ["web-6"]);
    const { id } = await world.deploy("v2");
    await world.advance(20_000);
    world.agent("web-6").stop();
    await remove("web-6");
    expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { total: 5 } });
  });

  test("comes back by its next report, keeps its generations, and gets what the fleet has", async () => {
    await world.rolledOut("v2", { batch: 6 });
    const before = world.agent("web-1").desired?.generation ?? 0;
    world.agent("web-1").fail("it has ended");
    await world.advance(100);
    await remove("web-1");
    await world.advance(100);
    world.agent("web-1").stop();
    world.agent("web-1").start();
    await world.advance(5_000);
    const back = await world.instance("web-1");
    expect(back).toMatchObject({
      desired: { release: "v2" },
      stable: { release: "v2" },
      updateState: "COMPLETED",
    });
    expect(back.generation).toBeGreaterThan(before);
    expect(world.agent("web-1").story).toEqual(["v1", "v2", "v2"]);
  });

  test("while somebody waits for an answer about it: that one is told that it is gone", async () => {
    world.behave({ v2: { fails: true } }, ["web-3"]);
    await world.rolledOut("v2", { failureThreshold: 2 });
    world.agent("web-3").stop();
    const resetting = world.ask("instances.reset", { instance: "web-3" });
    const removing = world.ask("instances.remove", { instance: "web-3" });
    const outcomes = await world.during(Promise.allSettled([resetting, removing]));
    expect(outcomes[1]?.status).toBe("fulfilled");
    expect(await refusalOf(resetting)).toMatchObject({ code: "UNKNOWN_INSTANCE" });
  });
});
