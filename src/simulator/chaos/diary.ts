import { durationText } from "../../contracts/duration.js";
import { eventSentence } from "../../contracts/event-words.js";
import type { MakeInvariant } from "./invariant.js";
import type { Happening } from "./life-plan.js";

/** Something worth telling of a life. */
export interface Entry {
  /** Since the beginning. */
  readonly atMs: number;
  /** The process or instance that it is about; undefined: the fleet, or what is between. */
  readonly node: string | undefined;
  /** One letter of `glyphs`; empty where only words tell. */
  readonly glyph: string;
  /** What people read; empty where the letter says it all. */
  readonly words: string;
}

/** What the letters of a picture mean. */
export const glyphs: Readonly<Record<string, string>> = {
  L: "leads",
  K: "is killed",
  E: "ends in order",
  U: "is replaced by the next version",
  Z: "stands still",
  C: "is cut off",
  D: "hears nothing",
  M: "is not heard",
  N: "gets a new machine",
  2: "has a second agent",
  R: "its machine goes down",
  F: "its disk is full",
  W: "its wall clock jumps",
  "!": "its process ends",
  S: "fails its health checks",
  J: "joins",
  V: "leaves",
  B: "has other labels",
  t: "is told",
  s: "starts a process",
  x: "ends a process",
  a: "activates",
};

const byHow: Readonly<Record<string, string>> = {
  kill: "K",
  stop: "E",
  leave: "V",
  upgrade: "U",
  stall: "Z",
  cut: "C",
  deaf: "D",
  mute: "M",
  reboot: "R",
  diskFull: "F",
};
const byKind: Readonly<Record<string, string>> = {
  crash: "!",
  sick: "S",
  clockStep: "W",
  newHost: "N",
  double: "2",
  join: "J",
  leave: "V",
  relabel: "B",
  appEnds: "!",
};
const byEffect = { start: "s", stop: "x", activate: "a" } as const;

/** Keeps a diary of a life, for whoever wants to see how it went. It looks on, and finds nothing wrong. */
export function keepDiary(entries: Entry[]): MakeInvariant {
  return (witness) => {
    const startedAtMs = witness.nowMs();
    const note = (node: string | undefined, glyph: string, words = "") =>
      void entries.push({ atMs: witness.nowMs() - startedAtMs, node, glyph, words });
    return {
      id: "diary",
      says: "what happens is written down",
      happens(happening, struck) {
        const glyph = glyphOf(happening);
        for (const node of struck) note(node, glyph);
        note(undefined, "", wordsOf(happening, struck));
      },
      committed({ from, changes, events, others }) {
        // An epoch that nobody has sent is a fault of the store's.
        if (from !== "" && others.some(({ key }) => key === "epoch")) note(from, "L", `${from} leads`);
        for (const { kind, id, after } of changes)
          if (kind === "desired.instance" && after !== undefined) note(id, "t");
        for (const { kind, id, type, data } of events)
          if (kind === "deployment") note(undefined, "", `${id} ${eventSentence(type, data)}`);
      },
      done: ({ instance, what }) => note(instance, byEffect[what]),
      faultsOver: () => note(undefined, "", "all faults end"),
      atRest: () => note(undefined, "", "the fleet is at rest"),
    };
  };
}

function glyphOf(happening: Happening): string {
  const by = "how" in happening ? byHow[happening.how] : undefined;
  return by ?? byKind[happening.do] ?? "";
}

/** `coordinator kill for 5s (c1)` */
function wordsOf({ atMs: _, do: kind, ...facts }: Happening, struck: readonly string[]): string {
  const said = Object.entries(facts).map(([name, value]) => {
    if (name === "which" || name === "instance") return "";
    if (name === "forMs" || name === "takeoverAfterMs") return `for ${durationText(Number(value))}`;
    if (name === "share") return `${Math.round(Number(value) * 100)} %`;
    return typeof value === "string" ? value : `${name} ${JSON.stringify(value)}`;
  });
  const whom = struck.length === 0 ? "" : `(${struck.join(", ")})`;
  return [kind, ...said, whom].filter((word) => word !== "").join(" ");
}
