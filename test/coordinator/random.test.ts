import { describe, expect, test } from "vitest";
import { RandomFleet } from "../kit/random-fleet.js";

/** More of them, or one alone: `ROLLCALL_SEEDS=2000`, `ROLLCALL_SEED=17`. */
const only = process.env.ROLLCALL_SEED;
const count = Number(process.env.ROLLCALL_SEEDS ?? 40);
const seeds = only === undefined ? Array.from({ length: count }, (_, at) => at + 1) : [Number(only)];

const everyEnd = ["completed", "failed", "aborted", "rolled_back", "rollback_failed"];

/** A busy machine lives slowly. */
const patienceMs = 60_000 + seeds.length * 4_000;

async function live(seed: number, options: { upgrade?: boolean } = {}): Promise<RandomFleet> {
  const life = new RandomFleet(seed, options);
  try {
    await life.live(25);
  } catch (error) {
    const diary = life.diary.join("\n  ");
    throw new Error(`seed ${seed} (ROLLCALL_SEED=${seed} runs it alone):\n  ${diary}\n${String(error)}`, {
      cause: error,
    });
  }
  return life;
}

describe("whatever happens to a fleet", () => {
  test(
    "its invariants hold at every moment, and it comes to rest",
    async () => {
      const outcomes = new Map<string, number>();
      const liveAndCount = async (seed: number) => {
        const { invariants } = await live(seed);
        for (const outcome of invariants.outcomes.values())
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      };
      for (const seed of seeds) await liveAndCount(seed);
      if (only !== undefined) return;
      // The lives are worth something: everything that can come of a deployment has come of some. What is rare takes more of them.
      const missing = () => everyEnd.filter((outcome) => !outcomes.has(outcome));
      for (let more = 1; more <= 3 * count && missing().length > 0; more++) await liveAndCount(count + more);
      expect(missing(), JSON.stringify([...outcomes])).toEqual([]);
    },
    patienceMs,
  );

  test(
    "also while coordinators and agents of two versions come and go",
    async () => {
      let raised = 0;
      for (const seed of seeds.slice(0, Math.ceil(seeds.length / 2))) {
        const { written } = await live(seed, { upgrade: true });
        if (written.of("deployment") > 1) raised++;
      }
      if (only !== undefined) return;
      expect(raised).toBeGreaterThan(0);
    },
    patienceMs,
  );

  test("the same seed is the same life", async () => {
    const [one, other] = [await live(7), await live(7)];
    expect(other.diary).toEqual(one.diary);
    expect(other.world.desires).toEqual(one.world.desires);
  });
});
