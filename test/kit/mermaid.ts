import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { FoundMachine } from "./all-machines.js";
import { machinesFolder } from "./all-machines.js";
import { type Chart, type ChartArrow, type ChartState, chartOf } from "./chart.js";

/** The command that draws the pictures anew. */
export const redraw = "npm run docs:machines";

/** The page of a machine: what it is, its picture, and what its states mean. */
export function pageOf({ file, machine }: FoundMachine): string {
  const chart = chartOf(machine);
  return [
    `# The machine \`${chart.name}\``,
    `Drawn from [machines/${file}.ts](../../machines/${file}.ts) by \`${redraw}\`; a test fails when it is stale.`,
    introductionOf(file),
    ["```mermaid", diagramOf(chart), "```"].join("\n"),
    [
      "An arrow says what sets it off, `[what must hold]`, and `/ what is done`; one without an event is taken as soon as its guard",
      "holds. `any` stands for each of the states beside it. In a box is what is done without leaving it.",
    ].join("\n"),
    tableOf(chart),
  ]
    .join("\n\n")
    .concat("\n");
}

/** The comment at the top of the machine's file. */
function introductionOf(file: string): string {
  const source = readFileSync(join(machinesFolder, `${file}.ts`), "utf8");
  const comment = /^\/\*\n([\s\S]*?)\n \*\//m.exec(source)?.[1] ?? "";
  return comment.replaceAll(/^ \* ?/gm, "").trim();
}

/** The machine as a Mermaid state diagram. */
export function diagramOf(chart: Chart): string {
  const inner = chart.root.type === "parallel" ? blockOf(chart.root, chart, 1) : bodyOf(chart.root, chart, 1);
  const across = drawn(chart)
    .filter(({ block }) => block === undefined)
    .map(({ line }) => indent(line, 1));
  return ["stateDiagram-v2", ...inner, ...across].join("\n");
}

interface DrawnArrow {
  /** The state in whose braces it stands. Undefined: outside of all, as Mermaid takes a state to be where it is named. */
  readonly block: string | undefined;
  readonly line: string;
}

function drawn(chart: Chart): DrawnArrow[] {
  const states = new Map([chart.root, ...chart.states].map((state) => [state.id, state]));
  return chart.arrows.flatMap((arrow) => {
    const source = states.get(arrow.source);
    if (source === undefined || isListed(arrow, source)) return [];
    return arrow.targets.map((id) => {
      const target = states.get(id);
      const inside = target !== undefined && isWithin(target, source);
      const from = inside && source.children.length > 0 ? anyOf(source) : idOf(source.id);
      const blocks = inside && source.children.length > 0 ? source.id : source.parent?.id;
      const block = blocks === target?.parent?.id && blocks !== chart.root.id ? blocks : undefined;
      return { block, line: `${from} --> ${idOf(id)} : ${labelOf(arrow)}` };
    });
  });
}

/** What leaves no state is written into the box of its state; Mermaid cannot draw a composite's arrow to itself. */
function isListed(arrow: ChartArrow, source: ChartState): boolean {
  return (
    arrow.targets.length === 0 ||
    (source.children.length > 0 && arrow.targets.every((target) => target === source.id))
  );
}

/** What is done in a state without leaving it. */
function doneIn(state: ChartState, chart: Chart): string[] {
  const on = (when: string, actions: readonly string[]) =>
    actions.length === 0 ? [] : [`${when} / ${actions.join(", ")}`];
  return [
    ...on("entry", state.entry),
    ...on("exit", state.exit),
    ...chart.arrows.filter((arrow) => arrow.source === state.id && isListed(arrow, state)).map(labelOf),
  ];
}

function isWithin(state: ChartState, outer: ChartState): boolean {
  for (let one: ChartState | undefined = state; one !== undefined; one = one.parent)
    if (one === outer) return true;
  return false;
}

function blockOf(state: ChartState, chart: Chart, depth: number): string[] {
  const named = `state "${state.name}" as ${idOf(state.id)}`;
  if (state.children.length === 0)
    return [named, ...doneIn(state, chart).map((text) => `${idOf(state.id)} : ${text}`)].map((line) =>
      indent(line, depth),
    );
  return [indent(`${named} {`, depth), ...bodyOf(state, chart, depth + 1), indent("}", depth)];
}

function bodyOf(state: ChartState, chart: Chart, depth: number): string[] {
  const lines: string[] = [];
  if (state.initial !== undefined) lines.push(indent(`[*] --> ${idOf(state.initial)}`, depth));
  state.children.forEach((child, at) => {
    if (state.type === "parallel" && at > 0) lines.push(indent("--", depth));
    lines.push(...blockOf(child, chart, depth));
    if (child.type === "final") lines.push(indent(`${idOf(child.id)} --> [*]`, depth));
  });
  const arrows = drawn(chart).filter(({ block }) => block === state.id);
  if (arrows.some(({ line }) => line.startsWith(`${anyOf(state)} `)))
    lines.push(indent(`state "any" as ${anyOf(state)}`, depth));
  return [...lines, ...arrows.map(({ line }) => indent(line, depth))];
}

function labelOf({ on, guard, actions }: ChartArrow): string {
  const when = on === "always" && guard !== undefined ? [] : [on];
  const holds = guard === undefined ? [] : [`[${guard}]`];
  const does = actions.length === 0 ? [] : [`/ ${actions.join(", ")}`];
  return [...when, ...holds, ...does].join(" ");
}

function anyOf(state: ChartState): string {
  return `${idOf(state.id)}__any`;
}

function idOf(id: string): string {
  return id.replaceAll(".", "__").replaceAll(/[^A-Za-z0-9_]/g, "_");
}

function indent(line: string, depth: number): string {
  return `${"  ".repeat(depth)}${line}`;
}

function tableOf(chart: Chart): string {
  const rows = [chart.root, ...chart.states].flatMap((state) => {
    const does = doneIn(state, chart);
    if (state === chart.root && does.length === 0) return [];
    const name = state === chart.root ? "in every state" : `\`${state.id.slice(chart.root.id.length + 1)}\``;
    return [`| ${name} | ${state.description ?? ""} | ${does.map(cell).join("<br>")} |`];
  });
  return ["| state | what it means | what is done in it |", "| --- | --- | --- |", ...rows].join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
