import { expect, test } from "vitest";
import { findingsIn } from "../../src/backup/findings.js";
import { keys } from "../../src/contracts/keys.js";

test("a ledger in which coordinators have written all that they keep of themselves is not wrong for that", () => {
  const own = Object.values(keys)
    .filter((key) => typeof key === "string")
    .filter((key) => !key.includes("."));
  expect(own).toContain("reconciliation");
  const entries = own.map((key, at) => ({ key, value: {}, revision: at + 1, writtenAtMs: 0 }));
  const contents = { fleet: "shop", ledgerId: "m1", head: null, entries, events: [], files: [] };
  expect(findingsIn(contents)).toEqual([]);
});

test("what cannot be read is found, of whatever kind it is, and a kind that nobody knows is", () => {
  const written = ["app-instance.web-1", "desired.apps", "desired.app.shop", "instance.web-1", "novelty.n1"];
  const entries = written.map((key, at) => ({ key, value: { format: 1 }, revision: at + 1, writtenAtMs: 0 }));
  const contents = { fleet: "shop", ledgerId: "m1", head: null, entries, events: [], files: [] };
  expect(findingsIn(contents).map(({ kind, where }) => [where, kind])).toEqual([
    ...written.slice(0, 4).map((key) => [key, "unreadable"]),
    ["novelty.n1", "unknown"],
  ]);
});
