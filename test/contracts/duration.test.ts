import { expect, test } from "vitest";
import { durationText } from "../../src/contracts/duration.js";
import { refusal } from "../../src/contracts/errors.js";

test.each([
  [-5, "0s"],
  [0, "0 ms"],
  [850, "850 ms"],
  [59_999, "59s"],
  [60_000, "1m"],
  [61_000, "1m01s"],
  [252_000, "4m12s"],
  [3_600_000, "1h"],
  [7_500_000, "2h05m"],
  [273_600_000, "3d4h"],
])("%d ms are %s", (ms, text) => {
  expect(durationText(ms)).toBe(text);
});

test("an error says a duration as people do, and keeps the number beside its sentence", () => {
  const { message, details } = refusal("PHASE_STUCK", { phase: "BUILDING", stuckMs: 300_000 });
  expect(message).toContain("The phase BUILDING has not moved for 5m");
  expect(details).toMatchObject({ stuckMs: 300_000 });
});
