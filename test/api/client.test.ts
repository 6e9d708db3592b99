import { describe, expect, test } from "vitest";
import { refusal } from "../../src/contracts/errors.js";
import { aDeployment, anInstance } from "./fake-plane.js";
import { createWorld, following, leaderless, leading } from "./world.js";

describe("a call", () => {
  test("by name and by group is the same request", async () => {
    const world = createWorld();
    const got: string[] = [];
    world.coordinator("c1", leading, {
      "instances.get": async ({ instance }) => {
        got.push(instance);
        return anInstance({ id: instance });
      },
    });
    const client = world.client();
    expect(await world.settled(client.call("instances.get", { instance: "web-1" }))).toEqual(anInstance());
    expect(await world.settled(client.instances.get({ instance: "web-1" }))).toEqual(anInstance());
    expect(got).toEqual(["web-1", "web-1"]);
  });

  test("that is refused throws the control plane's code, sentence, retry and details, without asking again", async () => {
    const world = createWorld();
    let tries = 0;
    world.coordinator("c1", leading, {
      "deployments.create": async () => {
        tries++;
        throw refusal("ROLLOUT_IN_PROGRESS", { other: "d0", shared: 1, example: "web-1" });
      },
    });
    const refused = await world.refusalOf(
      world.client().deployments.create({ release: "v2", selector: null }),
    );
    expect(refused).toEqual({
      code: "ROLLOUT_IN_PROGRESS",
      message: expect.stringContaining("Deployment d0 is not finished"),
      retry: "later",
      details: { other: "d0", shared: 1, example: "web-1" },
    });
    expect(tries).toBe(1);
  });

  test("to a fleet without a control plane says so within a second", async () => {
    const world = createWorld();
    const startedMs = world.clock.monotonicMs();
    const refused = await world.refusalOf(world.client({ fleet: "west" }).status.get());
    expect(refused).toMatchObject({
      code: "NO_CONTROL_PLANE",
      retry: "later",
      message: "No control plane answers for fleet west: start one by rollcall up or rollcall coordinator.",
    });
    expect(world.clock.monotonicMs() - startedMs).toBeLessThan(1_000);
  });

  test("that came while the control plane was starting is answered by it", async () => {
    const world = createWorld();
    const asking = world.client().deployments.abort({ deployment: "d1" });
    await world.clock.advance(100);
    world.coordinator("c1", leading, { "deployments.abort": async () => aDeployment({ state: "finished" }) });
    expect((await world.settled(asking)).state).toBe("finished");
  });

  test("keeps fields that this version does not know, also inside", async () => {
    const world = createWorld();
    const newer = {
      ...anInstance(),
      running: { release: "v1", config: null, flavour: "mint" },
      mood: "good",
    };
    world.coordinator("c1", leading, { "instances.get": async () => newer });
    expect(await world.settled(world.client().instances.get({ instance: "web-1" }))).toEqual(newer);
  });

  test("whose answer is no answer of this endpoint is INTERNAL and says where it is wrong", async () => {
    const world = createWorld();
    const bus = world.hub.connect("impostor");
    bus.subscribe("rollcall.v1.default.api.instances.get", (message) => message.respond('{"id":7}'));
    bus.subscribe("rollcall.v1.default.api.status.get", (message) => message.respond("\u0000"));
    const client = world.client();
    const wrong = await world.refusalOf(client.instances.get({ instance: "web-1" }));
    expect(wrong.code).toBe("INTERNAL");
    expect(wrong.message).toContain(
      "the answer to instances.get is not understood (id: expected string, received number",
    );
    expect((await world.refusalOf(client.status.get())).code).toBe("INTERNAL");
  });

  test("refused by headers alone throws their sentence", async () => {
    const world = createWorld();
    const bus = world.hub.connect("impostor");
    bus.subscribe("rollcall.v1.default.api.status.get", (message) =>
      message.respond("", { "Nats-Service-Error": "out of order", "Nats-Service-Error-Code": "500" }),
    );
    expect((await world.refusalOf(world.client().status.get())).message).toContain("out of order");
  });
});

describe("asking again", () => {
  test("a read that a paused coordinator swallowed is asked again", async () => {
    const world = createWorld();
    world.hub
      .connect("paused")
      .subscribe("rollcall.v1.default.api.releases.list", () => undefined, { queue: "q" });
    world.coordinator("c2", following, { "releases.list": async () => ({ items: [], asOf: 1, epoch: 7 }) });
    const client = world.client();
    for (let at = 0; at < 6; at++) {
      expect(await world.settled(client.releases.list())).toEqual({ items: [], asOf: 1, epoch: 7 });
    }
  });

  test("a write is asked again when nobody leads, and is carried out once somebody does", async () => {
    const world = createWorld();
    let role = leaderless;
    let aborted = 0;
    world.coordinator("c1", () => role, {
      "deployments.abort": async () => {
        aborted++;
        return aDeployment();
      },
    });
    const asking = world.client().deployments.abort({ deployment: "d1" });
    await world.clock.advance(3_000);
    role = leading;
    await world.settled(asking);
    expect(aborted).toBe(1);
  });

  test("a write without a request key is carried out once, however often it was sent, and refused when no answer comes", async () => {
    const world = createWorld();
    let carriedOut = 0;
    world.coordinator("c1", leading, {
      "deployments.pause": async () => {
        carriedOut++;
        return aDeployment();
      },
    });
    world.hub.drop(({ from, subject }) => from === "c1" && subject.startsWith("_INBOX"));
    const refused = await world.refusalOf(world.client().deployments.pause({ deployment: "d1" }));
    expect(refused.code).toBe("REQUEST_TIMEOUT");
    expect(refused.message).toContain("it is not known whether the request was carried out");
    expect(carriedOut).toBe(1);
  });

  test.each(["deployments.create", "deployments.retry"] as const)(
    "%s is sent again under one minted key when its answer was lost, and carried out once",
    async (endpoint) => {
      const world = createWorld();
      const keys: (string | undefined)[] = [];
      const answer = async ({ requestKey }: { requestKey?: string | undefined }) => {
        keys.push(requestKey);
        return aDeployment();
      };
      world.coordinator("c1", leading, { [endpoint]: answer });
      let lost = 0;
      world.hub.drop(({ from, subject }) => from === "c1" && subject.startsWith("_INBOX") && lost++ < 2);
      const client = world.client();
      const asking =
        endpoint === "deployments.create"
          ? client.deployments.create({ release: "v2", selector: null })
          : client.deployments.retry({ deployment: "d1" });
      expect(await world.settled(asking)).toEqual(aDeployment());
      expect(keys).toHaveLength(1);
      expect(keys[0]).toMatch(/^[A-Za-z0-9]{22}$/);
    },
  );

  test("two calls are two requests, unless the caller gives the key", async () => {
    const world = createWorld();
    const keys: (string | undefined)[] = [];
    world.coordinator("c1", leading, {
      "deployments.create": async ({ requestKey }) => {
        keys.push(requestKey);
        return aDeployment();
      },
    });
    const client = world.client();
    const asked = { release: "v2", selector: null };
    for (const request of [asked, asked, { ...asked, requestKey: "build-17" }]) {
      await world.settled(client.deployments.create(request));
    }
    expect(new Set(keys).size).toBe(3);
    expect(keys[2]).toBe("build-17");
  });

  test("ends after the tries that it was given, with growing pauses between them", async () => {
    const world = createWorld();
    const atMs: number[] = [];
    world.hub
      .connect("c1")
      .subscribe("rollcall.v1.default.api.status.get", () => void atMs.push(world.clock.monotonicMs()));
    const client = world.client({ retries: 4, timeoutMs: 250 });
    expect((await world.refusalOf(client.status.get())).code).toBe("REQUEST_TIMEOUT");
    expect(atMs).toHaveLength(5);
    const pauses = atMs.slice(1).map((ms, at) => ms - (atMs[at] ?? 0) - 250);
    pauses.forEach((pauseMs, at) => {
      expect(pauseMs).toBeGreaterThanOrEqual(125 * 2 ** at);
      expect(pauseMs).toBeLessThanOrEqual(250 * 2 ** at);
    });
  });

  test("does not happen where the caller wants none", async () => {
    const world = createWorld();
    let asked = 0;
    world.hub.connect("c1").subscribe("rollcall.v1.default.api.status.get", () => void asked++);
    await world.refusalOf(world.client({ retries: 0 }).status.get());
    expect(asked).toBe(1);
  });
});
