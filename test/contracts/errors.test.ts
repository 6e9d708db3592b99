import { expect, test } from "vitest";
import { messageOf } from "../../src/base/errors.js";
import { refusal } from "../../src/contracts/errors.js";

test("a refusal whose reason is a whole sentence ends that once", () => {
  const said = (problem: string) => refusal("APP_FAILED", { app: "mail", problem }).message;
  expect(said("it threw")).toBe("App mail failed: it threw.");
  expect(said("It threw.")).toBe("App mail failed: It threw.");
  expect(said("it threw…")).toBe("App mail failed: it threw…");
  expect(refusal("APP_FAILED", { app: "mail" }).message).toBe("App mail failed: ?.");
});

test("what went wrong is told with its causes, and none twice", () => {
  const cause = new Error("connection refused");
  const named = refusal("NATS_UNREACHABLE", { url: "here", problem: cause.message }, cause);
  expect(messageOf(named)).toBe(named.message);
  expect(messageOf(new Error("it failed", { cause }))).toBe("it failed: connection refused");
  expect(messageOf("thrown text")).toBe("thrown text");
});
