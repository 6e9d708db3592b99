import { beforeEach, describe, expect, test } from "vitest";
import { settleMs } from "../../machines/formats-agreement.js";
import { formatOf } from "../../src/contracts/formats.js";
import { parseKey } from "../../src/contracts/keys.js";
import { nextFormats } from "../../src/simulator/chaos/next-formats.js";
import { AppFleet } from "../kit/app-fleet.js";
import { leaseMs } from "../kit/coordinators-world.js";

let world: AppFleet;
/** In which format each kind of record was written last. */
let written: Map<string, number>;

/** Long enough for a leader to find that everybody reads the newer formats, and to write them. */
const raisedMs = settleMs + 90_000;
const aWhileMs = 70_000;

/** A coordinator of the next version, and two instances of it. */
beforeEach(async () => {
  world = new AppFleet();
  written = new Map();
  world.store.observe({
    stored: ({ batch }) => {
      for (const { key, body, deleted } of batch.writes) {
        const kind = parseKey(key)?.[0];
        if (kind !== undefined && deleted !== true && body !== "")
          written.set(kind, formatOf(JSON.parse(body)) ?? 0);
      }
    },
  });
  await world.startCoordinator("c1", leaseMs, nextFormats);
  world.serve("c1");
  await world.untilLed();
  for (const id of ["web-1", "web-2"]) await world.join(id, nextFormats);
});

const enabled = (...ids: string[]) =>
  expect(ids.map((id) => world.instance(id).agent.stateOf("mail")?.initStatus)).toEqual(
    ids.map(() => "manually_enabled"),
  );

test("apps are asked, told and reported in newer formats once every coordinator and every instance reads them", async () => {
  await world.addApp();
  await world.settled();
  expect(written.get("desired.app")).toBe(1);
  await world.advance(raisedMs);
  await world.call("apps.disable", { app: "mail" });
  await world.settled();
  for (const kind of ["app", "desired.app", "desired", "app-instance"])
    expect(written.get(kind), kind).toBe(2);
  await world.call("apps.enable", { app: "mail" });
  await world.settled();
  enabled("web-1", "web-2");
});

test("one instance that reads only older ones keeps what all are told in those", async () => {
  await world.join("old-1");
  await world.advance(raisedMs);
  await world.addApp();
  await world.settled();
  expect([written.get("app"), written.get("desired.app"), written.get("desired")]).toEqual([2, 1, 1]);
  enabled("web-1", "web-2", "old-1");
  await world.stopInstance("old-1");
  await world.startInstance("old-1", nextFormats);
  await world.advance(aWhileMs);
  await world.call("apps.set", { app: "mail", version: "2.0.0" });
  await world.settled();
  expect(written.get("desired.app")).toBe(2);
});

describe("an instance that reads only older formats than what was told is told in one that it reads,", () => {
  beforeEach(async () => {
    await world.advance(raisedMs);
    await world.addApp();
    await world.settled();
    expect(written.get("desired.app")).toBe(2);
  });

  test("when it comes", async () => {
    const calls = world.instance("web-1").engine.calls.length;
    await world.join("old-1");
    await world.advance(aWhileMs);
    enabled("web-1", "web-2", "old-1");
    expect([written.get("desired.app"), written.get("desired")]).toEqual([1, 1]);
    expect(world.events("app.told")).toMatchObject([
      { subject: "app/mail", data: { reason: "old-1 reads format 1 of it at most" } },
    ]);
    // The others were told nothing new.
    expect(world.instance("web-1").engine.calls).toHaveLength(calls);
  });

  test("when it goes back to an older program, also under another leader", async () => {
    await world.stopInstance("web-1");
    await world.call("apps.set", { app: "mail", version: "2.0.0" });
    world.kill("c1");
    await world.startCoordinator("c2", leaseMs, nextFormats);
    await world.untilLed();
    await world.startInstance("web-1");
    await world.advance(aWhileMs);
    expect(world.instance("web-1").engine.running.get("mail")).toBe("2.0.0");
    expect(world.events("app.told")).toHaveLength(1);
  });
});
