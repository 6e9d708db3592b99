import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { allMachines, picturesFolder } from "../kit/all-machines.js";
import { chartOf } from "../kit/chart.js";
import { diagramOf, pageOf, redraw } from "../kit/mermaid.js";

const machines = await allMachines();

const id = "[A-Za-z][A-Za-z0-9_]*";
// Mermaid ends a label at a colon, a semicolon or the end of the line, and takes `%%` for a comment.
const label = "(?:(?!%%)[^:;\\n])+";
const syntax = {
  state: new RegExp(`^state "[^"]+" as (${id})( \\{)?$`),
  arrow: new RegExp(`^(\\[\\*\\]|${id}) --> (\\[\\*\\]|${id})(?: : ${label})?$`),
  text: new RegExp(`^(${id}) : ${label}$`),
  region: /^--$/,
  end: /^\}$/,
};

/** What is wrong with a state diagram, by the part of Mermaid's syntax that the pictures use. */
function problemsIn(diagram: string): string[] {
  const [head, ...lines] = diagram.split("\n").map((line) => line.trim());
  const problems = head === "stateDiagram-v2" ? [] : [`it begins with ${head}`];
  const declared = new Set<string>();
  const named = new Set<string>();
  let depth = 0;
  for (const line of lines) {
    const state = syntax.state.exec(line);
    const used = syntax.arrow.exec(line) ?? syntax.text.exec(line);
    if (state?.[1] !== undefined) {
      if (declared.has(state[1])) problems.push(`declared twice: ${state[1]}`);
      declared.add(state[1]);
      if (state[2] !== undefined) depth++;
    } else if (used !== null) {
      for (const name of used.slice(1)) if (name !== undefined && name !== "[*]") named.add(name);
    } else if (syntax.end.test(line)) {
      depth--;
    } else if (!(syntax.region.test(line) && depth > 0)) {
      problems.push(`not understood: ${line}`);
    }
    if (depth < 0) problems.push("a brace too many");
  }
  if (depth !== 0) problems.push(`${depth} braces are not closed`);
  for (const name of named) if (!declared.has(name)) problems.push(`not declared: ${name}`);
  return problems;
}

describe.each(machines)("the picture of $file", (found) => {
  const { file, machine } = found;

  test("is the one that is kept in docs/machines", () => {
    const path = join(picturesFolder, `${file}.md`);
    const kept = existsSync(path) ? readFileSync(path, "utf8") : "";
    expect(kept === pageOf(found), `docs/machines/${file}.md is stale: run ${redraw}`).toBe(true);
  });

  test("is a Mermaid state diagram", () => {
    expect(problemsIn(diagramOf(chartOf(machine)))).toEqual([]);
  });

  test("shows each state and each arrow, or says what is done without leaving", () => {
    const chart = chartOf(machine);
    const page = pageOf(found);
    for (const { name } of chart.states) expect(page).toContain(`"${name}"`);
    for (const { on, actions } of chart.arrows) {
      if (on !== "always") expect(page).toContain(on);
      if (actions.length > 0) expect(page).toContain(`/ ${actions.join(", ")}`);
    }
  });
});

test("no picture is left of a machine that is gone", () => {
  expect(readdirSync(picturesFolder).sort()).toEqual(machines.map(({ file }) => `${file}.md`).sort());
});

test.each([
  ['stateDiagram-v2\n  state "a" as a\n  a --> b', "not declared: b"],
  ['stateDiagram-v2\n  state "a" as a {', "1 braces are not closed"],
  ['stateDiagram-v2\n  state "a" as a\n  a --> a : on: off', "not understood: a --> a : on: off"],
  ["flowchart", "it begins with flowchart"],
])("a picture that Mermaid would not draw is found: %s", (diagram, problem) => {
  expect(problemsIn(diagram)).toContain(problem);
});
