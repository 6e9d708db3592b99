import { expect, test } from "vitest";
import { not, setup } from "xstate";
import { generatePaths, missedBy } from "./paths.js";

interface Coin {
  readonly type: "coin";
  readonly cents: number;
}

const turnstile = setup({
  types: { events: {} as Coin | { readonly type: "push" } },
  guards: { isEnough: ({ event }) => event.type === "coin" && event.cents >= 50 },
}).createMachine({
  id: "turnstile",
  initial: "locked",
  states: {
    locked: {
      on: {
        coin: [
          { guard: "isEnough", target: "open" },
          { guard: not("isEnough"), target: "complaining" },
        ],
      },
    },
    complaining: { after: { 1000: "locked" } },
    open: { on: { push: "locked" } },
  },
});

const shorten = ({ value }: { readonly value: unknown }) => value;
const starts = [{ name: "new", input: undefined }];
const enough: Coin = { type: "coin", cents: 50 };
const tooFew: Coin = { type: "coin", cents: 10 };
const push = { type: "push" } as const;
const quiet = { type: "xstate.after.1000.turnstile.complaining" } as unknown as Coin;

test("what no generated path hits is named: arrows, and outcomes of guards", () => {
  const generated = generatePaths(turnstile, {
    starts,
    shorten,
    events: () => [enough, quiet],
  });
  expect(missedBy(generated).missed).toEqual([
    "turnstile.locked: coin [isEnough] → turnstile.open where isEnough does not hold",
    "turnstile.locked: coin [not isEnough] → turnstile.complaining",
    "turnstile.locked: coin [not isEnough] → turnstile.complaining where isEnough holds",
    "turnstile.locked: coin [not isEnough] → turnstile.complaining where isEnough does not hold",
    "turnstile.complaining: after 1000 ms → turnstile.locked",
    "turnstile.open: push → turnstile.locked",
  ]);
});

test("richer samples hit it, delayed transitions by their event; what stays impossible needs an excuse that is true", () => {
  const generated = generatePaths(turnstile, {
    starts,
    shorten,
    events: () => [enough, tooFew, push, quiet],
  });
  const impossible = "turnstile.locked: coin [not isEnough] → turnstile.complaining where isEnough holds";
  expect(missedBy(generated).missed).toEqual([impossible]);
  expect(missedBy(generated, { [impossible]: "the arrow before it was taken" })).toEqual({
    missed: [],
    excusedButHit: [],
  });
  expect(
    missedBy(generated, { [impossible]: "as above", "turnstile.open: push → turnstile.locked": "lazy" }),
  ).toEqual({
    missed: [],
    excusedButHit: ["turnstile.open: push → turnstile.locked"],
  });
});

test("a context that is not shortened enough is refused, not explored for ever", () => {
  let looks = 0;
  const explore = () =>
    generatePaths(turnstile, {
      starts,
      shorten: () => looks++,
      statesMax: 100,
      events: () => [tooFew, push, quiet],
    });
  expect(explore).toThrow("more than 100 states from new");
});
