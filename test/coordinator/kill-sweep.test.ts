import { describe, expect, test } from "vitest";
import type { LedgerBatch } from "../../src/base/ports.js";
import { FleetWorld } from "../kit/fleet.js";
import { Invariants } from "../kit/invariants.js";

interface Ending {
  readonly running: Readonly<Record<string, string | null>>;
  readonly outcomes: readonly (string | null)[];
  /** What each instance was told, repeats of the same taken as one. */
  readonly told: Readonly<Record<string, readonly (string | null)[]>>;
  readonly commits: number;
  readonly killed: boolean;
}

type At = "before" | "after";

/**
 * A fleet of three on v1 gets v2, and then v3, which fails on two of them and goes back. At the given commit (counted from
 * the moment at which v2 is asked for) the coordinator is killed, just before the ledger takes it or just after, and
 * another one goes on.
 */
async function story(killAt: number | undefined, when: At): Promise<Ending> {
  const world = new FleetWorld();
  let commits = 0;
  let counting = false;
  const dead = new Set<string>();
  onCommits(world, (holder, written) => {
    if (!counting) return;
    if (when === (written ? "after" : "before")) commits++;
    if (commits === killAt && dead.size === 0) {
      dead.add(holder);
      world.kill(holder);
    }
  });
  await world.startCoordinator("c1");
  for (let n = 1; n <= 3; n++) world.addAgent(`i${n}`);
  await world.advance(2_500);
  for (const version of ["v1", "v2", "v3"]) await world.pushRelease(version);
  await world.rolledOut("v1", { selector: null, batch: 3 });
  world.behave({ v3: { fails: true } }, ["i2", "i3"]);
  await world.startCoordinator("c2");
  new Invariants(world);
  counting = true;
  const outcomes: (string | null)[] = [];
  for (const release of ["v2", "v3"]) {
    const id = await begin(world, release);
    const done = await world.finished(id);
    outcomes.push(done.outcome);
    if (done.rolledBackBy !== null) outcomes.push((await world.finished(done.rolledBackBy)).outcome);
  }
  counting = false;
  await world.advance(10_000);
  const told = [...world.agents.keys()].map((name) => [name, withoutRepeats(world.desiresOf(name))] as const);
  const killed = dead.size > 0;
  return { running: world.running(), outcomes, told: Object.fromEntries(told), commits, killed };
}

/** Asks for a roll-out until somebody has taken the request, as any client does: repeats carry the same key. */
async function begin(world: FleetWorld, release: string): Promise<string> {
  for (;;) {
    await world.untilLed();
    const asked = { release, selector: null, batch: 1, failureThreshold: 2, requestKey: release };
    const answer = world.ask("deployments.create", asked);
    const settled = answer.then(
      ({ id }) => id,
      () => undefined,
    );
    // A coordinator that was killed answers nobody.
    const timeout = new Promise<undefined>((resolve) =>
      world.clock.setTimer(5_000, () => {
        resolve(undefined);
      }),
    );
    const id = await world.during(Promise.race([settled, timeout]));
    if (id !== undefined) return id;
  }
}

function withoutRepeats(desires: readonly { readonly release: string | null }[]): (string | null)[] {
  return desires
    .map(({ release }) => release)
    .filter((release, at, all) => at === 0 || all[at - 1] !== release);
}

/** Calls `see` around each batch that a coordinator gives to the ledger. */
function onCommits(world: FleetWorld, see: (holder: string, written: boolean) => void): void {
  const { open } = world.store;
  const watched: typeof open = async (options) => {
    const ledger = await open.call(world.store, options);
    const { acquire } = ledger;
    ledger.acquire = async (claim) => {
      const got = await acquire.call(ledger, claim);
      if (!("commit" in got)) return got;
      const { commit } = got;
      got.commit = async (batch: LedgerBatch) => {
        see(claim.holder, false);
        const done = await commit.call(got, batch);
        see(claim.holder, true);
        return done;
      };
      return got;
    };
    return ledger;
  };
  Object.assign(world.store, { open: watched });
}

describe("a coordinator that is killed at any commit", () => {
  test("leaves a fleet that another one brings to the same end, told nothing but repeats", async () => {
    const reference = await story(undefined, "after");
    expect(reference.outcomes).toEqual(["completed", "failed", "rolled_back"]);
    expect(reference.running).toEqual({ i1: "v2", i2: "v2", i3: "v2" });
    expect(reference.commits).toBeGreaterThan(12);
    for (const when of ["before", "after"] as const) {
      for (let at = 1; at <= reference.commits; at++) {
        const { running, outcomes, told, killed } = await story(at, when);
        expect({ at, when, killed, running, outcomes, told }).toEqual({
          at,
          when,
          killed: true,
          running: reference.running,
          outcomes: reference.outcomes,
          told: reference.told,
        });
      }
    }
  }, 300_000);
});
