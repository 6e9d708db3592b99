import fc from "fast-check";
import { expect, test } from "vitest";
import { RollcallError } from "../../src/base/errors.js";
import type { Leadership, LedgerEntry } from "../../src/base/ports.js";
import { batchMessagesMax } from "../../src/base/ports.js";
import { isFollowed } from "../../src/ledger/store.js";
import { withNats } from "../kit/nats.js";
import { FollowedCopy } from "./followed-copy.js";
import type { LedgerProcess, LedgerWorld } from "./ledger-world.js";
import { event, eventuallyIn, isLeadership } from "./ledger-world.js";
import { openMemoryWorld } from "./memory-world.js";
import { openNatsWorld } from "./nats-world.js";

// What one server does at once is compared here. How far a member of a cluster is behind, when a message is lost, how many
// bytes a store takes for a message: that differs from one moment or version to the next, and has tests of its own.

const nats = withNats();

const names = ["one", "two"] as const;
const keys = [
  "desired.instance.i1",
  "desired.instance.i2",
  "desired.apps",
  "deployment.d1",
  "instance.i1",
] as const;

type Name = (typeof names)[number];
/** The leader: who took the lease last. */
type Who = Name | "leader";
type Step =
  | { do: "acquire" | "renew" | "resign" | "lease" | "readAll" | "follow"; who: Who }
  /** A lease that nobody renews. */
  | { do: "expire"; who: Who }
  | { do: "get" | "agentGet"; who: Who; key: string }
  /** More events than stay in the bucket. */
  | { do: "events"; who: Who }
  /** As many messages, or as many bytes in one, as a batch may have, or one more. */
  | { do: "many" | "heavy"; who: Who; over: boolean }
  | { do: "commit"; who: Who; events: number; puts: Record<string, unknown>; deletes: string[] };

const who = fc.oneof(
  { weight: 3, arbitrary: fc.constant("leader" as const) },
  { weight: 1, arbitrary: fc.constantFrom(...names) },
);
const ordinary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom("acquire", "renew", "resign", "lease", "readAll", "follow"),
      who,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("get", "agentGet"),
      who,
      key: fc.constantFrom(...keys),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.record({ do: fc.constant("events"), who }),
      fc.record({ do: fc.constantFrom("many", "heavy"), who, over: fc.boolean() }),
    ),
  },
  {
    weight: 10,
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
/** With a leader first: without one there is little to see. */
const steps = (maxLength: number) =>
  fc
    .array(ordinary, { minLength: 5, maxLength, size: "max" })
    .map((plan): Step[] => [{ do: "acquire", who: "one" }, ...plan]);

/** What random steps come to too seldom. */
const atTheLimits: Step[] = [
  { do: "acquire", who: "one" },
  { do: "heavy", who: "one", over: false },
  { do: "heavy", who: "one", over: true },
  { do: "many", who: "one", over: false },
  { do: "many", who: "one", over: true },
  { do: "events", who: "one" },
  { do: "follow", who: "two" },
  { do: "events", who: "one" },
  { do: "commit", who: "one", events: 1, puts: { "desired.instance.i1": 1 }, deletes: ["instance.i1"] },
  { do: "agentGet", who: "one", key: "desired.instance.i1" },
];

/** The largest body that both take. */
const bodyMaxBytes = 1_048_576 - 4_096;
/** Events that are moved to the audit stream at the next opportunity. */
const manyEvents = 260;

const own = new Set(["lease", "epoch", "ledger", "event-head"]);
const told = ({ key, value, revision }: LedgerEntry) => ({
  key,
  value: typeof value === "string" && value.length > 1_000 ? value.length : value,
  revision,
});
const byRevision = (a: LedgerEntry, b: LedgerEntry) => a.revision - b.revision;

/** Everything that a follower is told, as it stands now; of the ledger's own keys only where they stand. */
const standing = (entries: Iterable<LedgerEntry>) =>
  [...entries]
    .filter(({ key }) => isFollowed(key))
    .sort(byRevision)
    .map((entry) => (own.has(entry.key) ? { key: entry.key, revision: entry.revision } : told(entry)));

/** Takes the steps of a plan in one world, and sees what there is to see. */
class Player {
  readonly watched: unknown[] = [];
  readonly watchedByAgent: unknown[] = [];
  readonly copy = new FollowedCopy();
  committed = 0;
  readonly #world: LedgerWorld;
  readonly #processes: ReadonlyMap<Name, LedgerProcess>;
  readonly #agent: Awaited<ReturnType<LedgerWorld["reader"]>>;
  readonly #leaderships = new Map<Name, Leadership>();
  #leader: Name = "one";

  constructor(
    world: LedgerWorld,
    processes: ReadonlyMap<Name, LedgerProcess>,
    agent: Awaited<ReturnType<LedgerWorld["reader"]>>,
  ) {
    this.#world = world;
    this.#processes = processes;
    this.#agent = agent;
    this.#of("one").ledger.watch("desired.>", (entry) => this.watched.push(told(entry)));
    agent.watch("desired.instance.i1", (entry) => this.watchedByAgent.push(told(entry)));
    this.#of("two").ledger.follow(this.copy);
  }

  #of(name: Name): LedgerProcess {
    const process = this.#processes.get(name);
    if (process === undefined) throw new Error(`no process ${name}`);
    return process;
  }

  async flush(): Promise<void> {
    await this.#of("one").bus.flush();
    await this.#agent.bus.flush();
  }

  async take(step: Step): Promise<unknown> {
    const name = step.who === "leader" ? this.#leader : step.who;
    const { ledger } = this.#of(name);
    const leadership = this.#leaderships.get(name);
    switch (step.do) {
      case "acquire":
        return await this.#acquire(name, 60_000);
      case "expire":
        return await this.#expire(name);
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
          .sort(byRevision)
          .map(told);
      case "follow":
        return await this.followed();
      case "get":
      case "agentGet": {
        const entry = await (step.do === "get" ? ledger : this.#agent).get(step.key);
        return entry && told(entry);
      }
      default:
        return leadership && (await this.#commit(leadership, step));
    }
  }

  async #acquire(holder: Name, leaseMs: number): Promise<unknown> {
    const taken = await this.#of(holder).ledger.acquire({ holder, leaseMs });
    if (!isLeadership(taken)) return { heldBy: taken.heldBy, epoch: taken.epoch };
    this.#leaderships.set(holder, taken);
    this.#leader = holder;
    return { leads: taken.holder, epoch: taken.epoch };
  }

  async #expire(holder: Name): Promise<unknown> {
    const taken = await this.#acquire(holder, 1_000);
    const { ledger } = this.#of(holder);
    if (this.#leader === holder)
      await eventuallyIn(this.#world, async () => (await ledger.lease())?.heldBy !== holder);
    return taken;
  }

  async #commit(
    leadership: Leadership,
    step: Extract<Step, { do: "commit" | "events" | "many" | "heavy" }>,
  ): Promise<unknown> {
    const count = step.do === "commit" ? step.events : step.do === "events" ? manyEvents : 1;
    const [first = event("x"), ...rest] = Array.from({ length: count }, (_, n) => event("x", { n }));
    const done = await leadership.commit({
      events: [first, ...rest],
      puts: Object.entries(putsOf(step)).map(([key, value]) => ({ key, value })),
      deletes: step.do === "commit" ? step.deletes : [],
    });
    this.committed += count;
    const revisions = [...done.revisions];
    return { count: revisions.length, first: revisions[0], last: revisions.slice(-10) };
  }

  /** What a follower has, as soon as that is all that there is. */
  async followed(): Promise<unknown> {
    const { ledger } = this.#of("one");
    const all = standing(await ledger.readAll());
    await eventuallyIn(
      this.#world,
      () =>
        this.copy.isInStep && JSON.stringify(standing(this.copy.entries.values())) === JSON.stringify(all),
    );
    return { all, ordered: this.copy.ordered };
  }
}

function putsOf(
  step: Extract<Step, { do: "commit" | "events" | "many" | "heavy" }>,
): Record<string, unknown> {
  switch (step.do) {
    case "commit":
      return step.puts;
    case "events":
      return {};
    case "heavy":
      return { "desired.instance.i1": "x".repeat(bodyMaxBytes - 2 + (step.over ? 1 : 0)) };
    case "many": {
      const count = batchMessagesMax - 1 + (step.over ? 1 : 0);
      return Object.fromEntries(Array.from({ length: count }, (_, n) => [`instance.b${n}`, n]));
    }
  }
}

/** Plays a plan and writes down all that anybody could see of it. */
async function play(world: LedgerWorld, plan: readonly Step[]): Promise<unknown[]> {
  const processes = new Map<Name, LedgerProcess>();
  for (const name of names) processes.set(name, await world.open(name));
  const player = new Player(world, processes, await world.reader("agent"));
  await player.flush();
  const seen: unknown[] = [];
  for (const step of plan) {
    const outcome = await player.take(step).catch((thrown: unknown) => {
      if (thrown instanceof RollcallError) return thrown.code;
      throw thrown;
    });
    seen.push({ ...step, outcome });
  }
  seen.push(await player.followed());
  let events = await world.events();
  while (events.length < player.committed) {
    await new Promise<void>((resolve) => world.clock.setTimer(5, resolve));
    events = await world.events();
  }
  await player.flush();
  seen.push(
    player.watched,
    player.watchedByAgent,
    events.map(({ sequence, epoch, subject, body }) => ({ sequence, epoch, subject, body })),
  );
  return seen;
}

async function compare(plan: readonly Step[]): Promise<void> {
  const shown: unknown[][] = [];
  for (const world of [await openMemoryWorld(), await openNatsWorld(nats())]) {
    try {
      shown.push(await play(world, plan));
    } finally {
      await world.end();
    }
  }
  expect(shown[0]).toEqual(shown[1]);
}

test("whatever is done with it, the ledger in memory shows the same as the one in JetStream, to the revision", async () => {
  await fc.assert(fc.asyncProperty(steps(40), compare), { numRuns: 7, examples: [[atTheLimits]] });
});

test("also before and after a lease that nobody renews", async () => {
  const plans = fc
    .tuple(steps(8), who, steps(12))
    .map(
      ([before, of, after]) =>
        [
          ...before,
          { do: "resign", who: "one" },
          { do: "resign", who: "two" },
          { do: "expire", who: of },
          ...after,
        ] satisfies Step[],
    );
  await fc.assert(fc.asyncProperty(plans, compare), { numRuns: 3 });
});
