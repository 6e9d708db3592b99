import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isAwaited, plan, stepMax } from "../../machines/deployment-plan.js";
import { type Look, playOut, type Scenario, scenarios, tickMs, wantedOf } from "./planned-fleet.js";
import { flightOf, mass, observedOf } from "./samples.js";

/** Checks something at every look of random roll-outs. A failure prints the seed and the smallest fleet that shows it. */
function always(
  check: (
    look: Look,
    wanted: ReturnType<typeof wantedOf> & Pick<Scenario, "isRollback">,
    before: Look | undefined,
  ) => void,
): void {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      const looks = playOut(scenario);
      const wanted = { ...wantedOf(scenario), isRollback: scenario.isRollback };
      for (const [at, look] of looks.entries()) check(look, wanted, looks[at - 1]);
    }),
    { numRuns: 500 },
  );
}

const inFlight = ({ fleet }: Look) => fleet.filter(({ state }) => state === "told");

describe("however a fleet behaves", () => {
  test("never are more in flight than the batch, but for what a rollback tells at once", () => {
    always((look, { batch }) => {
      const counted = inFlight(look).filter(({ urgent }) => !urgent);
      const told = look.plan.tell.filter((name) => !look.observed.nextUrgent.includes(name));
      expect(counted.length + told.length).toBeLessThanOrEqual(batch);
    });
  });

  test("in flight and failed before they succeeded are together fewer than batch and threshold", () => {
    always((look, { batch, failureThreshold, isRollback }) => {
      if (isRollback) return;
      const lost = look.fleet.filter(({ state, hasFailed, hasSucceeded }) => {
        return state !== "told" && state !== "gone" && hasFailed && !hasSucceeded;
      });
      expect(inFlight(look).length + lost.length).toBeLessThanOrEqual(batch + failureThreshold - 1);
    });
  });

  test("it has failed exactly when as many instances as the threshold have ever failed, or nothing moves any more", () => {
    always(({ plan: planned, fleet, policy }, { failureThreshold, progressDeadlineMs }) => {
      const spent = fleet.filter(({ hasFailed }) => hasFailed).length;
      expect(planned.spent).toBe(spent);
      if (spent >= failureThreshold) expect(planned.reason?.code).toBe("FAILURE_THRESHOLD");
      else if (planned.verdict === "failed") {
        expect(planned.reason?.code).toBe("PROGRESS_DEADLINE");
        expect(policy.ranMs - policy.movedAtMs).toBeGreaterThanOrEqual(progressDeadlineMs);
      }
      expect(planned.verdict === "failed").toBe(planned.reason !== null);
    });
  });

  test("a failure that was spent stays spent, whether its instance is reset or leaves", () => {
    always((look, _, before) => {
      if (before !== undefined) expect(look.plan.spent).toBeGreaterThanOrEqual(before.plan.spent);
    });
  });

  test("it tells nobody while it stands or once it has failed", () => {
    always(({ plan: planned, policy }) => {
      if (policy.standing || planned.verdict === "failed") expect(planned.tell).toEqual([]);
    });
  });

  test("it tells an instance again only after a reset", () => {
    always(({ fleet }) => {
      for (const { told, resets } of fleet) expect(told).toBeLessThanOrEqual(resets + 1);
    });
  });

  test("it is done exactly when nobody reachable waits and nobody awaited is in flight", () => {
    always(({ plan: planned, fleet }) => {
      const pending = fleet.filter(({ state, urgent, silent }) => {
        if (state === "waiting") return urgent || !silent;
        return state === "told" && isAwaited({ urgent, silent });
      });
      if (planned.verdict !== "failed") expect(planned.verdict === "done").toBe(pending.length === 0);
    });
  });

  test("nobody is judged while it stands or before its leader has listened", () => {
    always(({ plan: planned, policy }) => {
      if (!policy.standing && policy.mayJudge) return;
      expect(planned.overdue).toEqual([]);
      expect(planned.reason?.code).not.toBe("PROGRESS_DEADLINE");
    });
  });

  test("whoever is overdue was told a whole deadline ago, by a clock that stands still with the roll-out", () => {
    always(({ plan: planned, fleet, policy }, { deadlineMs }) => {
      for (const name of planned.overdue) {
        const one = fleet.find((instance) => instance.name === name);
        expect(policy.ranMs - (one?.toldAtMs ?? Number.NaN)).toBeGreaterThanOrEqual(deadlineMs);
      }
    });
  });

  test("while it goes on there is a time at which something is due, or somebody to tell", () => {
    always(({ plan: planned }) => {
      if (planned.verdict === "going") expect(planned.nextDeadlineMs).not.toBeNull();
    });
  });

  test("every roll-out comes to an end", () => {
    fc.assert(
      fc.property(scenarios, (scenario) => {
        expect(playOut(scenario).at(-1)?.plan.verdict).not.toBe("going");
      }),
      { numRuns: 500 },
    );
  });

  test("the urgent ones of a rollback are told first, together and outside the slots", () => {
    always(({ plan: planned, observed, policy, fleet }, { batch }) => {
      if (policy.standing || planned.verdict === "failed") return;
      const { nextUrgent } = observed;
      expect(planned.tell.slice(0, nextUrgent.length)).toEqual(nextUrgent);
      const awaited = fleet.filter(({ state, urgent, silent }) => state === "told" && !(urgent && silent));
      expect(planned.tell.length - nextUrgent.length).toBeLessThanOrEqual(
        Math.max(0, batch - awaited.length),
      );
    });
  });
});

const wanted = {
  batch: 2,
  failureThreshold: 2,
  deadlineMs: 10 * tickMs,
  progressDeadlineMs: 100 * tickMs,
};
const policy = { standing: false, mayJudge: true, ranMs: 0, movedAtMs: 0, leftFailed: 0 };

test("an instance is overdue at its deadline, not before", () => {
  const observed = observedOf({
    step: 0,
    waiting: 0,
    next: [],
    flights: [flightOf("i1", { toldAtMs: 5_000 })],
  });
  const overdueAt = (ranMs: number) => plan(wanted, observed, { ...policy, ranMs }, 0).overdue;
  expect(overdueAt(14_999)).toEqual([]);
  expect(overdueAt(15_000)).toEqual(["i1"]);
});

test("a silent instance of a rollback that was told at once holds nobody up", () => {
  expect(isAwaited({ urgent: true, silent: true })).toBe(false);
  const observed = observedOf({ step: 0, waiting: 0, next: [], inFlight: 1 });
  expect(plan(wanted, observed, policy, 0).verdict).toBe("done");
  expect(plan(wanted, { ...observed, awaited: 1 }, policy, 0).verdict).toBe("going");
});

test("a step tells no more instances than one write of the ledger holds", () => {
  const nextUrgent = Array.from({ length: 1_000 }, (_, at) => `i${at}`);
  const { tell } = plan(wanted, observedOf({ step: 0, nextUrgent }), policy, 0);
  expect(tell).toEqual(nextUrgent.slice(0, stepMax));
});

test("a hold cannot begin and end by the same look", () => {
  const silence = { ...mass, calmSinceMs: 0 };
  const { massSilence, silenceOver } = plan(wanted, observedOf({ step: 0, silence }), policy, 1_000_000);
  expect({ massSilence, silenceOver }).toEqual({ massSilence: true, silenceOver: false });
});
