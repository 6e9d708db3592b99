import { onTestFinished } from "vitest";
import { type ApiRole, serveApi } from "../../src/api/service.js";
import type { DeploymentSnapshot } from "../../src/api/watch-deployment.js";
import { connectNatsBus } from "../../src/bus/nats-bus.js";
import type { ControlPlane } from "../../src/contracts/api.js";
import { refusal } from "../../src/contracts/errors.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { aDeployment, anInstance, fakePlane } from "../api/fake-plane.js";
import { quietLog } from "../kit/quiet-log.js";
import type { TestNats } from "../kit/test-nats.js";

const alone: ApiRole = { leading: true, epoch: 7, leader: "c1" };
let fleets = 0;

/** A control plane without anything behind it, in a fleet of its own, until the test is over. */
export async function startFakeFleet(
  nats: TestNats,
  answers: Partial<ControlPlane>,
  {
    role = alone,
    version = "1.2.3",
    node = "c1",
    fleet = `fleet-${++fleets}`,
  }: { role?: ApiRole; version?: string; node?: string; fleet?: string } = {},
): Promise<string> {
  const { user, password } = nats.credentials;
  const clock = createRealClock();
  const bus = await connectNatsBus({
    servers: nats.url,
    user,
    pass: password,
    name: "fake control plane",
    clock,
    log: quietLog,
  });
  onTestFinished(() => bus.close());
  serveApi({ bus, fleet, plane: fakePlane(answers), node, version, role: () => role, clock, log: quietLog });
  await bus.flush();
  return fleet;
}

/** A deployment that is a step further at every look, and each with its rollback if it has one. */
export function scriptedRollouts(
  scripts: Readonly<Record<string, readonly Partial<DeploymentSnapshot>[]>>,
): Partial<ControlPlane> {
  const looked = new Map<string, number>();
  let asOf = 1_893_456_000_000;
  return {
    "deployments.create": async () => aDeployment(),
    "deployments.get": async ({ deployment, instances }) => {
      const script = scripts[deployment];
      if (script === undefined) throw refusal("UNKNOWN_DEPLOYMENT", { deployment });
      const looks = looked.get(deployment) ?? 0;
      looked.set(deployment, looks + 1);
      asOf += 1_000;
      const step = script[Math.min(looks, script.length - 1)];
      return {
        deployment: aDeployment({ id: deployment }),
        epoch: 7,
        asOf,
        ...step,
        instances: instances ? (step?.instances ?? [anInstance()]) : [],
      };
    },
  };
}
