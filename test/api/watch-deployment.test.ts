import { expect, test } from "vitest";
import type { DeploymentSnapshot, WatchOptions } from "../../src/api/watch-deployment.js";
import { refusal } from "../../src/contracts/errors.js";
import { aDeployment, anInstance } from "./fake-plane.js";
import { createWorld, following, leading } from "./world.js";

const finished = aDeployment({ state: "finished", outcome: "completed", status: "COMPLETED" });

function snapshot(changes: Partial<DeploymentSnapshot> = {}): DeploymentSnapshot {
  return { deployment: aDeployment(), instances: [anInstance()], asOf: 1, epoch: 7, ...changes };
}

/** A deployment whose next answer the test sets. */
function watched(options: WatchOptions = {}) {
  const world = createWorld();
  const state = { now: snapshot(), asked: 0, seen: [] as DeploymentSnapshot[] };
  world.coordinator("c1", leading, {
    "deployments.get": async () => {
      state.asked++;
      return state.now;
    },
  });
  const client = world.client({ retries: 0, timeoutMs: 1_000 });
  const watching = (async () => {
    for await (const seen of client.watchDeployment("d1", options)) state.seen.push(seen);
  })();
  watching.catch(() => undefined);
  return { world, state, watching };
}

test("every change is shown once, ages alone are none, and the end ends it", async () => {
  const looks: number[] = [];
  const { world, state, watching } = watched({ everyMs: 100, onLook: ({ asOf }) => looks.push(asOf) });
  await world.clock.advance(1_000);
  expect(state.seen).toHaveLength(1);
  const older = { ...aDeployment().why, sentence: "Waiting for web-1 since 2s." };
  state.now = snapshot({
    deployment: aDeployment({ why: older }),
    instances: [anInstance({ reportAgeMs: 900, why: "Since 2s." })],
    asOf: 2,
  });
  await world.clock.advance(1_000);
  expect(state.seen).toHaveLength(1);
  expect(looks).toContain(2);
  state.now = snapshot({ instances: [anInstance({ progress: 80 })], asOf: 3 });
  await world.clock.advance(1_000);
  expect(state.seen).toHaveLength(2);
  state.now = snapshot({ deployment: finished, asOf: 4 });
  await world.settled(watching);
  expect(state.seen.map(({ deployment }) => deployment.state)).toEqual(["rolling", "rolling", "finished"]);
});

test("a finished deployment is shown once and asked for once", async () => {
  const { world, state, watching } = watched();
  state.now = snapshot({ deployment: finished });
  await world.settled(watching);
  expect([state.seen.length, state.asked]).toEqual([1, 1]);
});

test("a coordinator that lags shows nothing that is older than what was shown", async () => {
  const { world, state } = watched({ everyMs: 100 });
  state.now = snapshot({ epoch: 8, asOf: 50 });
  await world.clock.advance(100);
  for (const older of [
    { epoch: 7, asOf: 90 },
    { epoch: 8, asOf: 49 },
  ]) {
    state.now = snapshot({ ...older, instances: [] });
    await world.clock.advance(500);
  }
  expect(state.seen).toHaveLength(1);
});

test("a control plane that is away for a while is waited for, and the watcher is told", async () => {
  const away: string[] = [];
  const { world, state, watching } = watched({ everyMs: 100, onAway: ({ code }) => away.push(code) });
  await world.clock.advance(500);
  world.hub.disconnect("c1");
  await world.clock.advance(20_000);
  state.now = snapshot({ deployment: finished, asOf: 2 });
  world.hub.reconnect("c1");
  await world.settled(watching);
  expect(new Set(away)).toEqual(new Set(["NO_CONTROL_PLANE"]));
  expect(state.seen).toHaveLength(2);
});

test("a look that waited for a new leader is followed by the next one soon", async () => {
  const world = createWorld();
  const askedAtMs: number[] = [];
  world.coordinator("c1", leading, {
    "deployments.get": async () => {
      askedAtMs.push(world.clock.monotonicMs());
      if (askedAtMs.length === 1) await new Promise<void>((resolve) => world.clock.setTimer(5_000, resolve));
      return snapshot({
        asOf: askedAtMs.length,
        deployment: askedAtMs.length > 1 ? finished : aDeployment(),
      });
    },
  });
  const watching = (async () => {
    for await (const _ of world.client({ timeoutMs: 10_000 }).watchDeployment("d1"));
  })();
  await world.settled(watching);
  expect((askedAtMs[1] ?? 0) - 5_000).toBeLessThanOrEqual(2_000);
});

test("a control plane that stays away ends the watching with its error when patience is over", async () => {
  const { world, watching } = watched({ patienceMs: 5_000 });
  await world.clock.advance(500);
  world.hub.disconnect("c1");
  expect((await world.refusalOf(watching)).code).toBe("NO_CONTROL_PLANE");
});

test("a refusal ends the watching at once", async () => {
  const world = createWorld();
  world.coordinator("c1", leading, {
    "deployments.get": async ({ deployment }) => {
      throw refusal("UNKNOWN_DEPLOYMENT", { deployment });
    },
  });
  const watching = world.client().watchDeployment("d9")[Symbol.asyncIterator]().next();
  expect(await world.refusalOf(watching)).toMatchObject({
    code: "UNKNOWN_DEPLOYMENT",
    message: "There is no deployment d9: see rollcall deployments ls.",
  });
});

test("the signal ends the watching, also in a pause", async () => {
  const ending = new AbortController();
  const { world, state, watching } = watched({ everyMs: 60_000, signal: ending.signal });
  await world.clock.advance(10);
  ending.abort();
  await world.settled(watching);
  expect([state.asked, world.clock.pending]).toEqual([1, 0]);
});

test("a deployment whose instances fit into no message is watched without them", async () => {
  const world = createWorld();
  const asked: boolean[] = [];
  const many = Array.from({ length: 3_000 }, (_, at) => anInstance({ id: `web-${at}` }));
  let deployment = aDeployment();
  world.coordinator("c2", following, {
    "deployments.get": async ({ instances }) => {
      asked.push(instances);
      return { deployment, instances: instances ? many : [], asOf: asked.length, epoch: 7 };
    },
  });
  const seen: DeploymentSnapshot[] = [];
  const watching = (async () => {
    for await (const shown of world.client().watchDeployment("d1")) {
      seen.push(shown);
      deployment = finished;
    }
  })();
  await world.settled(watching);
  expect(asked).toEqual([true, false, false]);
  expect(seen.map(({ deployment: { state }, instances }) => [state, instances.length])).toEqual([
    ["rolling", 0],
    ["finished", 0],
  ]);
});
