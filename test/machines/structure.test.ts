import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { allMachines, machinesFolder } from "../kit/all-machines.js";
import { chartOf, guardParts, nameOf, nodesOf, transitionsOf } from "../kit/chart.js";

const machines = await allMachines();

/** What a machine writes in place instead of naming it in `setup`, and the names that it uses. */
function partsOf(machine: (typeof machines)[number]["machine"]) {
  const used = { guards: new Set<string>(), actions: new Set<string>(), delays: new Set<string>() };
  const unnamed: string[] = [];
  const see = (kind: keyof typeof used, part: unknown, where: string): void => {
    const parts = kind === "guards" ? guardParts(part) : undefined;
    if (parts !== undefined) {
      for (const one of parts.guards) see(kind, one, where);
      return;
    }
    const name = nameOf(part);
    if (name === undefined) unnamed.push(`${where}: one of its ${kind}`);
    else used[kind].add(name);
  };
  for (const node of nodesOf(machine)) {
    const { entry, exit } = node.config;
    for (const action of [entry ?? [], exit ?? []].flat()) see("actions", action, node.id);
    for (const { delay } of node.after) if (typeof delay !== "number") see("delays", delay, node.id);
  }
  for (const { guard, actions, source, eventType } of transitionsOf(machine)) {
    const where = `${source.id} on ${eventType === "" ? "nothing" : eventType}`;
    if (guard !== undefined) see("guards", guard, where);
    for (const action of actions) see("actions", action, where);
  }
  return { used, unnamed };
}

test("the machines are found", () => {
  expect(machines.map(({ file }) => file)).toEqual(
    expect.arrayContaining(["coordinator", "deployment", "instance", "member", "process"]),
  );
});

describe.each(machines)("the machine $file", ({ file, machine }) => {
  test("has the name of its file, and says in a comment at its top what it is", () => {
    expect(machine.id).toBe(file);
    const comment = /^\/\*\n([\s\S]*?)\*\//m.exec(readFileSync(join(machinesFolder, `${file}.ts`), "utf8"));
    const lines = comment?.[1]?.trimEnd().split("\n") ?? [];
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThanOrEqual(10);
  });

  test("describes each of its states in a sentence", () => {
    const silent = chartOf(machine).states.filter(
      ({ description }) => !/^[A-Z].*\.$/.test(description ?? ""),
    );
    expect(silent.map(({ id }) => id)).toEqual([]);
  });

  test("names each guard, action and delay, so that its picture says what happens", () => {
    expect(partsOf(machine).unnamed).toEqual([]);
  });

  test("uses every guard, action and delay that it names", () => {
    const { used } = partsOf(machine);
    const { guards, actions, delays } = machine.implementations;
    const names = (what: object, by: ReadonlySet<string>) =>
      Object.keys(what).filter((name) => !by.has(name));
    expect({
      guards: names(guards, used.guards),
      actions: names(actions, used.actions),
      delays: names(delays, used.delays),
    }).toEqual({ guards: [], actions: [], delays: [] });
  });

  test("asks its host for everything: it invokes nothing and has no actors", () => {
    expect(nodesOf(machine).filter(({ invoke }) => invoke.length > 0)).toEqual([]);
    expect(Object.keys(machine.implementations.actors)).toEqual([]);
  });

  test("imports nothing that does I/O, and knows no clock and no chance", () => {
    const text = readFileSync(join(machinesFolder, `${file}.ts`), "utf8");
    const imports = [...text.matchAll(/from "([^"]+)"/g)].map(([, from]) => from ?? "");
    const allowed = /^(xstate|\.\/[a-z-]+\.js|\.\.\/src\/(base|contracts)\/[a-z-]+\.js)$/;
    expect(imports.filter((from) => !allowed.test(from))).toEqual([]);
    expect(text).not.toMatch(
      /\b(Date|Math\.random|setTimeout|setInterval|performance|fetch|Promise|await)\b/,
    );
  });

  test("can end only in a state that no arrow leaves", () => {
    const { states, arrows } = chartOf(machine);
    const sources = new Set(arrows.map(({ source }) => source));
    expect(states.filter(({ id, type }) => type === "final" && sources.has(id))).toEqual([]);
  });
});
