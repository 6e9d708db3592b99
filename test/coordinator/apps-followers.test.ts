import { beforeEach, describe, expect, test } from "vitest";
import { AppError } from "../../src/agent/app-engine.js";
import type { Client } from "../../src/api/client-types.js";
import { AppFleet } from "../kit/app-fleet.js";

let world: AppFleet;
let client: Client;

beforeEach(async () => {
  world = await AppFleet.ready(4);
  world.instance("web-3").engine.fates.set("mail enable", new AppError("license", "it ended yesterday"));
  await world.addApp("mail");
  await world.addApp("chat", { desiredStatus: "disabled" });
  await world.startCoordinator("c2");
  world.serve("c2");
  client = world.client("anna");
  await world.advance(20_000);
});

const planeOf = (name: string) => {
  const found = world.coordinators.get(name)?.coordinator;
  if (found === undefined) throw new Error(`there is no ${name}`);
  return found.plane;
};

/** What differs by the moment in which it is asked, and by when whoever is asked began to listen. */
function likeness(reply: unknown): unknown {
  return JSON.parse(
    JSON.stringify(reply, (key, value: unknown) => {
      if (["asOf", "reportAgeMs", "sinceMs", "mismatchSinceMs", "nextAttemptAtMs"].includes(key))
        return undefined;
      return typeof value === "string"
        ? value.replace(/\b\d+( ms|s|m(\d+s)?)\b( ago)?|just now/g, "a while")
        : value;
    }),
  );
}

async function answersOf(name: string): Promise<unknown> {
  const plane = planeOf(name);
  return likeness([
    await world.call("apps.list", { uninstalled: true }, plane),
    await world.call("apps.get", { app: "mail" }, plane),
    await world.call("apps.status", { all: true }, plane),
    await world.call("apps.why", { app: "mail", instance: "web-3" }, plane),
    await world.call("apps.history", { app: "mail" }, plane),
  ]);
}

async function expectAlike(): Promise<void> {
  expect(await answersOf("c2")).toEqual(await answersOf("c1"));
}

describe("a follower shows of apps what the leader shows", () => {
  test("though it began to listen when everything was said already", async () => {
    await expectAlike();
    const { counts } = await world.call("apps.status", {}, planeOf("c2"));
    expect(counts).toEqual({ total: 8, inSync: 7, mismatched: 1, unheard: 0 });
  });

  test("also what changes, what is uninstalled and forgotten, and who falls silent or leaves", async () => {
    await world.call("apps.enable", { app: "chat" });
    await world.call("apps.set", { app: "mail", version: "2.0.0" });
    await world.advance(5_000);
    await expectAlike();
    world.killInstance("web-1");
    await world.call("apps.uninstall", { app: "chat" });
    await world.advance(12_000);
    await expectAlike();
    await world.call("apps.forget", { instance: "web-1" });
    await world.advance(65_000);
    await expectAlike();
    expect((await world.call("apps.list", { uninstalled: true }, planeOf("c2"))).items).toHaveLength(1);
    await world.join("web-9");
    await world.advance(5_000);
    await expectAlike();
  });

  test("after it was cut off for a while", async () => {
    world.hub.disconnect("c2");
    await world.call("apps.disable", { app: "mail" });
    await world.advance(30_000);
    world.hub.reconnect("c2");
    await world.advance(20_000);
    await expectAlike();
  });
});

test("who asks sees what they have done, whoever answers", async () => {
  for (let n = 0; n < 12; n++) {
    const done = await world.during(
      n % 2 ? client.apps.enable({ app: "chat" }) : client.apps.disable({ app: "chat" }),
    );
    const shown = await world.during(client.apps.get({ app: "chat" }));
    expect([shown.generation, shown.desiredStatus]).toEqual([done.generation, done.desiredStatus]);
  }
});

test("a follower that has just begun leaves to the leader what it has not heard", async () => {
  await world.startCoordinator("c3");
  world.serve("c3");
  for (let n = 0; n < 10; n++) {
    const { counts } = await world.during(client.apps.status({}));
    expect(counts.unheard).toBe(0);
    await world.advance(300);
  }
});

test("followers answer while nobody leads, and write nothing", async () => {
  world.kill("c1");
  await world.advance(100);
  const events = world.events().length;
  const { counts } = await world.during(client.apps.status({}));
  expect(counts).toMatchObject({ inSync: 7, mismatched: 1 });
  expect(world.events().length).toBe(events);
});

test("the history of an app tells when and why its statuses came apart", async () => {
  await world.call("apps.disable", { app: "mail", by: "ann", reason: "incident 12" });
  await world.advance(2_000);
  const { items, before } = await world.call("apps.history", { app: "mail", instance: "web-3" });
  expect(before).toBeNull();
  expect(items).toMatchObject([
    { what: "desired", to: "enabled", by: "user:ann", generation: 1 },
    {
      what: "init",
      instance: "web-3",
      from: "unknown",
      to: "invalid_license_disabled",
      cause: "told",
      reason: { code: "APP_LICENSE_INVALID" },
    },
    { what: "desired", from: "enabled", to: "disabled", sentence: expect.stringContaining("incident 12") },
    { what: "init", from: "invalid_license_disabled", to: "manually_disabled", cause: "told" },
  ]);
  const pages: (string | null)[] = [];
  let at: number | null = null;
  do {
    const page: Awaited<ReturnType<typeof client.apps.history>> = await world.call("apps.history", {
      app: "mail",
      limit: 3,
      before: at,
    });
    pages.unshift(...page.items.map(({ to }) => to));
    at = page.before;
  } while (at !== null);
  expect(pages).toEqual((await world.call("apps.history", { app: "mail" })).items.map(({ to }) => to));
});
