import { describe, expect, test } from "vitest";
import { formatsOfCoordinators } from "../../src/api/find-coordinators.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { createWorld, following, leading } from "./world.js";

/** As a client of a later version asks: with a field that this one does not know. */
const newerRequest = { limit: 5, colour: "red" } as { limit: number };

describe("a client newer than the control plane", () => {
  test("is told at once what it asks for that is not known, and by which version", async () => {
    const world = createWorld();
    world.coordinator("c1", leading, {});
    expect(await world.refusalOf(world.client().deployments.list(newerRequest))).toMatchObject({
      code: "UNKNOWN_FIELD",
      retry: "never",
      message: expect.stringContaining(
        '(version 1.2.3) does not know "colour" in a request of deployments.list',
      ),
    });
  });

  test("is answered by a newer leader also when it comes upon an older follower", async () => {
    const world = createWorld();
    world.coordinator("c2", following, {});
    const reply = { items: [], asOf: 3, epoch: 7 };
    const newer = world.hub.connect("newer leader");
    newer.subscribe(subjectsOf("default").leader("deployments", "list"), (message) => {
      expect(JSON.parse(new TextDecoder().decode(message.data))).toEqual(newerRequest);
      message.respond(JSON.stringify(reply));
    });
    expect(await world.settled(world.client().deployments.list(newerRequest))).toEqual(reply);
  });
});

test("a client newer than the control plane takes what that does not say yet for its default, also inside", async () => {
  const world = createWorld();
  const older = {
    id: "c1",
    role: "leading",
    epoch: 7,
    sinceMs: 5,
    version: "0.1.0",
    node: "host",
    note: "x",
  };
  const bus = world.hub.connect("c1");
  bus.subscribe(subjectsOf("default").api("coordinators", "list"), (message) =>
    message.respond(JSON.stringify({ items: [older], asOf: 1, epoch: 7 })),
  );
  expect((await world.settled(world.client().coordinators.list())).items).toEqual([
    { ...older, problem: null, renewedAtMs: null, doing: "" },
  ]);
});

describe("what the coordinators of a fleet read", () => {
  const ping = (metadata: object) => ({
    id: "c9",
    version: "9.0.0",
    metadata: { fleet: "default", ...metadata },
  });

  async function found(...others: unknown[]) {
    const world = createWorld();
    world.coordinator("c1", leading, {});
    world.coordinator("west-1", leading, {}, "west");
    for (const [at, other] of others.entries())
      world.hub
        .connect(`other-${at}`)
        .subscribe("$SRV.PING.rollcall", (message) => message.respond(JSON.stringify(other)));
    const peers = await world.settled(formatsOfCoordinators(world.hub.connect("asking"), "default"));
    return Object.fromEntries(peers.map(({ id, formats }) => [id, formats]));
  }

  test("is told by each of them, and by nobody else", async () => {
    expect(await found(ping({ formats: '{"deployment":[1,4]}' }), "nonsense", { id: "x" })).toEqual({
      c1: expect.objectContaining({ deployment: [1, 1], report: [1, 1] }),
      c9: { deployment: [1, 4] },
    });
  });

  test.each([{}, { formats: "?" }, { formats: '{"deployment":"all"}' }])(
    "counts as nothing beyond the first formats where %j is said of it: a stranger holds newer ones back",
    async (metadata) => {
      expect(await found(ping(metadata))).toMatchObject({ c9: {} });
    },
  );
});
