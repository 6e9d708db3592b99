import { expect, test } from "vitest";
import { connectNatsBus, createClient, createRealClock, RollcallError, serveApi } from "../../src/index.js";
import { withNats } from "../kit/nats.js";
import { quietLog } from "../kit/quiet-log.js";
import { aDeployment, fakePlane } from "./fake-plane.js";
import { leading } from "./world.js";

const nats = withNats();

test("what the package exports is enough to deploy and to follow it, in a few lines", async () => {
  const { user, password: pass } = nats().credentials;
  const finished = aDeployment({ id: "d7", state: "finished", outcome: "completed" });
  const plane = fakePlane({
    "deployments.create": async () => aDeployment({ id: "d7" }),
    "deployments.get": async () => ({ deployment: finished, instances: [], asOf: 1, epoch: 7 }),
  });
  const served = await connectNatsBus({ servers: nats().url, user, pass });
  serveApi({
    bus: served,
    fleet: "default",
    plane,
    node: "c1",
    version: "1.2.3",
    role: () => leading,
    clock: createRealClock(),
    log: quietLog,
  });
  await served.flush();

  const bus = await connectNatsBus({ servers: nats().url, user, pass });
  const client = createClient({ bus, fleet: "default" });
  const { id } = await client.deployments.create({ release: "v2", selector: "tier=web", batch: 2 });
  const seen: string[] = [];
  for await (const { deployment } of client.watchDeployment(id))
    seen.push(`${deployment.id} ${deployment.outcome}`);
  expect(seen).toEqual(["d7 completed"]);

  const refused = await createClient({ bus, fleet: "nowhere", retries: 0 })
    .status.get()
    .catch((thrown: unknown) => thrown);
  expect(refused).toBeInstanceOf(RollcallError);
  await bus.close();
  await served.close();
});
