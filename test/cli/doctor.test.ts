import { join } from "node:path";
import { expect, test } from "vitest";
import { writeContext } from "../../src/cli/context.js";
import type { Check } from "../../src/cli/diagnosis.js";
import type { CoordinatorView, FleetStatus } from "../../src/contracts/views.js";
import { aDeployment } from "../api/fake-plane.js";
import { eventuallyPasses } from "../kit/eventually.js";
import { withNats } from "../kit/nats.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { startFakeFleet } from "./fake-fleet.js";
import { envOf } from "./run-cli.js";
import { runHere } from "./run-here.js";

const nats = withNats();
const healthy: FleetStatus = {
  fleet: "default",
  leader: "c1",
  epoch: 7,
  ledgerNowMs: 1,
  instances: { total: 3, UNKNOWN: 0, HEALTHY: 3, DEGRADED: 0, FAILED: 0 },
  versions: [],
  ledger: { id: "m1", sinceMs: 1, restoredFrom: null, strangers: 0, unknownVersions: 0, notice: null },
  active: [],
  stuck: 0,
  broken: [],
  apps: { apps: 2, instances: 3, alerts: 0 },
  reconciliation: null,
  latest: null,
};

const answering = (status: FleetStatus, silent: readonly CoordinatorView[] = []) => ({
  "status.get": async () => status,
  "coordinators.list": async () => ({ items: [...silent], asOf: 1, epoch: 7 }),
});

async function examine(args: readonly string[], env: Record<string, string>) {
  const { code, stdout } = await runHere(["doctor", "--json", ...args], { env });
  const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: Check[] };
  return { code, ok, states: Object.fromEntries(checks.map(({ name, state }) => [name, state])), checks };
}

async function examineFleet(status: FleetStatus) {
  const fleet = await startFakeFleet(nats(), answering(status));
  return examine(["--data", makeTempDir()], envOf(nats(), { ROLLCALL_FLEET: fleet }));
}

const allGood = {
  context: "good",
  nats: "good",
  jetstream: "good",
  "control plane": "good",
  leader: "good",
  ledger: "good",
  instances: "good",
  apps: "good",
  "roll-outs": "good",
  rules: "good",
  disk: "good",
};

test("a healthy fleet is good in every point", async () => {
  const { code, ok, states, checks } = await examineFleet(healthy);
  expect([code, ok, states]).toEqual([0, true, allGood]);
  expect(checks[1]?.found).toMatch(/^nats-server 2\.\d+\.\d+ at 127\.0\.0\.1:\d+, \d+ ms away$/);
  expect(checks[3]?.found).toBe("1 coordinator: c1 (1.2.3)");
});

test("in words every point has its mark, and what is wrong its next step", async () => {
  const status = { ...healthy, instances: { total: 3, UNKNOWN: 1, HEALTHY: 2, DEGRADED: 0, FAILED: 0 } };
  const fleet = await startFakeFleet(nats(), answering(status));
  const { code, stdout } = await runHere(["doctor"], { env: envOf(nats(), { ROLLCALL_FLEET: fleet }) });
  expect(code).toBe(0);
  expect(stdout).toContain("✓ leader         c1 leads, epoch 7\n");
  expect(stdout).toContain(
    "! instances      2 of 3 healthy, 0 degraded, 0 failed, 1 unknown\n                 → see which are silent by rollcall instances ls, and whether their agents run\n",
  );
});

test.each([
  [
    "failed instances",
    { instances: { total: 2, UNKNOWN: 0, HEALTHY: 1, DEGRADED: 0, FAILED: 1 } },
    { instances: "bad" },
    1,
  ],
  [
    "no instances",
    {
      instances: { total: 0, UNKNOWN: 0, HEALTHY: 0, DEGRADED: 0, FAILED: 0 },
      apps: { apps: 0, instances: 0, alerts: 0 },
    },
    { instances: "odd" },
    0,
  ],
  ["apps that are not as asked", { apps: { apps: 2, instances: 3, alerts: 1 } }, { apps: "bad" }, 1],
  [
    "apps that nobody asked for",
    { apps: { apps: 2, instances: 3, alerts: 0, unasked: 1 } },
    { apps: "odd" },
    0,
  ],
  ["a leader that knows of no apps", { apps: undefined }, { apps: "skipped" }, 0],
  ["nobody who leads", { leader: null }, { leader: "bad" }, 7],
  [
    "a roll-out that is held",
    { active: [aDeployment({ state: "held" as const })] },
    { "roll-outs": "odd" },
    0,
  ],
  [
    "a rollback that failed",
    { latest: aDeployment({ outcome: "rollback_failed" as const }) },
    { "roll-outs": "bad" },
    1,
  ],
  [
    "a leader that has found itself to break a rule",
    { broken: [{ rule: "batchHolds", times: 2, sentence: "d1 has 3 in flight, its batch is 2" }] },
    { rules: "bad" },
    1,
  ],
  ["a follower that answers for it", { broken: undefined }, { rules: "skipped" }, 0],
])("a fleet with %s says so", async (_what, changes, states, code) => {
  const found = await examineFleet({ ...healthy, ...changes });
  expect([found.code, found.ok]).toEqual([code, code === 0]);
  expect(found.states).toEqual({ ...allGood, ...states });
  const [name] = Object.keys(states);
  const check = found.checks.find((looked) => looked.name === name);
  expect(check?.state === "skipped" ? check.found : check?.next).toMatch(/.{10}/);
});

test("coordinators of different versions are odd", async () => {
  const fleet = await startFakeFleet(nats(), answering(healthy));
  await startFakeFleet(nats(), answering(healthy), {
    fleet,
    node: "c2",
    version: "1.3.0",
    role: { leading: false, epoch: 7, leader: "c1" },
  });
  const { states, checks } = await examine([], envOf(nats(), { ROLLCALL_FLEET: fleet }));
  expect(states["control plane"]).toBe("odd");
  expect(checks[3]?.found).toBe("2 coordinators: c1 (1.2.3), c2 (1.3.0)");
});

test("a coordinator that has answered and does so no more is odd", async () => {
  const c3: CoordinatorView = {
    id: "c3",
    role: "following",
    epoch: null,
    sinceMs: 1,
    renewedAtMs: null,
    doing: "does not answer, last heard 3m ago",
    version: "1.2.3",
    node: "host-c",
    problem: null,
  };
  const fleet = await startFakeFleet(nats(), answering(healthy, [c3]));
  const { code, checks } = await examine([], envOf(nats(), { ROLLCALL_FLEET: fleet }));
  expect([code, checks[3]]).toEqual([
    0,
    expect.objectContaining({
      state: "odd",
      found: "coordinator c3 does not answer, last heard 3m ago",
      next: "look at its host, host-c",
    }),
  ]);
});

test("what cannot be looked at is skipped, and the first missing thing is named", async () => {
  const rest = {
    leader: "skipped",
    ledger: "skipped",
    instances: "skipped",
    apps: "skipped",
    "roll-outs": "skipped",
    rules: "skipped",
    disk: "good",
  };
  const data = makeTempDir();
  const nothing = await examine(["--data", data], {});
  expect(nothing.code).toBe(7);
  expect(nothing.states).toEqual({
    ...rest,
    context: "bad",
    nats: "skipped",
    jetstream: "skipped",
    "control plane": "skipped",
  });
  const noServer = await examine(["--data", data, "--nats", "nats://127.0.0.1:1"], {});
  expect(noServer.code).toBe(7);
  expect(noServer.states).toEqual({
    ...rest,
    context: "good",
    nats: "bad",
    jetstream: "skipped",
    "control plane": "skipped",
  });
  const noPlane = await examine(["--data", data, "--fleet", "nowhere"], envOf(nats()));
  expect(noPlane.code).toBe(7);
  expect(noPlane.states).toEqual({
    ...rest,
    context: "good",
    nats: "good",
    jetstream: "good",
    "control plane": "bad",
  });
});

test("a context whose rollcall up has ended is odd, and says to start it again", async () => {
  const data = join(makeTempDir(), "state");
  const { url, credentials } = nats();
  const fleet = await startFakeFleet(nats(), answering(healthy));
  await writeContext(data, {
    format: 1,
    url,
    ...credentials,
    fleet,
    pid: 2 ** 22 + 1,
    natsPid: null,
    startedAtMs: 1,
  });
  const { states, checks } = await examine(["--data", data], {});
  expect(states.context).toBe("odd");
  expect(checks[0]?.next).toBe("start it again by rollcall up");
});

test("a coordinator that cannot lead is named, with the reason", async () => {
  const problem =
    "The record deployment.> has format 2, newer than 1 that this Rollcall knows: upgrade this Rollcall; nothing was changed.";
  const fleet = await startFakeFleet(nats(), answering(healthy));
  const role = { leading: false, epoch: 7, leader: "c1", problem };
  await startFakeFleet(nats(), {}, { role, node: "c2", version: "1.2.2", fleet });
  // Who answers is asked for a moment only; on a busy machine that may be too short once.
  await eventuallyPasses(async () => {
    const { checks, ok } = await examine(["--data", makeTempDir()], envOf(nats(), { ROLLCALL_FLEET: fleet }));
    expect(ok).toBe(true);
    expect(checks.find(({ name }) => name === "control plane")).toMatchObject({
      state: "odd",
      found: `coordinator c2 (1.2.2): ${problem}`,
    });
  });
});
