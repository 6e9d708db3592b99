import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { eventTypes } from "../../src/contracts/event-types.js";
import { eventSentence, shortType } from "../../src/contracts/event-words.js";
import { sourcesIn } from "../ground/sources.js";
import { auditPagePath, withTypes } from "../kit/audit-page.js";

const types = Object.keys(eventTypes);

test("the table in docs/audit.md is made from the types that there are", () => {
  const page = readFileSync(auditPagePath, "utf8");
  expect(withTypes(page) === page, "docs/audit.md is stale: run npm run docs:audit").toBe(true);
  for (const type of types) expect(page).toContain(`| \`${type}\` |`);
});

describe("each type is written somewhere in the program, which the compiler lets write no other", () => {
  const code = sourcesIn("src", "machines")
    .filter(({ path }) => !path.endsWith("event-types.ts"))
    .map(({ text }) => text)
    .join("\n");

  test.each(types)("%s", (type) => {
    const what = type.slice(type.indexOf(".") + 1);
    expect([`"${type}"`, `what: "${what}"`, `("${what}", {`].some((text) => code.includes(text))).toBe(true);
  });
});

describe("in words", () => {
  test.each([
    [
      "instance.told",
      { generation: 2, target: { release: "v2", config: "c1" } },
      "is told to run v2 with config c1, as generation 2",
    ],
    ["instance.told", { generation: 2, target: null }, "is told to run nothing, as generation 2"],
    [
      "instance.failed",
      { version: { release: "v2", config: null }, reason: { code: "X", message: "Broken." } },
      "has failed on v2: Broken.",
    ],
    ["instance.released", { deployment: "d1", stable: null }, "is d1's no more"],
    ["deployment.paused", { reason: null }, "is paused"],
    ["deployment.paused", { reason: "lunch" }, "is paused: lunch"],
    ["instance.told", {}, "is told to run ?, as generation ?"],
    ["instance.told", "no object", "is told to run ?, as generation ?"],
    ["instance.mended", { how: 1 }, 'instance.mended {"how":1}'],
  ])("%s %j: %s", (type, data, words) => {
    expect(eventSentence(type, data)).toBe(words);
    expect(eventSentence(`dev.rollcall.${type}.v1`, data)).toBe(words);
  });

  test("the short name of a type is what stands between the product and the version", () => {
    expect(["dev.rollcall.a.b.v1", "a.b", "org.other.v1"].map(shortType)).toEqual([
      "a.b",
      "a.b",
      "org.other.v1",
    ]);
  });
});
