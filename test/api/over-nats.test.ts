import { expect, onTestFinished, test } from "vitest";
import { createClient } from "../../src/api/client.js";
import { serveApi } from "../../src/api/service.js";
import { connectNatsBus } from "../../src/bus/nats-bus.js";
import { type ControlPlane, endpoints } from "../../src/contracts/api.js";
import { refusal } from "../../src/contracts/errors.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { withNats } from "../kit/nats.js";
import { quietLog } from "../kit/quiet-log.js";
import { anInstance, fakePlane } from "./fake-plane.js";
import { following, leading } from "./world.js";

const nats = withNats();
const clock = createRealClock();

async function connect(name: string) {
  const { user, password } = nats().credentials;
  const bus = await connectNatsBus({ servers: nats().url, user, pass: password, name, clock, log: quietLog });
  onTestFinished(() => bus.close());
  return bus;
}

async function coordinator(node: string, role: typeof leading, answers: Partial<ControlPlane>) {
  const bus = await connect(node);
  serveApi({
    bus,
    fleet: "shop",
    plane: fakePlane(answers),
    node,
    version: "1.2.3",
    role: () => role,
    clock,
    log: quietLog,
  });
  await bus.flush();
}

const textOf = (data: Uint8Array) => JSON.parse(new TextDecoder().decode(data)) as Record<string, unknown>;

test("over a real server every coordinator is found by $SRV, with all of its endpoints", async () => {
  await coordinator("c1", leading, {});
  await coordinator("c2", following, {});
  const bus = await connect("finder");
  for (const verb of ["PING", "INFO", "STATS"]) {
    for (const subject of [`$SRV.${verb}`, `$SRV.${verb}.rollcall`]) {
      const answers = (await bus.requestMany(subject, "", { timeoutMs: 5_000, max: 2 })).map(({ data }) =>
        textOf(data),
      );
      expect(answers.map(({ id }) => id).toSorted()).toEqual(["c1", "c2"]);
      expect(new Set(answers.map(({ type }) => type))).toEqual(
        new Set([`io.nats.micro.v1.${verb.toLowerCase()}_response`]),
      );
      if (verb !== "PING") expect(answers[0]?.endpoints).toHaveLength(Object.keys(endpoints).length);
    }
    const one = await bus.request(`$SRV.${verb}.rollcall.c2`, "", { timeoutMs: 5_000 });
    expect(textOf(one.data).id).toBe("c2");
  }
});

test("over a real server an error has its headers, its body, and its way into the client", async () => {
  const message =
    "There is no instance web-9: see rollcall instances ls, and for those with apps rollcall apps status --all.";
  await coordinator("c1", leading, {
    "instances.get": async ({ instance }) => {
      throw refusal("UNKNOWN_INSTANCE", { instance });
    },
  });
  const bus = await connect("asker");
  const raw = await bus.request("rollcall.v1.shop.api.instances.get", '{"instance":"web-9"}', {
    timeoutMs: 5_000,
  });
  expect(raw.header("Nats-Service-Error")).toBe(message);
  expect(raw.header("Nats-Service-Error-Code")).toBe("404");
  expect(textOf(raw.data)).toEqual({
    error: { code: "UNKNOWN_INSTANCE", message, retry: "never", details: { instance: "web-9" } },
  });
  const client = createClient({ bus, fleet: "shop", clock, random: createRealRandom() });
  await expect(client.instances.get({ instance: "web-9" })).rejects.toMatchObject({
    code: "UNKNOWN_INSTANCE",
    message,
  });
  const nobody = createClient({ bus, fleet: "nowhere", clock, random: createRealRandom(), retries: 0 });
  await expect(nobody.status.get()).rejects.toMatchObject({ code: "NO_CONTROL_PLANE" });
});

test("over a real server an answer that fits into no message says to ask for less, and the next one is answered", async () => {
  const items = Array.from({ length: 2_000 }, (_, at) =>
    anInstance({ id: `web-${at}`, note: "x".repeat(600) }),
  );
  await coordinator("c1", leading, {
    "instances.list": async ({ selector }) => ({
      items: selector === null ? items : items.slice(0, 1),
      asOf: 1,
      epoch: 7,
      next: null,
    }),
  });
  const client = createClient({
    bus: await connect("asker"),
    fleet: "shop",
    clock,
    random: createRealRandom(),
  });
  await expect(client.instances.list()).rejects.toMatchObject({
    code: "PAYLOAD_TOO_LARGE",
    message: expect.stringContaining("ask for less at once, by a selector, a limit or a single name."),
  });
  expect((await client.instances.list({ selector: "tier=web" })).items).toHaveLength(1);
});
