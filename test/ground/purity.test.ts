import { describe, expect, test } from "vitest";
import { type Source, sourcesIn } from "./sources.js";

/**
 * The adapters: who meets the real world, by name. All other code gets time, randomness and effects through the
 * ports, so that production, tests and simulator run the same code. Think before this list grows.
 */
const adapters: readonly RegExp[] = [
  /^src\/runtime\/real-clock\.ts$/,
  /^src\/runtime\/random\.ts$/,
  // Lets promises that are under way settle before it moves time.
  /^src\/runtime\/virtual-clock\.ts$/,
  /^src\/bus\/nats-[a-z-]+\.ts$/,
  /^src\/ledger\/nats-[a-z-]+\.ts$/,
  /^src\/base-node\//,
  /^src\/agent\/adapters\//,
  /^src\/nats-server\//,
  /^src\/cli\//,
];

const impure: Readonly<Record<string, RegExp>> = {
  "Date.now": /\bDate\s*\.\s*now\b/,
  "new Date()": /\bnew\s+Date\b\s*(?:\(\s*\)|(?!\s*\())/,
  "Date()": /(?<!new\s+)(?<![.\w])Date\s*\(/,
  "Math.random": /\bMath\s*\.\s*random\b/,
  "performance.now": /\bperformance\s*\.\s*now\b/,
  "process.hrtime": /\bprocess\s*\.\s*hrtime\b/,
  setTimeout: /\bsetTimeout\b/,
  setInterval: /\bsetInterval\b/,
  setImmediate: /\bsetImmediate\b/,
  randomness: /\brandom(?:UUID|Bytes|Int|FillSync|Fill)\b|\bgetRandomValues\b/,
  "node:timers": /["']node:timers\b/,
};

/** What of the impure is used, apart from comments that speak of it. */
function impurities({ path, text }: Source): string[] {
  return text.split("\n").flatMap((line, index) => {
    if (/^\s*(?:\/\/|\/?\*)/.test(line)) return [];
    return Object.entries(impure)
      .filter(([, pattern]) => pattern.test(line))
      .map(([what]) => `${path}:${index + 1} uses ${what}`);
  });
}

const isAdapter = (path: string): boolean => adapters.some((pattern) => pattern.test(path));

describe("time, randomness and timers come in through ports", () => {
  test("nothing in src or machines but the adapters takes them from the platform", () => {
    const sources = sourcesIn("src", "machines");
    expect(sources.length).toBeGreaterThan(0);
    expect(sources.filter(({ path }) => !isAdapter(path)).flatMap(impurities)).toEqual([]);
  });

  test.each([
    "const at = Date.now();",
    "const at = new Date();",
    "const at = new Date;",
    "const at = new Date().toISOString();",
    "const at = Date();",
    "const at = Math.random();",
    "const at = performance.now();",
    "const at = process.hrtime.bigint();",
    "setTimeout(work, 10);",
    "await new Promise((resolve) => setTimeout(resolve, 1));",
    "setInterval(work, 10);",
    "setImmediate(work);",
    "const id = randomUUID();",
    'import { randomUUID as id } from "node:crypto";',
    "const id = crypto.getRandomValues(bytes);",
    'import { setTimeout as pause } from "node:timers/promises";',
  ])("a planted violation is found: %s", (line) => {
    expect(impurities({ path: "planted.ts", text: `// why\n${line}\n` })[0]).toMatch(/^planted\.ts:2 uses /);
  });

  test.each([
    "const at = new Date(writtenAtMs).toISOString();",
    "const at = clock.nowMs();",
    "const id = random.id();",
    "// setTimeout would be wrong here",
    " * never `Date.now()`",
    "const lastUpdate = Update(1);",
  ])("what is pure is left alone: %s", (line) => {
    expect(impurities({ path: "planted.ts", text: line })).toEqual([]);
  });
});
