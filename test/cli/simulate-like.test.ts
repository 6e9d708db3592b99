import { expect, test } from "vitest";
import type { EventView } from "../../src/contracts/views.js";
import { aDeployment } from "../api/fake-plane.js";
import { withNats } from "../kit/nats.js";
import { startFakeFleet } from "./fake-fleet.js";
import { envOf } from "./run-cli.js";
import { runHere } from "./run-here.js";

const nats = withNats();
const createdMs = Date.UTC(2030, 0, 1);

function event(instance: string, what: string, atMs: number, cause: string): EventView {
  return {
    id: `${instance}-${what}`,
    type: `instance.${what}`,
    subject: `instance/${instance}`,
    time: new Date(createdMs + atMs).toISOString(),
    sentence: "",
    actor: "rule:rollout",
    cause,
    generation: 2,
    epoch: 1,
    sequence: 1,
    data: {},
  };
}

test("--like takes the numbers of a past deployment, and how its updates went, page by page", async () => {
  const made = aDeployment();
  const deployment = { ...made, matched: 3, created: { ...made.created, atMs: createdMs } };
  const { minHealthyMs } = deployment.spec;
  const pages: Record<string, { items: EventView[]; before: number | null }> = {
    null: {
      items: [event("web-2", "succeeded", 7_000 + minHealthyMs, "report:web-2/a/1")],
      before: 5,
    },
    5: {
      items: [
        event("web-9", "told", -60_000, "deployment:d0/2"),
        event("web-1", "told", 0, `deployment:${deployment.id}/2`),
        event("web-2", "told", 0, `deployment:${deployment.id}/2`),
        event("web-1", "succeeded", 4_000 + minHealthyMs, "report:web-1/a/1"),
      ],
      before: 1,
    },
  };
  const fleet = await startFakeFleet(nats(), {
    "deployments.get": async () => ({ deployment, instances: [], asOf: createdMs, epoch: 1 }),
    "events.list": async ({ before }) => pages[String(before)] ?? { items: [], before: null },
  });
  const env = envOf(nats(), { ROLLCALL_FLEET: fleet });
  const like = ["simulate", "--like", deployment.id, "--runs", "2", "--failure-threshold", "1", "--json"];
  const { code, stdout, stderr } = await runHere(like, { env });
  expect([code, stderr]).toEqual([0, ""]);
  expect(JSON.parse(stdout)).toMatchObject({
    instances: 3,
    plan: {
      strategy: { batch: deployment.spec.batch, failureThreshold: 1, minHealthyMs },
      behaviour: { updateTime: { samplesMs: [4_000, 7_000] }, failureRate: 0 },
    },
  });
});

test("a deployment of which the audit log says nothing is refused by name", async () => {
  const fleet = await startFakeFleet(nats(), {
    "deployments.get": async () => ({
      deployment: aDeployment(),
      instances: [],
      asOf: createdMs,
      epoch: 1,
    }),
    "events.list": async () => ({ items: [], before: null }),
  });
  const env = envOf(nats(), { ROLLCALL_FLEET: fleet });
  const { code, stderr } = await runHere(["simulate", "--like", "d1"], { env });
  expect(code).toBe(2);
  expect(stderr).toContain("no update of d1 that succeeded");
});
