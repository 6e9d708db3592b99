import fc from "fast-check";
import { expect, test } from "vitest";
import { type EndpointName, endpoints } from "../../src/contracts/api.js";
import { fakePlane } from "./fake-plane.js";
import { createWorld, following, leading } from "./world.js";

const names = Object.keys(endpoints) as EndpointName[];
const subjects = [
  ...names.map((name) => `rollcall.v1.default.api.${name}`),
  "rollcall.v1.default.api.x",
  "rollcall.v1.default.api.deployments.create.more",
  "$SRV.PING",
  "$SRV.INFO.rollcall",
  "$SRV.STATS.rollcall.c1",
];

/** Bytes, text, JSON of any shape, and requests that are nearly right. */
const garbage = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.string({ unit: "binary", maxLength: 100 }),
  fc.json({ maxDepth: 4 }),
  fc
    .record(
      {
        deployment: fc.oneof(fc.string(), fc.constant("d1"), fc.integer()),
        instance: fc.oneof(fc.string(), fc.constant("web-1")),
        selector: fc.oneof(fc.string(), fc.constant(null)),
        batch: fc.oneof(fc.integer(), fc.double(), fc.string()),
        ["__proto__"]: fc.anything(),
      },
      { requiredKeys: [] },
    )
    .map((value) => JSON.stringify(value)),
);

test("no input on any subject stops the service, and everything that asks is answered or left to the leader", async () => {
  const messages = fc.array(fc.tuple(fc.constantFrom(...subjects), garbage, fc.boolean()), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(
      messages,
      fc.constantFrom(leading, { ...following, leader: "c9" }),
      async (sent, role) => {
        const world = createWorld();
        // Every handler throws: also what gets past the checks ends in a refusal.
        world.coordinator("c1", role, {
          ...fakePlane({}),
          "releases.list": async () => ({ items: [], asOf: 1, epoch: 7 }),
        });
        const bus = world.hub.connect("sender");
        const answers = sent.map(async ([subject, data, asks]) => {
          if (!asks) bus.publish(subject, data);
          else {
            const silent =
              !role.leading && (endpoints[subject.slice(24) as EndpointName]?.kind ?? "write") === "write";
            const answered = bus.request(subject, data, { timeoutMs: 2_000 }).then(
              (answer) => answer.data.length > 0,
              () => false,
            );
            expect(await answered).toBe(subject.startsWith("$SRV") || !silent);
          }
        });
        await world.settled(Promise.all(answers));
        expect(
          bus.counts.lost + [...world.lines].filter(({ sentence }) => sentence.includes("dropped")).length,
        ).toBe(0);
        expect(await world.settled(world.client().releases.list())).toEqual({ items: [], asOf: 1, epoch: 7 });
      },
    ),
    { numRuns: 200 },
  );
});
