import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RollcallError } from "../../src/index.js";
import { makeIdleService, startsIn } from "./idle-service.js";
import { Planes } from "./planes.js";
import { eventsOf, Written } from "./written.js";

const groups = Array.from({ length: 12 }, (_, at) => `g${at + 1}`);
const perGroup = 5;
const instances = groups.flatMap((group) =>
  Array.from({ length: perGroup }, (_, at) => `${group}-${at + 1}`),
);
/** These get a release that does not come up. */
const bad = new Set(["g3", "g6", "g9", "g12"]);
/** Sixty instances are checked by as many processes. */
const checkEveryMs = 2_000;
const testMaxMs = 150_000;

let planes: Planes;
let journal: string;
const written = new Written();

beforeAll(async () => {
  planes = await Planes.start(["c1", "c2", "c3"]);
  journal = join(planes.world.dir, "starts");
  await planes.startAgent(
    "host",
    [...instances, "parked"].map((instance) => `${instance}:group=${instance.split("-")[0]}`),
  );
  for (const version of ["v1", "v2", "v3"])
    await planes.push(version, makeIdleService({ journal, checkEveryMs }));
  await planes.push("bad", makeIdleService({ journal, checkEveryMs, healthy: false }));
  const { id } = await written.attempt((by) =>
    planes.client.deployments.create({ release: "v1", selector: null, batch: 20, by }),
  );
  expect(await planes.outcomes(id)).toEqual(["completed"]);
  // One that stays paused, so that a roll-out to all instances is refused whenever it is asked for.
  const parked = await written.attempt((by) =>
    planes.client.deployments.create({ release: "v2", selector: "group=parked", by }),
  );
  await written.attempt((by) => planes.client.deployments.pause({ deployment: parked.id, by }));
}, testMaxMs);

afterAll(() => planes.end());

/** Twelve roll-outs at once, one to each group; what each came to, by group. */
async function rollOutEverywhere(
  release: string,
): Promise<Map<string, { id: string; outcomes: (string | null)[] }>> {
  const ended = await Promise.all(
    groups.map(async (group) => {
      const { id } = await written.attempt((by) =>
        planes.insist(() =>
          planes.client.deployments.create({
            release: bad.has(group) ? "bad" : release,
            selector: `group=${group}`,
            batch: 2,
            failureThreshold: 2,
            by,
            requestKey: by,
          }),
        ),
      );
      return [group, { id, outcomes: await planes.outcomes(id, 120_000) }] as const;
    }),
  );
  return new Map(ended);
}

/** Reads, and writes that must be refused, one after the other until it is ended; then says what came of them. */
function streamOfCalls() {
  const answers: Record<string, number> = {};
  let going = true;
  const count = (what: string) => {
    answers[what] = (answers[what] ?? 0) + 1;
  };
  const { client } = planes;
  const calls: readonly (readonly [string, () => Promise<unknown>])[] = [
    ["list", () => client.deployments.list()],
    ["instances", () => client.instances.list()],
    ["status", () => client.status.get()],
    ["overlap", () => client.deployments.create({ release: "v3", selector: null, by: "overlapping" })],
    ["unknown release", () => client.deployments.create({ release: "v9", selector: null, by: "mistaken" })],
    ["unknown deployment", () => client.deployments.pause({ deployment: "d999", by: "mistaken" })],
  ];
  const run = async (offset: number): Promise<void> => {
    for (let at = offset; going; at++) {
      const [what, call] = calls[at % calls.length] ?? ["", async () => undefined];
      await call().then(
        () => count(`${what}: answered`),
        (error: unknown) => count(`${what}: ${error instanceof RollcallError ? error.code : String(error)}`),
      );
      await pause(50);
    }
  };
  const runs = [0, 2, 4].map(run);
  return {
    end: async () => {
      going = false;
      await Promise.all(runs);
      return answers;
    },
  };
}

async function expectRightEnds(
  ends: Awaited<ReturnType<typeof rollOutEverywhere>>,
  release: string,
  before: string,
): Promise<void> {
  for (const [group, { outcomes }] of ends)
    expect({ group, outcomes }).toEqual({
      group,
      outcomes: bad.has(group) ? ["failed", "rolled_back"] : ["completed"],
    });
  const wanted = instances.map((id) => [id, bad.has(id.split("-")[0] ?? "") ? before : release]);
  expect(await planes.running()).toMatchObject(Object.fromEntries(wanted));
  const audit = await planes.audit();
  for (const { id } of ends.values())
    expect(eventsOf(audit, `deployment/${id}`).filter((event) => event === "finished")).toHaveLength(1);
  written.expectAllIn(audit);
}

describe(`${groups.length} roll-outs at once to ${instances.length} instances, under a stream of calls`, () => {
  test(
    "end each in its one right outcome, and none gets in another's way",
    async () => {
      const stream = streamOfCalls();
      const ends = await rollOutEverywhere("v2");
      const answers = await stream.end();
      await expectRightEnds(ends, "v2", "v1");
      expect(Object.keys(answers).sort()).toEqual([
        "instances: answered",
        "list: answered",
        "overlap: ROLLOUT_IN_PROGRESS",
        "status: answered",
        "unknown deployment: UNKNOWN_DEPLOYMENT",
        "unknown release: UNKNOWN_RELEASE",
      ]);
    },
    testMaxMs,
  );

  test(
    "do so too if the leader is killed in the middle",
    async () => {
      const stream = streamOfCalls();
      const ending = rollOutEverywhere("v3");
      const leader = await planes.leader();
      await pause(1_500);
      await planes.coordinators.get(leader.id)?.kill9();
      const ends = await ending;
      await stream.end();
      await expectRightEnds(ends, "v3", "v1");
      // Once each: what a new leader takes over is not done again.
      const starts = startsIn(journal).filter((start) => start.endsWith(" v3"));
      expect(starts).toEqual(
        instances
          .filter((id) => !bad.has(id.split("-")[0] ?? ""))
          .map((id) => `${id} v3`)
          .sort(),
      );
    },
    testMaxMs,
  );
});
