import { expect, onTestFinished, test } from "vitest";
import type { AppEngine } from "../../src/agent/app-engine.js";
import { type EmbeddedApps, embedApps } from "../../src/sdk/embed-apps.js";
import { startClient, startPlane } from "../kit/control-plane.js";
import { eventually } from "../kit/eventually.js";
import { withNats } from "../kit/nats.js";

const nats = withNats();
const instances = Array.from({ length: 20 }, (_, at) => `web-${at + 1}`);

const done = async (): Promise<void> => undefined;
const engine: AppEngine = { install: done, initialize: done, enable: done, disable: done, uninstall: done };

const running = new Map<string, EmbeddedApps>();

async function start(instance: string): Promise<void> {
  const { user, password } = nats().credentials;
  const servers = { servers: nats().url, user, pass: password };
  running.set(instance, await embedApps({ nats: servers, instance, engine }));
}

async function restart(instance: string): Promise<void> {
  await running.get(instance)?.stop();
  await start(instance);
}

test("over a real server twenty instances come to what is asked, whoever leads, restarted one by one, all at once and during a change", async () => {
  onTestFinished(async () => {
    await Promise.all([...running.values()].map((apps) => apps.stop()));
  });
  const first = await startPlane(nats(), "c1");
  const { client } = await startClient(nats());
  await Promise.all(instances.map(start));
  await client.apps.add({ app: "mail", version: "1.0.0", desiredStatus: "enabled", by: "ann" });

  const inSync = (total: number) =>
    eventually(async () => {
      const { counts } = await client.apps.status({});
      expect(counts).toEqual({ total, inSync: total, mismatched: 0, unheard: 0 });
      return true;
    });
  const allEnabled = async () => {
    // The control plane knows what they were before; they themselves know what they are.
    await eventually(() => {
      const enabled = instances.filter((instance) =>
        running.get(instance)?.stateOf("mail")?.initStatus.endsWith("_enabled"),
      );
      expect(enabled).toEqual(instances);
      return true;
    });
    await inSync(20);
  };
  await inSync(20);

  for (const instance of instances) await restart(instance);
  await allEnabled();
  await Promise.all(instances.map(restart));
  await allEnabled();

  await startPlane(nats(), "c2");
  const disable = { app: "mail", by: "ann", requestKey: "disable-once" };
  await client.apps.disable(disable);
  await inSync(20);
  const restarts = Promise.all(instances.map(restart));
  await client.apps.enable({ app: "mail", by: "ann" });
  await first.stop();
  await restarts;
  await allEnabled();

  // The other leader knows the request again, which came before somebody's change.
  expect(await client.apps.disable(disable)).toMatchObject({ generation: 2, desiredStatus: "disabled" });
  expect((await client.apps.get({ app: "mail" })).generation).toBe(3);
  // The audit log follows the ledger.
  const history = await eventually(async () => {
    const { items } = await client.apps.history({ app: "mail", instance: "web-7" });
    return items.at(-1)?.to.endsWith("_enabled") && items;
  });
  expect(history.filter(({ what }) => what === "desired").map(({ to }) => to)).toEqual([
    "enabled",
    "disabled",
    "enabled",
  ]);

  await client.apps.uninstall({ app: "mail", by: "ann" });
  await eventually(async () => {
    expect((await client.apps.list({ uninstalled: true })).items).toEqual([]);
    return true;
  });
});
