import { describe, expect, test } from "vitest";
import type { AppInstance, AskedApp } from "../../machines/app-standing.js";
import { appRowOf, whyOfPair } from "../../machines/app-why.js";
import { appRowSchema } from "../../src/contracts/app-api.js";
import { appInstance, appState, askedApp, viewNowMs } from "./app-samples.js";

const threw = { code: "APP_FAILED", message: "App mail failed: it threw." };
const failed = appState({
  initStatus: "error_disabled",
  reason: threw,
  mismatchSinceMs: viewNowMs - 20_000,
  attempts: 2,
  nextAttemptAtMs: viewNowMs + 4_000,
});

describe("why an app is on an instance what it is", () => {
  test.each<[rule: string, AskedApp, AppInstance, sentence: string]>([
    [
      "in-sync",
      askedApp("enabled"),
      appInstance([appState()]),
      "mail runs in version 1.0.0 on web-1, as asked, for 50s.",
    ],
    [
      "in-sync",
      askedApp("disabled"),
      appInstance([appState({ initStatus: "disabled" })]),
      "mail is disabled on web-1, as asked, for 50s.",
    ],
    ["in-sync", askedApp("uninstalled"), appInstance(), "Nothing of mail is left on web-1, as asked."],
    [
      "silent",
      askedApp("enabled"),
      appInstance([appState()], { hearing: "silent", reportAgeMs: 40_000 }),
      "web-1 is silent, heard last 40s ago; it had it manually enabled then. It catches up by itself when it is back.",
    ],
    [
      "not-heard-of",
      askedApp("enabled"),
      appInstance([], { hearing: "unheard", reportAgeMs: null }),
      "web-1 has not reported since this coordinator listens, so what it has is not known. It catches up by itself when it is back; one that left for good is taken out by rollcall apps forget web-1.",
    ],
    [
      "not-told",
      askedApp("enabled", {}, null),
      appInstance([appState({ generation: 0 })]),
      "Nobody was told of mail since the ledger was restored, so web-1 keeps it manually enabled, which runs in version 1.0.0. Tell them by rollcall apps reconcile --app mail.",
    ],
    [
      "not-taken-up",
      askedApp("enabled"),
      appInstance([], { heardGeneration: 6 }),
      "web-1 has not taken up yet that mail is to be enabled (generation 3, told 1m ago): it has heard 6 of 7 changes, and has nothing of it. It is asked again with its next report.",
    ],
    [
      "not-taken-up",
      askedApp("disabled"),
      appInstance([appState({ generation: 2 })], { heardGeneration: 0 }),
      "web-1 has not taken up yet that mail is to be disabled (generation 3, told 1m ago): it has heard nothing of this ledger, and has it manually enabled, which runs in version 1.0.0. It is asked again with its next report.",
    ],
    [
      "working",
      askedApp("enabled"),
      appInstance([appState({ initStatus: "constructed", sinceMs: viewNowMs - 4_000 })]),
      "web-1 is at it: mail is to be enabled, and is constructed so far, for 4s.",
    ],
    [
      "working",
      askedApp("enabled"),
      appInstance([{ ...failed, nextAttemptAtMs: null }]),
      "web-1 is at it: mail is to be enabled, and is error disabled so far, for 50s. web-1 has not enabled mail: App mail failed: it threw. It is being tried again.",
    ],
    [
      "retrying",
      askedApp("enabled"),
      appInstance([failed]),
      "web-1 has not enabled mail: App mail failed: it threw. 2 tries have failed. The next is in 4s. See docs/troubleshooting.md#app_failed.",
    ],
    [
      "retrying",
      askedApp("enabled"),
      appInstance([{ ...failed, attempts: 1, nextAttemptAtMs: viewNowMs - 1 }]),
      "web-1 has not enabled mail: App mail failed: it threw. 1 try has failed. The next try is due. See docs/troubleshooting.md#app_failed.",
    ],
    [
      "stopped",
      askedApp("enabled"),
      appInstance([
        {
          ...failed,
          initStatus: "compiler_error_disabled",
          nextAttemptAtMs: null,
          stopped: true,
          reason: { code: "APP_COMPILER_ERROR", message: "App mail does not compile: Unexpected tok" },
        },
      ]),
      "web-1 has not enabled mail: App mail does not compile: Unexpected tok… It is tried again only when mail is changed, or by rollcall apps reconcile --app mail --instance web-1. See docs/troubleshooting.md#app_compiler_error.",
    ],
    [
      "retrying",
      askedApp("uninstalled"),
      appInstance([appState({ reason: threw, attempts: 3, nextAttemptAtMs: viewNowMs + 1_000 })]),
      "mail still runs on web-1 though it is to be uninstalled: App mail failed: it threw. 3 tries have failed. The next is in 1s. See docs/troubleshooting.md#app_failed.",
    ],
  ])("%s: %4$s", (rule, asked, one, sentence) => {
    const why = whyOfPair(asked, one, viewNowMs);
    expect(why).toMatchObject({ rule, sentence });
  });

  test("times of an instance whose clock is off are shown in ledger time", () => {
    const row = appRowOf(askedApp("enabled"), appInstance([failed], { clockOffsetMs: 2_000 }), viewNowMs);
    expect(row).toMatchObject({
      sinceMs: viewNowMs - 48_000,
      mismatchSinceMs: viewNowMs - 18_000,
      nextAttemptAtMs: viewNowMs + 6_000,
    });
    expect(appRowSchema.parse(row)).toEqual(row);
  });

  test("nothing began later than now, however far off a clock is, and an alert shows", () => {
    const one = appInstance([failed], { clockOffsetMs: 3_600_000, alertedAtMs: { mail: viewNowMs } });
    const row = appRowOf(askedApp("enabled"), one, viewNowMs);
    expect(row).toMatchObject({ sinceMs: viewNowMs, mismatchSinceMs: viewNowMs, alerted: true });
    expect(appRowOf(askedApp("enabled"), appInstance([failed]), viewNowMs).alerted).toBe(false);
  });

  test("an instance that has said nothing of an app shows the status that was migrated", () => {
    const asked = askedApp("enabled", { legacyStatus: "auto_enabled" });
    expect(appRowOf(asked, appInstance(), viewNowMs)).toMatchObject({
      initStatus: "auto_enabled",
      observedGeneration: null,
      inSync: false,
    });
  });
});
