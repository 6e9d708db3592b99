import { expect, test } from "vitest";
import { aDeployment } from "../api/fake-plane.js";
import { withNats } from "../kit/nats.js";
import { startFakeFleet } from "./fake-fleet.js";
import { runHere } from "./run-here.js";

const healthyStatus = {
  fleet: "shop",
  leader: "c1",
  epoch: 7,
  ledgerNowMs: 1,
  instances: { total: 1, UNKNOWN: 0, HEALTHY: 1, DEGRADED: 0, FAILED: 0 },
  versions: [],
  active: [],
  stuck: 0,
  reconciliation: null,
  latest: null,
};

const nats = withNats({
  config: `authorization { users: [
    { user: "coordinator", password: "c" }
    { user: "api-client", password: "a", permissions: { publish: ["rollcall.v1.shop.api.>", "$SRV.PING.>"], subscribe: ["_INBOX_api-client.>"] } }
    { user: "other", password: "o", permissions: { publish: ["rollcall.v1.shop.api.>"], subscribe: ["_INBOX.>"] } }
  ] }`,
});

async function why(args: string[], env: Record<string, string>) {
  const server = { ...nats(), url: nats().url, credentials: { user: "coordinator", password: "c" } };
  const answers = { "deployments.why": async () => aDeployment().why };
  await startFakeFleet(server, answers, { fleet: "shop" });
  return runHere(["deployments", "why", "d1", "--fleet", "shop", ...args], {
    env: { NATS_URL: nats().url, ...env },
  });
}

test("a user who may hear only its own answers, as in nats.conf, can use every command", async () => {
  expect((await why([], { NATS_USER: "api-client", NATS_PASSWORD: "a" })).stdout).toBe(
    "Waiting for web-1.\n",
  );
  const url = nats().url.replace("//", "//api-client:a@");
  expect((await why(["--nats", url], {})).stdout).toBe("Waiting for web-1.\n");
});

test("a user who may not ask about JetStream gets a doctor that skips it", async () => {
  const server = { ...nats(), url: nats().url, credentials: { user: "coordinator", password: "c" } };
  const answers = {
    "status.get": async () => healthyStatus,
    "coordinators.list": async () => ({ items: [], asOf: 1, epoch: 7 }),
  };
  await startFakeFleet(server, answers, { fleet: "shop" });
  const env = { NATS_URL: nats().url, NATS_USER: "api-client", NATS_PASSWORD: "a" };
  const { code, stdout, stderr } = await runHere(["doctor", "--fleet", "shop"], { env });
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toContain("- jetstream      not looked at: this user may not ask for it");
  expect(stdout).toContain("✓ leader         c1 leads, epoch 7");
});

test("a user who is confined otherwise says where answers go", async () => {
  const { stdout } = await why(["--inbox-prefix", "_INBOX"], { NATS_USER: "other", NATS_PASSWORD: "o" });
  expect(stdout).toBe("Waiting for web-1.\n");
});
