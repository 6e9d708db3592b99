import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorCodes } from "../../src/contracts/error-codes.js";
import { isErrorCode, refusal, statusOf } from "../../src/contracts/errors.js";
import { keys, parseKey } from "../../src/contracts/keys.js";
import { escapeToken, idPattern, unescapeToken, versionPattern } from "../../src/contracts/names.js";
import { matches, parseSelector } from "../../src/contracts/selector.js";
import { instanceOfSubject, subjectsOf } from "../../src/contracts/subjects.js";

describe("names", () => {
  test.each(["v1", "1.0.0+build", "a".repeat(64), "2026-01-01_x"])("%s is a version", (name) => {
    expect(versionPattern.test(name)).toBe(true);
  });

  test.each(["", ".", "..", "../x", "a/b", "é", "-a", "a".repeat(65), "a b", "a\n"])(
    "%j is no version",
    (name) => {
      expect(versionPattern.test(name)).toBe(false);
    },
  );

  test.each(["", "a.b", "a/b", "é", "_a", "a".repeat(64), "*", ">"])(
    "%j is no name of an instance",
    (name) => {
      expect(idPattern.test(name)).toBe(false);
    },
  );

  test("no two names share a token, and each comes back from its own", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (one, other) => {
        expect(unescapeToken(escapeToken(one))).toBe(one);
        if (one !== other) expect(escapeToken(one)).not.toBe(escapeToken(other));
        expect(escapeToken(one)).toMatch(/^[A-Za-z0-9_=-]*$/);
      }),
    );
  });

  test("what no name becomes is not taken for one", () => {
    for (const token of ["=", "=4", "=zz", "=41", "a.b", "=ff"]) expect(unescapeToken(token)).toBeUndefined();
  });

  test("keys and subjects name what they were made of", () => {
    expect(parseKey(keys.release("1.0+b"))).toEqual(["release", "1.0+b"]);
    expect(parseKey(keys.desiredInstance("web-1"))).toEqual(["desired.instance", "web-1"]);
    expect(instanceOfSubject(subjectsOf("default").health("web-1"))).toBe("web-1");
    expect(instanceOfSubject(subjectsOf("default").event("instance", "web-1"))).toBeUndefined();
  });
});

describe("selectors", () => {
  const labels = { tier: "web", zone: "a" };

  test.each([
    ["tier=web", true],
    ["tier=web,zone!=a", false],
    ["tier==web , zone = a", true],
    ["color!=red", true],
    ["color=", false],
  ])("%s", (selector, chosen) => {
    expect(matches(parseSelector(selector), labels)).toBe(chosen);
  });

  test("no selector at all chooses everything", () => {
    expect(matches(parseSelector(null), {})).toBe(true);
  });

  test.each(["", "tier", "=web", "tier=a=b", "tier>web", ",", "é=1"])("%j is refused", (selector) => {
    expect(() => parseSelector(selector)).toThrow(expect.objectContaining({ code: "BAD_SELECTOR" }));
  });
});

describe("errors", () => {
  test.each(Object.entries(errorCodes))(
    "%s has a sentence, a status and tells whether to ask again",
    (code, meaning) => {
      expect(isErrorCode(code)).toBe(true);
      expect(meaning.sentence).toMatch(/[.:}]$/);
      expect(statusOf(code)).toBeGreaterThanOrEqual(400);
      expect(["never", "later"]).toContain(meaning.retry);
    },
  );

  test("the details fill the sentence in", () => {
    const error = refusal("UNKNOWN_RELEASE", { version: "v9" });
    expect(error.message).toContain("There is no release v9");
    expect(error).toMatchObject({ code: "UNKNOWN_RELEASE", retry: "never", details: { version: "v9" } });
  });
});
