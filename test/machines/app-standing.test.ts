import { describe, expect, test } from "vitest";
import { alertDueAtMs, hasConfirmed, mismatchSinceMs, standingOf } from "../../machines/app-standing.js";
import { appInstance, appState, askedApp, failedApp, viewNowMs } from "./app-samples.js";

const failed = failedApp();
const gone = appState({ initStatus: "disabled", installed: false, version: null });

describe("how an app stands on an instance", () => {
  test.each([
    ["enabled and runs", askedApp("enabled"), appInstance([appState()]), "inSync"],
    [
      "enabled, and enabled at the start",
      askedApp("enabled"),
      appInstance([appState({ initStatus: "auto_enabled" })]),
      "inSync",
    ],
    [
      "disabled and disabled",
      askedApp("disabled"),
      appInstance([appState({ initStatus: "manually_disabled" })]),
      "inSync",
    ],
    [
      "disabled, and failed before it ran",
      askedApp("disabled"),
      appInstance([appState({ initStatus: "error_disabled" })]),
      "inSync",
    ],
    [
      "disabled, and nobody knows whether it runs",
      askedApp("disabled"),
      appInstance([appState({ initStatus: "unknown" })]),
      "working",
    ],
    ["uninstalled and gone", askedApp("uninstalled"), appInstance([gone]), "inSync"],
    ["uninstalled, and never there", askedApp("uninstalled"), appInstance(), "inSync"],
    ["uninstalled and still there", askedApp("uninstalled"), appInstance([appState()]), "working"],
    ["never reported", askedApp("enabled"), appInstance(), "unobserved"],
    ["another generation", askedApp("enabled"), appInstance([appState({ generation: 2 })]), "unobserved"],
    [
      "the same number, of another ledger",
      askedApp("enabled"),
      appInstance([appState()], { heardGeneration: 0 }),
      "unobserved",
    ],
    ["told to nobody", askedApp("enabled", {}, null), appInstance([appState()]), "untold"],
    ["told to nobody, uninstalled and not there", askedApp("uninstalled", {}, null), appInstance(), "inSync"],
    ["on its way", askedApp("enabled"), appInstance([appState({ initStatus: "constructed" })]), "working"],
    ["failed, with another try to come", askedApp("enabled"), appInstance([failed]), "retrying"],
    [
      "failed, being tried again",
      askedApp("enabled"),
      appInstance([{ ...failed, nextAttemptAtMs: null }]),
      "working",
    ],
    [
      "failed for good",
      askedApp("enabled"),
      appInstance([{ ...failed, nextAttemptAtMs: null, stopped: true }]),
      "stopped",
    ],
    ["silent, whatever it was", askedApp("enabled"), appInstance([failed], { hearing: "silent" }), "silent"],
    [
      "not heard of",
      askedApp("enabled"),
      appInstance([], { hearing: "unheard", heardGeneration: 0 }),
      "unheard",
    ],
  ] as const)("%s: %4$s", (_what, asked, one, standing) => {
    expect(standingOf(asked, one)).toBe(standing);
  });
});

describe("since when an app is not as asked", () => {
  test("as the instance says, by the ledger's clock", () => {
    const one = appInstance([failed], { clockOffsetMs: -5_000 });
    expect(mismatchSinceMs(askedApp("enabled"), one, "retrying")).toBe(viewNowMs - 25_000);
  });

  test("since it was told, where the instance has not taken it up", () => {
    expect(mismatchSinceMs(askedApp("enabled"), appInstance(), "unobserved")).toBe(viewNowMs - 60_000);
  });

  test("since it joined, where that was later", () => {
    const one = appInstance([], { joinedAtMs: viewNowMs - 1_000 });
    expect(mismatchSinceMs(askedApp("enabled"), one, "unobserved")).toBe(viewNowMs - 1_000);
  });

  test("a change does not begin it anew where it was not as asked before", () => {
    const one = appInstance([{ ...failed, generation: 2, mismatchSinceMs: viewNowMs - 600_000 }]);
    expect(mismatchSinceMs(askedApp("enabled"), one, "unobserved")).toBe(viewNowMs - 600_000);
  });

  test("and where it was so only after it was told, since it was told", () => {
    const one = appInstance([{ ...failed, generation: 2, mismatchSinceMs: viewNowMs - 10_000 }]);
    expect(mismatchSinceMs(askedApp("enabled"), one, "unobserved")).toBe(viewNowMs - 60_000);
  });

  test("of what was told to nobody there is no such time, and never an alert", () => {
    const asked = askedApp("enabled", {}, null);
    expect(mismatchSinceMs(asked, appInstance(), "untold")).toBeNull();
    expect(alertDueAtMs(asked, appInstance(), "untold", 1_000)).toBeNull();
  });

  test("who was away has the time of an alert to hear what it missed", () => {
    const asked = askedApp("enabled", {}, { appsGeneration: 7, atMs: viewNowMs - 3_600_000 });
    const back = appInstance([], { heardSinceMs: viewNowMs - 2_000 });
    expect(alertDueAtMs(asked, back, "unobserved", 600_000)).toBe(viewNowMs - 2_000 + 600_000);
    expect(alertDueAtMs(asked, appInstance(), "unobserved", 600_000)).toBe(viewNowMs - 3_600_000 + 600_000);
  });
});

describe("who has confirmed a tombstone", () => {
  const tombstone = askedApp("uninstalled");
  test.each([
    ["nothing of it is left, under its generation", appInstance([gone]), true],
    ["the same, and silent since", appInstance([gone], { hearing: "silent" }), true],
    ["it never had it, and has heard of its end", appInstance(), true],
    ["it never had it, and may be about to", appInstance([], { heardGeneration: 6 }), false],
    ["something is left", appInstance([appState({ initStatus: "disabled" })]), false],
    ["nothing is left of an earlier generation", appInstance([{ ...gone, generation: 2 }]), false],
    ["it was not heard of", appInstance([], { hearing: "unheard" }), false],
  ] as const)("%s: %3$s", (_what, one, confirmed) => {
    expect(hasConfirmed(tombstone, one)).toBe(confirmed);
  });

  test("nobody confirms an app that is not uninstalled", () => {
    expect(hasConfirmed(askedApp("disabled"), appInstance([gone]))).toBe(false);
  });

  test("of one that was told to nobody it is enough that it is not there", () => {
    const untold = askedApp("uninstalled", {}, null);
    expect(hasConfirmed(untold, appInstance())).toBe(true);
    expect(hasConfirmed(untold, appInstance([gone]))).toBe(false);
  });
});
