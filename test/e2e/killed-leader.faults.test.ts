import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createSeededRandom } from "../../src/index.js";
import { makeIdleService, startsIn } from "./idle-service.js";
import { Planes } from "./planes.js";
import { eventsOf, Written } from "./written.js";

const ids = ["web-1", "web-2", "web-3", "web-4"];
/** Of the moments at which the leader is killed; another one: `ROLLCALL_SEED=17`. */
const seed = Number(process.env.ROLLCALL_SEED ?? 1);
const moments = 3;
const testMaxMs = 120_000;

let planes: Planes;
let journal: string;
const written = new Written();

beforeAll(async () => {
  planes = await Planes.start(["c1", "c2"]);
  journal = join(planes.world.dir, "starts");
  await planes.startAgent("host", ids);
  for (const version of ["v1", "v2"]) await planes.push(version, makeIdleService({ journal }));
  await planes.push("bad", makeIdleService({ journal, healthy: false }));
  await rollOut("v1");
}, testMaxMs);

afterAll(() => planes.end());

/** A roll-out from its request to its end, and that of its rollback; `meanwhile` begins with the request. */
async function rollOut(release: string, meanwhile: () => Promise<void> = async () => undefined) {
  rmSync(journal, { force: true });
  const startedMs = performance.now();
  const asked = written.attempt((by) =>
    planes.client.deployments.create({
      release,
      selector: null,
      by,
      ...(release === "bad" ? { batch: 4, failureThreshold: 4 } : { batch: 2 }),
    }),
  );
  const [{ id }] = await Promise.all([asked, meanwhile()]);
  const outcomes = await planes.outcomes(id);
  return { id, outcomes, tookMs: performance.now() - startedMs, starts: startsIn(journal) };
}

/** As by SIGKILL, after so long; the next one of that name starts once another one leads. */
async function killLeaderAfter(ms: number): Promise<void> {
  const { id } = await planes.leader();
  await pause(ms);
  await planes.coordinators.get(id)?.kill9();
  await planes.leader(id);
  await planes.startCoordinator(id);
}

describe.each([
  { name: "a roll-out that completes", release: () => nextGood() },
  { name: "a roll-out that fails and goes back", release: () => "bad" },
])("$name, with its leader killed at a random moment", ({ release }) => {
  test(
    `comes to the same end with the same processes started (seed ${seed})`,
    async () => {
      const random = createSeededRandom(seed);
      const reference = await rollOut(release());
      for (let moment = 1; moment <= moments; moment++) {
        const version = release();
        const afterMs = random.unit() * reference.tookMs;
        const life = await rollOut(version, () => killLeaderAfter(afterMs));
        expect({ moment, afterMs, outcomes: life.outcomes, starts: life.starts }).toEqual({
          moment,
          afterMs,
          outcomes: reference.outcomes,
          starts: version === "bad" ? reference.starts : ids.map((id) => `${id} ${version}`),
        });
        const events = eventsOf(await planes.audit(), `deployment/${life.id}`);
        for (const once of ["created", "started", "finished"])
          expect(
            events.filter((event) => event === once),
            once,
          ).toHaveLength(1);
      }
    },
    testMaxMs,
  );
});

let good = 0;
/** Each roll-out brings another version than the one before it. */
function nextGood(): string {
  good++;
  return good % 2 === 1 ? "v2" : "v1";
}

test("what was acknowledged is in the audit log, and nothing else", async () => {
  written.expectAllIn(await planes.audit());
});
