import { expectTypeOf, test } from "vitest";
import type { Client } from "../../src/api/client-types.js";
import type { DeploymentView, FleetStatus, InstanceView } from "../../src/contracts/views.js";

/** Never called: what the compiler says of it is the test. */
async function writtenByUsers(client: Client) {
  expectTypeOf(await client.status.get()).toExtend<FleetStatus>();
  expectTypeOf(await client.call("status.get")).toExtend<FleetStatus>();
  expectTypeOf(await client.instances.get({ instance: "web-1" })).toExtend<InstanceView>();
  expectTypeOf(
    await client.deployments.create({ release: "v2", selector: null }),
  ).toEqualTypeOf<DeploymentView>();
  expectTypeOf((await client.deployments.list()).items).toEqualTypeOf<DeploymentView[]>();
  for await (const { instances } of client.watchDeployment("d1"))
    expectTypeOf(instances).toEqualTypeOf<InstanceView[]>();

  // @ts-expect-error no such endpoint
  await client.call("deployments.explode", {});
  // @ts-expect-error no such verb
  await client.deployments.explode({});
  // @ts-expect-error no such resource
  await client.rockets.list();
  // @ts-expect-error a required field is missing
  await client.deployments.create({ release: "v2" });
  // @ts-expect-error the request is missing
  await client.call("instances.get");
  // @ts-expect-error no such field
  await client.instances.get({ instance: "web-1", colour: "red" });
  // @ts-expect-error a field of another type
  await client.deployments.pause({ deployment: 7 });
  // @ts-expect-error a word that there is not
  await client.deployments.create({ release: "v2", selector: null, rollback: "maybe" });
  // @ts-expect-error the reply has no such field
  (await client.status.get()).colour;
}

test("wrong endpoints, fields and types do not compile", () => {
  expectTypeOf(writtenByUsers).toBeFunction();
});
