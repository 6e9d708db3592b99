import { expect, test } from "vitest";
import { keys } from "../../src/contracts/keys.js";
import type { SeenBatch } from "../../src/ledger/memory-ledger.js";
import type { StoredMessage } from "../../src/ledger/store.js";
import { batch } from "./ledger-world.js";
import { fleet, virtualWorld } from "./virtual-world.js";

interface Seen {
  readonly from: string;
  readonly outcome: number | string;
  /** The revision of `epoch` under which alone it was to be written. */
  readonly epoch: number | undefined;
  readonly keys: readonly string[];
}

function seenAs({ from, batch: { writes } }: SeenBatch, outcome: number | string): Seen {
  const epoch = writes.find(({ expect: condition }) => condition?.key === keys.epoch)?.expect?.revision;
  return { from, outcome, epoch, keys: writes.map(({ key }) => key) };
}

function observed() {
  const world = virtualWorld();
  const seen: Seen[] = [];
  const ended: StoredMessage[] = [];
  const observing = world.store.observe({
    stored: (stored, revision) => void seen.push(seenAs(stored, revision)),
    refused: (refused, kind) => void seen.push(seenAs(refused, kind)),
    ended: (_, marker) => void ended.push(marker),
  });
  return { ...world, seen, ended, observing };
}

const event = "event.deployment.d1.1";

test("who observes a store sees every batch that it stores: by whom, under which epoch, events and all", async () => {
  const { seen, during, open, lead } = observed();
  const leadership = await lead(await open("one"), "holder");
  const { revisions } = await during(leadership.commit(batch({ a: { n: 1 } }, ["b"])));
  expect(seen).toEqual([
    { from: "one", outcome: 1, epoch: undefined, keys: ["ledger"] },
    { from: "one", outcome: 3, epoch: 0, keys: ["lease", "epoch"] },
    { from: "one", outcome: 7, epoch: 3, keys: [...revisions.keys()] },
  ]);
  expect([...revisions]).toEqual([event, "a", "b", "event-head"].map((key, index) => [key, index + 4]));
});

test("a batch whose answer is lost, one that comes late and one of a fault are seen when they are stored", async () => {
  const { clock, hub, store, seen, during, open, lead } = observed();
  const leadership = await lead(await open("one"), "one");
  await during(leadership.commit(batch({ a: 0 })));
  const before = seen.length;
  const deaf = hub.drop(({ to }) => to === "one");
  const unheard = leadership.commit(batch({ a: 1 })).catch(() => undefined);
  await clock.advance(100);
  expect(seen.slice(before)).toMatchObject([{ from: "one", outcome: 9 }]);
  deaf.unsubscribe();
  await during(unheard);
  expect(seen.slice(before + 1)).toMatchObject([{ from: "one", outcome: "duplicate" }]);
  const arrive = store.holdNextCommit(fleet);
  const late = leadership.commit(batch({ b: 1 })).catch(() => undefined);
  await clock.advance(100);
  expect(seen).toHaveLength(before + 2);
  arrive();
  expect(seen.slice(before + 2)).toMatchObject([{ from: "one", outcome: 12 }]);
  await during(late);
  store.depose(fleet);
  expect(seen.at(-1)).toMatchObject({ from: "", outcome: 14, keys: ["lease", "epoch"] });
});

test("a batch that is refused is seen with the reason", async () => {
  const { store, seen, during, open, lead } = observed();
  const [one, two] = [await open("one"), await open("two")];
  const deposed = await lead(one, "same");
  await lead(two, "same");
  await expect(during(deposed.commit(batch({ a: 1 })))).rejects.toMatchObject({ code: "DEPOSED" });
  expect(seen.at(-1)).toEqual({
    from: "one",
    outcome: "conflict",
    epoch: 3,
    keys: [event, "a", "event-head"],
  });
  store.limit(fleet, store.used(fleet) + 10);
  await expect(during(two.acquire({ holder: "same", leaseMs: 3_000 }))).rejects.toMatchObject({
    code: "LEDGER_FULL",
  });
  expect(seen.at(-1)).toMatchObject({ from: "two", outcome: "full", keys: ["lease", "epoch"] });
});

test("a lease that ends is told as such, and who looked away sees no more", async () => {
  const { clock, seen, ended, observing, during, open, lead } = observed();
  const ledger = await open("one");
  await lead(ledger, "one", 2_000);
  await clock.advance(3_000);
  await during(ledger.lease());
  expect(ended).toMatchObject([{ key: "lease", deleted: true, revision: 4 }]);
  const before = seen.length;
  observing.unsubscribe();
  await lead(ledger, "one");
  expect(seen).toHaveLength(before);
});
