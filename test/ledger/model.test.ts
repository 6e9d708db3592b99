import fc from "fast-check";
import { expect, test } from "vitest";
import { RollcallError } from "../../src/base/errors.js";
import type { Leadership, LedgerEntry } from "../../src/base/ports.js";
import { withNats } from "../kit/nats.js";
import type { LedgerProcess, LedgerWorld } from "./ledger-world.js";
import { event, isLeadership } from "./ledger-world.js";
import { openMemoryWorld } from "./memory-world.js";
import { openNatsWorld } from "./nats-world.js";

const nats = withNats();

const names = ["one", "two"] as const;
const keys = [
  "desired.instance.i1",
  "desired.instance.i2",
  "desired.apps",
  "deployment.d1",
  "instance.i1",
] as const;

type Step =
  | { do: "acquire" | "renew" | "resign" | "lease" | "readAll"; who: (typeof names)[number] }
  | { do: "get"; who: (typeof names)[number]; key: string }
  | {
      do: "commit";
      who: (typeof names)[number];
      events: number;
      puts: Record<string, unknown>;
      deletes: string[];
    };

const who = fc.constantFrom(...names);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom("acquire", "renew", "resign", "lease", "readAll"), who }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("get"), who, key: fc.constantFrom(...keys) }) },
  {
    weight: 6,
    arbitrary: fc
      .record({
        do: fc.constant("commit"),
        who,
        events: fc.integer({ min: 1, max: 3 }),
        puts: fc.dictionary(fc.constantFrom(...keys), fc.jsonValue({ maxDepth: 1 })),
        deletes: fc.uniqueArray(fc.constantFrom(...keys), { maxLength: 2 }),
      })
      .map((commit) => ({
        ...commit,
        deletes: commit.deletes.filter((key) => !Object.hasOwn(commit.puts, key)),
      })),
  },
);

const own = new Set(["lease", "epoch", "ledger", "event-head"]);
const told = ({ key, value, revision }: LedgerEntry) => ({ key, value, revision });

/** Plays a plan and writes down all that anybody could see of it. */
async function play(world: LedgerWorld, plan: readonly Step[]): Promise<unknown[]> {
  const processes = new Map<string, LedgerProcess>();
  const leaderships = new Map<string, Leadership>();
  const seen: unknown[] = [];
  for (const name of names) processes.set(name, await world.open(name));

  async function take(step: Step): Promise<unknown> {
    const process = processes.get(step.who);
    if (process === undefined) throw new Error(`no process ${step.who}`);
    const { ledger } = process;
    const leadership = leaderships.get(step.who);
    switch (step.do) {
      case "acquire": {
        const taken = await ledger.acquire({ holder: step.who, leaseMs: 60_000 });
        if (!isLeadership(taken)) return { heldBy: taken.heldBy, epoch: taken.epoch };
        leaderships.set(step.who, taken);
        return { leads: taken.holder, epoch: taken.epoch };
      }
      case "renew":
        return await leadership?.renew();
      case "resign":
        return await leadership?.resign();
      case "lease": {
        const held = await ledger.lease();
        return held && { heldBy: held.heldBy, epoch: held.epoch };
      }
      case "readAll":
        return (await ledger.readAll())
          .filter(({ key }) => !own.has(key))
          .map(told)
          .sort((a, b) => a.revision - b.revision);
      case "get": {
        const entry = await ledger.get(step.key);
        return entry && told(entry);
      }
      case "commit": {
        const [first, ...rest] = Array.from({ length: step.events }, (_, n) => event("x", { n }));
        if (first === undefined) throw new Error("there is an event");
        const puts = Object.entries(step.puts).map(([key, value]) => ({ key, value }));
        const done = await leadership?.commit({ events: [first, ...rest], puts, deletes: step.deletes });
        return done && [...done.revisions];
      }
    }
  }

  const watched: unknown[] = [];
  const bus = processes.get("one")?.bus;
  processes.get("one")?.ledger.watch("desired.>", (entry) => watched.push(told(entry)));
  await bus?.flush();
  let committed = 0;
  for (const each of plan) {
    const outcome = await take(each).catch((thrown: unknown) =>
      thrown instanceof RollcallError ? thrown.code : thrown,
    );
    if (each.do === "commit" && Array.isArray(outcome)) committed += each.events;
    seen.push({ ...each, outcome });
  }
  let events = await world.events();
  while (events.length < committed) {
    await new Promise<void>((resolve) => world.clock.setTimer(5, resolve));
    events = await world.events();
  }
  await bus?.flush();
  seen.push(
    watched,
    events.map(({ sequence, epoch, subject, body }) => ({ sequence, epoch, subject, body })),
  );
  return seen;
}

test("whatever is done with it, the ledger in memory shows the same as the one in JetStream, to the revision", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (plan) => {
      const shown: unknown[][] = [];
      for (const world of [await openMemoryWorld(), await openNatsWorld(nats())]) {
        shown.push(await play(world, plan));
        await world.end();
      }
      expect(shown[0]).toEqual(shown[1]);
    }),
    { numRuns: 15 },
  );
});
