import { expect, test } from "vitest";
import { alikeTogether, type Said } from "../../src/cli/alike.js";

const said = (instance: string | null, words: string, atMs = 0, object = "app/mail"): Said => ({
  object,
  atMs,
  instance,
  sentence: instance === null ? words : `${words} on ${instance}; so it is`,
});
const sentences = (...all: readonly Said[]) =>
  alikeTogether(all, (one) => one).map(({ sentence, count }) => `${count}: ${sentence}`);

test("what instances say alike is one, also when others say something else in between", () => {
  expect(
    sentences(
      said("web-1", "runs"),
      said("web-2", "fails"),
      said("web-3", "runs", 10),
      said("web-3", "runs", 10, "app/chat"),
      said("web-4", "runs", 20),
      said("web-11", "runs", 30),
    ),
  ).toEqual([
    "4: runs on web-1, web-3, web-4 and 1 more; so it is",
    "1: fails on web-2; so it is",
    "1: runs on web-3; so it is",
  ]);
});

test("what is said later, or after something about the object itself, is apart", () => {
  expect(
    sentences(
      said("web-1", "runs"),
      said("web-2", "runs", 60_001),
      said(null, "is to be disabled", 60_002),
      said("web-3", "runs", 60_003),
    ),
  ).toEqual([
    "1: runs on web-1; so it is",
    "1: runs on web-2; so it is",
    "1: is to be disabled",
    "1: runs on web-3; so it is",
  ]);
});

test("a sentence that does not name its instance stays as it is", () => {
  const tried = { object: "app/mail", atMs: 0, instance: "web-1", sentence: "is tried again" };
  expect(sentences(tried, { ...tried, instance: "web-2" })).toHaveLength(2);
});
