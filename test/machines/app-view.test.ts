import { describe, expect, test } from "vitest";
import { tallyOf } from "../../machines/app-look.js";
import type { AppInstance, AskedApp } from "../../machines/app-standing.js";
import { appViewOf, conditionsOf, conditionTimes, whyOfApp } from "../../machines/app-view.js";
import { appInstance, appState, askedApp, failedApp, viewNowMs } from "./app-samples.js";

const failed = failedApp();
const named = (instance: string, one: AppInstance): AppInstance => ({ ...one, instance });
const running = (instance: string) => named(instance, appInstance([appState()]));
const silent = (instance: string) => named(instance, appInstance([appState()], { hearing: "silent" }));

function conditions(asked: AskedApp, instances: readonly AppInstance[]): string[] {
  const { Ready, InSync, Reconciling } = conditionsOf(asked, tallyOf(asked, instances));
  return [Ready, InSync, Reconciling].map(({ status, sentence }) => `${status}: ${sentence}`);
}

describe("the conditions of an app", () => {
  test.each<[what: string, AskedApp, readonly AppInstance[], expected: readonly string[]]>([
    [
      "enabled everywhere",
      askedApp("enabled"),
      [running("a"), running("b")],
      ["true: It runs on all 2 heard.", "true: As asked on all 2 heard.", "false: Nothing is to be done."],
    ],
    [
      "the old generation still runs on one",
      askedApp("enabled"),
      [running("a"), named("b", appInstance([appState({ generation: 2 })]))],
      [
        "true: It runs on all 2 heard.",
        "false: As asked on 1 of 2 heard.",
        "true: 1 has not taken it up yet.",
      ],
    ],
    [
      "failing here, stopped there, begun elsewhere",
      askedApp("enabled"),
      [
        named("a", appInstance([failed])),
        named("b", appInstance([{ ...failed, nextAttemptAtMs: null, stopped: true }])),
        named("c", appInstance([appState({ initStatus: "initialized" })])),
      ],
      [
        "false: It runs on 0 of 3 heard.",
        "false: As asked on 0 of 3 heard.",
        "true: 1 is at it, 1 waits for its next try, 1 does not try again by itself.",
      ],
    ],
    [
      "it runs on one and fails on the other",
      askedApp("enabled"),
      [running("a"), named("b", appInstance([failed]))],
      [
        "false: It runs on 1 of 2 heard.",
        "false: As asked on 1 of 2 heard.",
        "true: 1 waits for its next try.",
      ],
    ],
    [
      "only a permanent cause",
      askedApp("enabled"),
      [named("b", appInstance([{ ...failed, nextAttemptAtMs: null, stopped: true }]))],
      [
        "false: It runs on 0 of 1 heard.",
        "false: As asked on 0 of 1 heard.",
        "false: 1 does not try again by itself.",
      ],
    ],
    [
      "disabled",
      askedApp("disabled"),
      [named("a", appInstance([appState({ initStatus: "disabled" })]))],
      [
        "false: It is to be disabled.",
        "true: As asked on the one that is heard.",
        "false: Nothing is to be done.",
      ],
    ],
    [
      "nobody is heard",
      askedApp("enabled"),
      [silent("a")],
      ["false: No instance is heard.", "true: No instance is heard.", "false: Nothing is to be done."],
    ],
    [
      "told to nobody",
      askedApp("enabled", {}, null),
      [running("a")],
      [
        "true: It runs on the one that is heard.",
        "false: No instance was told of it since the ledger was restored: rollcall apps reconcile --app mail.",
        "true: No instance was told of it since the ledger was restored: rollcall apps reconcile --app mail.",
      ],
    ],
  ])("%s", (_what, asked, instances, expected) => {
    expect(conditions(asked, instances)).toEqual(expected);
  });

  test("each has since when it is so, and nobody knows of what was so before this coordinator listened", () => {
    const asked = askedApp("enabled");
    const good = tallyOf(asked, [running("a")]);
    const bad = tallyOf(asked, [named("a", appInstance([failed]))]);
    const first = conditionTimes(undefined, asked, good, viewNowMs, viewNowMs - 1_000);
    expect(first.InSync).toEqual({ status: true, sinceMs: null });
    const second = conditionTimes(first, asked, bad, viewNowMs + 1_000, viewNowMs - 1_000);
    // Since the instance says so, which is before the look.
    expect(second.InSync).toEqual({ status: false, sinceMs: viewNowMs - 20_000 });
    expect(second.Ready).toEqual({ status: false, sinceMs: viewNowMs + 1_000 });
    const third = conditionTimes(second, asked, bad, viewNowMs + 2_000, viewNowMs - 1_000);
    expect(third).toEqual(second);
    expect(appViewOf(asked, bad, third, viewNowMs + 2_000).conditions.InSync.sinceMs).toBe(
      viewNowMs - 20_000,
    );
  });

  test("of what has not been as asked since before this coordinator listened the instances say since when", () => {
    const asked = askedApp("enabled", { added: { by: "ann", atMs: 0, reason: null } });
    const bad = tallyOf(asked, [named("a", appInstance([failed]))]);
    const times = conditionTimes(undefined, asked, bad, viewNowMs, viewNowMs - 1_000);
    expect(times.InSync).toEqual({ status: false, sinceMs: viewNowMs - 20_000 });
    expect(times.Ready).toEqual({ status: false, sinceMs: null });
  });

  test("what was added while it listens is so since then", () => {
    const asked = askedApp("enabled");
    const times = conditionTimes(undefined, asked, tallyOf(asked, []), viewNowMs, viewNowMs - 3_600_000);
    expect(times.Ready).toEqual({ status: false, sinceMs: asked.record.added.atMs });
  });
});

describe("why an app is no further", () => {
  test.each<[rule: string, AskedApp, readonly AppInstance[], sentence: string, blocking: readonly string[]]>([
    ["no-instances", askedApp("enabled"), [], "No instance with apps is known.", []],
    ["in-sync", askedApp("enabled"), [running("a")], "As asked on the one that is heard.", []],
    [
      "in-sync",
      askedApp("enabled"),
      [running("a"), silent("b")],
      "As asked on the one that is heard; 1 is not heard.",
      [],
    ],
    [
      "silent",
      askedApp("enabled"),
      [silent("b")],
      "No instance is heard (of 1): what they have now is not known.",
      [],
    ],
    [
      "retrying",
      askedApp("enabled"),
      [named("a", appInstance()), named("b", appInstance([failed])), running("c")],
      "Not as asked on 2 of 3 heard. b has not enabled mail: App mail failed: it threw. 2 tries have failed. The next is in 4s. See docs/troubleshooting.md#app_failed. And 1 more: rollcall apps status mail.",
      ["a", "b"],
    ],
    [
      "not-told",
      askedApp("enabled", {}, null),
      [],
      "No instance was told of it since the ledger was restored: rollcall apps reconcile --app mail.",
      [],
    ],
    [
      "in-sync",
      askedApp("uninstalled"),
      [named("a", appInstance()), named("b", appInstance([], { hearing: "silent" }))],
      "As asked on the one that is heard; 1 is not heard.",
      [],
    ],
    [
      "tombstone",
      askedApp("uninstalled"),
      [named("a", appInstance()), silent("b"), silent("c")],
      "Its record stays until b and 1 more confirm that nothing of it is left; who left for good is taken out by rollcall apps forget INSTANCE.",
      ["b", "c"],
    ],
  ])("%s: %4$s", (rule, asked, instances, sentence, blocking) => {
    expect(whyOfApp(asked, tallyOf(asked, instances), viewNowMs)).toMatchObject({ rule, sentence, blocking });
  });
});

test("the next try of an app is the first of any instance, in ledger time", () => {
  const later = appInstance([{ ...failed, nextAttemptAtMs: viewNowMs + 9_000 }]);
  const asked = askedApp("enabled");
  const instances = [named("a", later), named("b", appInstance([failed], { clockOffsetMs: 1_000 }))];
  expect(whyOfApp(asked, tallyOf(asked, instances), viewNowMs).nextAtMs).toBe(viewNowMs + 5_000);
});

describe("the single status of old", () => {
  test("is of those that are heard, the worst first", () => {
    const asked = askedApp("enabled");
    const tally = tallyOf(asked, [
      running("a"),
      named("b", appInstance([failed])),
      named("c", appInstance([appState({ initStatus: "compiler_error_disabled" })], { hearing: "silent" })),
    ]);
    const times = conditionTimes(undefined, asked, tally, viewNowMs, 0);
    expect(appViewOf(asked, tally, times, viewNowMs).status).toBe("error_disabled");
  });
});
