import { onTestFinished } from "vitest";
import { createClient } from "../../src/api/client.js";
import type { Client } from "../../src/api/client-types.js";
import { connectNatsBus, type NatsBus } from "../../src/bus/nats-bus.js";
import { processIo } from "../../src/cli/cli-io.js";
import { type RunningControlPlane, startControlPlane } from "../../src/cli/run/control-plane.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { quietLog } from "./quiet-log.js";
import type { TestNats } from "./test-nats.js";

/** A coordinator in this process, as `rollcall coordinator` starts it, until the test ends. */
export async function startPlane(nats: TestNats, name = "c1"): Promise<RunningControlPlane> {
  const { user, password } = nats.credentials;
  const none = { leaseMs: undefined, replicas: undefined, auditFile: undefined, reconcileEveryMs: undefined };
  const options = { ...none, url: nats.url, user, password, fleet: "default", name, log: quietLog };
  const apps = { everyMs: 1_000, alertAfterMs: undefined };
  const plane = await startControlPlane({ ...options, apps }, processIo());
  let stopped: Promise<void> | undefined;
  const stop = () => (stopped ??= plane.stop());
  onTestFinished(stop);
  return { ...plane, stop };
}

/** A client with a connection of its own, until the test ends. */
export async function startClient(
  nats: TestNats,
): Promise<{ readonly bus: NatsBus; readonly client: Client }> {
  const { user, password } = nats.credentials;
  const clock = createRealClock();
  const bus = await connectNatsBus({
    servers: nats.url,
    user,
    pass: password,
    name: "test",
    clock,
    log: quietLog,
  });
  onTestFinished(() => bus.close());
  return {
    bus,
    client: createClient({ bus, fleet: "default", clock, random: createRealRandom(), retries: 12 }),
  };
}
