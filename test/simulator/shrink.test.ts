import { expect, test } from "vitest";
import { drawPlan } from "../../src/simulator/chaos/draw-plan.js";
import type { Failure } from "../../src/simulator/chaos/failure.js";
import { type MakeInvariant, Violation } from "../../src/simulator/chaos/invariant.js";
import { live } from "../../src/simulator/chaos/life.js";
import type { Happening, LifePlan } from "../../src/simulator/chaos/life-plan.js";
import { shrink } from "../../src/simulator/chaos/shrink.js";

const planted: Failure = { trouble: "correctness", id: "S0", sentence: "planted", atMs: 600_000 };
const isKill = (happening: Happening) => happening.do === "agent" && happening.how === "kill";
const isDeploy = (happening: Happening) => happening.do === "deploy";

/** The first that has what the planted failure needs, and something to leave out. */
const plan = firstPlan(({ happenings, instances, coordinators }) => {
  const deployed = happenings.slice(happenings.findIndex(isDeploy));
  const hasKill = deployed.some((one) => isKill(one) && "which" in one && one.which !== "inFlight");
  return hasKill && instances.length > 1 && coordinators.length > 1;
});

function firstPlan(fits: (plan: LifePlan) => boolean): LifePlan {
  for (let seed = 1; ; seed++) {
    const drawn = drawPlan(String(seed), { instancesMax: 5 });
    if (fits(drawn)) return drawn;
  }
}

/** Fails when an agent was killed after somebody deployed. */
async function failsWhenTheyMeet({ happenings }: LifePlan) {
  const deployed = happenings.findIndex(isDeploy);
  const fails = deployed >= 0 && happenings.slice(deployed).some(isKill);
  return { failure: fails ? planted : null, happened: 1 };
}

test("a failure that two happenings make needs those two, one instance, one coordinator and one release", async () => {
  const { plan: small } = await shrink(plan, planted, { effortMax: 2_000, attempt: failsWhenTheyMeet });
  expect(small.happenings.map(({ do: kind }) => kind)).toEqual(["deploy", "agent"]);
  expect(small).toMatchObject({
    instances: [{ labels: {}, driftPpm: 0 }],
    coordinators: [{ driftPpm: 0, isNext: false }],
    apps: [],
    appInstances: [],
    releases: [{ fails: 0, hangs: 0, unhealthy: 0, sickens: 0, crashes: 0, flaky: 0, minHealthyMs: 0 }],
  });
  expect(small.happenings[0]).toMatchObject({ selector: null, batch: 1, failureThreshold: 1, release: 0 });
  expect(small.faultsMs).toBeLessThan(5_000);
});

test("the same plan is made the same smaller one, and another failure on the way is not taken for it", async () => {
  const attempt = async (tried: LifePlan) => {
    const { failure, happened } = await failsWhenTheyMeet(tried);
    const isOther = tried.happenings.length % 3 === 0;
    return { failure: isOther ? { ...planted, id: "S99" } : failure, happened };
  };
  const [one, two] = await Promise.all(
    [1, 2].map(() => shrink(plan, planted, { effortMax: 2_000, attempt })),
  );
  expect(two).toEqual(one);
  expect(one?.failure).toEqual(planted);
  expect(one?.plan.happenings.length).toBeLessThan(6);
});

test("the search ends when its effort is spent, with the smallest so far", async () => {
  let tried = 0;
  const attempt = async (smaller: LifePlan) => {
    tried++;
    return { ...(await failsWhenTheyMeet(smaller)), happened: 10 };
  };
  const { plan: small, lives } = await shrink(plan, planted, { effortMax: 95, attempt });
  expect(tried).toBe(10);
  expect(lives).toBe(10);
  expect(small.happenings.length).toBeLessThan(plan.happenings.length);
  expect((await failsWhenTheyMeet(small)).failure).toEqual(planted);
});

test("lives are made smaller by living them: what was planted among them is found at its two happenings", async () => {
  const meeting: MakeInvariant = () => {
    let deployed = false;
    return {
      id: "S0",
      says: "no agent is killed once somebody has deployed",
      happens(happening, struck) {
        deployed ||= isDeploy(happening);
        if (deployed && isKill(happening) && struck.length > 0) throw new Violation("planted");
      },
    };
  };
  const attempt = (tried: LifePlan, { untilMs }: { untilMs?: number | undefined } = {}) =>
    live(tried, { watchers: [meeting], untilMs });
  const happenings = plan.happenings.map((happening) => ({
    ...happening,
    atMs: Math.round(happening.atMs / 4),
  }));
  const short = { ...plan, faultsMs: Math.round(plan.faultsMs / 4), happenings };
  const { failure } = await attempt(short);
  expect(failure).toMatchObject({ trouble: "correctness", id: "S0" });

  const { plan: small } = await shrink(short, failure ?? planted, { effortMax: 400_000, attempt });
  expect(small.happenings.map(({ do: kind }) => kind)).toEqual(["deploy", "agent"]);
  expect([small.instances.length, small.coordinators.length, small.releases.length]).toEqual([1, 1, 1]);
});
