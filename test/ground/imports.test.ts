import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeTempDir } from "../kit/temp-dir.js";
import { root, sourcesIn } from "./sources.js";

/** What is planted: the path and text of a file. */
type Files = Readonly<Record<string, string>>;

/** Runs the linter as `npm run lint` does, with the project's configuration, over a project that holds only these files. */
function lint(files: Files): { readonly passed: boolean; readonly output: string } {
  const folder = makeTempDir();
  copyFileSync(join(root, "biome.json"), join(folder, "biome.json"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const biome = join(root, "node_modules/@biomejs/biome/bin/biome");
  const run = spawnSync(process.execPath, [biome, "check", "--error-on-warnings", "--colors=off", "."], {
    cwd: folder,
    encoding: "utf8",
  });
  if (run.error) throw run.error;
  return { passed: run.status === 0, output: run.stdout + run.stderr };
}

function importing(...specifiers: string[]): string {
  return `${specifiers.map((one) => `import "${one}";`).join("\n")}\n`;
}

function expectRefused(files: Files, rule: string): void {
  const { passed, output } = lint(files);
  expect(output).toContain(`lint/${rule} `);
  expect(passed, output).toBe(false);
}

/** What each area may import: the design, as an example of each. */
const allowed: Files = {
  "src/base/errors.ts": importing("./assert.js"),
  "src/base-node/free-port.ts": importing("node:fs/promises", "node:net", "../base/errors.js"),
  "src/contracts/release.ts": importing("zod", "../base/errors.js", "./names.js"),
  "machines/deployment.ts": importing("xstate", "../src/base/assert.js", "./liveness.js"),
  "src/runtime/host/mailbox.ts": importing("xstate", "../../base/ports.js", "../../contracts/errors.js"),
  "src/bus/nats-bus.ts": importing("@nats-io/transport-node", "../base/ports.js", "../contracts/subjects.js"),
  "src/ledger/nats-ledger.ts": importing("@nats-io/jetstream", "@nats-io/kv", "../base/ports.js"),
  "src/coordinator/coordinator.ts": importing("../../machines/member.js", "../runtime/actor.js"),
  "src/agent/agent.ts": importing("../../machines/instance.js", "../contracts/release.js", "./ports.js"),
  "src/agent/adapters/files.ts": importing("node:fs/promises", "tar", "../ports.js"),
  "src/api/service.ts": importing("zod", "../base/ports.js", "../contracts/api.js"),
  "src/backup/restore.ts": importing("node:fs", "tar", "../../machines/restored.js", "../ledger/restore.js"),
  "src/nats-server/fetch.ts": importing("node:child_process", "../base-node/free-port.js"),
  "src/simulator/fleet.ts": importing(
    "../agent/agent.js",
    "../agent/memory/memory-host.js",
    "../coordinator/coordinator.js",
    "d3-random",
  ),
  "src/cli/main.ts": importing(
    "commander",
    "../agent/agent.js",
    "../api/client.js",
    "../ledger/nats-ledger.js",
  ),
  "src/sdk/embed-apps.ts": importing(
    "node:path",
    "../../machines/app-facts.js",
    "../agent/adapters/record-files.js",
    "../bus/nats-bus.js",
  ),
  "src/index.ts": 'export { createAgent } from "./agent/agent.js";\n',
  "test/agent/agent.test.ts": importing("../../machines/instance.js", "../../src/cli/main.js"),
};

/** An import that runs back, of each kind: from where, and what. */
const forbidden: readonly (readonly [file: string, specifier: string])[] = [
  ["src/base/errors.ts", "../contracts/errors.js"],
  ["src/base/errors.ts", "node:fs"],
  ["src/base/errors.ts", "zod"],
  ["src/base-node/free-port.ts", "../runtime/actor.js"],
  ["src/contracts/release.ts", "../runtime/actor.js"],
  ["src/contracts/release.ts", "xstate"],
  ["machines/deployment.ts", "node:crypto"],
  ["machines/deployment.ts", "@nats-io/kv"],
  ["machines/deployment.ts", "../src/runtime/actor.js"],
  ["machines/deployment.ts", "../src/coordinator/coordinator.js"],
  ["src/runtime/actor.ts", "../contracts/release.js"],
  ["src/runtime/host/mailbox.ts", "../../coordinator/coordinator.js"],
  ["src/runtime/actor.ts", "../../machines/member.js"],
  ["src/runtime/actor.ts", "@nats-io/kv"],
  ["src/bus/nats-bus.ts", "../contracts/deployment.js"],
  ["src/bus/nats-bus.ts", "../coordinator/coordinator.js"],
  ["src/ledger/nats-ledger.ts", "../../machines/deployment.js"],
  ["src/ledger/nats-ledger.ts", "../agent/agent.js"],
  ["src/coordinator/coordinator.ts", "../agent/agent.js"],
  ["src/coordinator/coordinator.ts", "../agent/ports.js"],
  ["src/coordinator/coordinator.ts", "@nats-io/jetstream"],
  ["src/coordinator/coordinator.ts", "node:fs/promises"],
  ["src/agent/agent.ts", "../coordinator/coordinator.js"],
  ["src/agent/agent.ts", "./../coordinator/coordinator.js"],
  ["src/agent/agent.ts", "../base/../coordinator/coordinator.js"],
  ["src/agent/agent.ts", "node:child_process"],
  ["src/agent/adapters/files.ts", "../../coordinator/coordinator.js"],
  ["src/api/service.ts", "../coordinator/coordinator.js"],
  ["src/api/service.ts", "../agent/agent.js"],
  ["src/backup/restore.ts", "../coordinator/coordinator.js"],
  ["src/nats-server/fetch.ts", "../runtime/actor.js"],
  ["src/simulator/fleet.ts", "../../machines/deployment.js"],
  ["src/simulator/fleet.ts", "xstate"],
  ["src/simulator/fleet.ts", "../agent/adapters/processes.js"],
  ["src/index.ts", "./cli/main.js"],
  ["src/cli/main.ts", "../../test/kit/eventually.js"],
];

describe("imports run one way", () => {
  test("what the design allows passes", () => {
    const { passed, output } = lint(allowed);
    expect(passed, output).toBe(true);
  });

  test.each(forbidden)("%s may not import %s", (file, specifier) => {
    expectRefused({ ...allowed, [file]: importing(specifier) }, "style/noRestrictedImports");
  });

  test.each([
    'export { member } from "../coordinator/member.js";\n',
    'export const member = await import("../coordinator/member.js");\n',
    'import type { Member } from "../coordinator/member.js";\n\nexport const member: Member = {};\n',
  ])("in whatever way it is written: %s", (text) => {
    expectRefused({ ...allowed, "src/agent/agent.ts": text }, "style/noRestrictedImports");
  });

  const areas = readdirSync(join(root, "src"), { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  );
  test.each(areas.map((area) => area.name).filter((name) => name !== "cli"))(
    "src/%s has its directions: it may not import the command line",
    (name) => {
      expectRefused({ [`src/${name}/planted.ts`]: importing("../cli/main.js") }, "style/noRestrictedImports");
    },
  );

  // Pure functions that a machine may call; the rest of contracts is parsing, which is a host's.
  const pureFiles = [
    "app-limits.js",
    "app-status.js",
    "duration.js",
    "errors.js",
    "keys.js",
    "rollout-lint.js",
    "selector.js",
    "version.js",
  ];

  test(`machines take only types from contracts, apart from ${pureFiles.join(", ")}`, () => {
    const imports = sourcesIn("machines").flatMap(({ path, text }) =>
      (text.match(/^(?:import|export)\b[^;]*?\bfrom "[^"]*";/gm) ?? [])
        .filter(
          (statement) => statement.includes("/contracts/") && !/^(?:import|export) type /.test(statement),
        )
        .filter((statement) => !pureFiles.some((file) => statement.endsWith(`/contracts/${file}";`)))
        .map((statement) => `${path}: ${statement}`),
    );
    expect(imports).toEqual([]);
  });
});

describe("imports make no cycle", () => {
  const a = 'import { b } from "./b.js";\n\nexport const a = (): unknown => b;\n';
  const b = "export const b = 1;\n";

  test("of two files", () => {
    expect(lint({ "src/runtime/a.ts": a, "src/runtime/b.ts": b }).passed).toBe(true);
    const back = 'import { a } from "./a.js";\n\nexport const b = a;\n';
    expectRefused({ "src/runtime/a.ts": a, "src/runtime/b.ts": back }, "suspicious/noImportCycles");
  });

  test("of three files, closed by a type", () => {
    const on = 'import { c } from "./c.js";\n\nexport const b = c;\n';
    const back = 'import type { a } from "./a.js";\n\nexport const c = (one: typeof a): unknown => one;\n';
    expectRefused(
      { "machines/a.ts": a, "machines/b.ts": on, "machines/c.ts": back },
      "suspicious/noImportCycles",
    );
  });
});

describe("the house style is enforced", () => {
  const planted: readonly (readonly [what: string, rule: string, file: string, text: string])[] = [
    ["a default export", "style/noDefaultExport", "src/base/planted.ts", "export default 1;\n"],
    ["an enum", "style/noEnum", "src/base/planted.ts", "export enum Color {\n  Red,\n}\n"],
    [
      "any",
      "suspicious/noExplicitAny",
      "src/base/planted.ts",
      "export const planted = new Map<string, any>();\n",
    ],
    [
      "a barrel file",
      "performance/noBarrelFile",
      "src/base/planted.ts",
      'export { assert } from "./assert.js";\n',
    ],
    [
      "a value import of a type",
      "style/useImportType",
      "src/base/planted.ts",
      'import { Log } from "./ports.js";\n\nexport const planted = (log: Log): Log => log;\n',
    ],
    [
      "an unused import",
      "correctness/noUnusedImports",
      "src/base/planted.ts",
      'import { a } from "./a.js";\n',
    ],
    ["an unused variable", "correctness/noUnusedVariables", "src/base/planted.ts", "const planted = 1;\n"],
    [
      "a promise that nobody awaits",
      "nursery/noFloatingPromises",
      "src/base/planted.ts",
      "async function work(): Promise<void> {\n  await Promise.resolve();\n}\n\nexport function planted(): void {\n  work();\n}\n",
    ],
    ["console output", "suspicious/noConsole", "src/base/planted.ts", 'console.log("planted");\n'],
    [
      "a name that is not kebab-case",
      "style/useFilenamingConvention",
      "src/base/plantedFile.ts",
      "export const a = 1;\n",
    ],
    [
      "a skipped test",
      "suspicious/noSkippedTests",
      "test/planted.test.ts",
      'xit("nothing", () => undefined);\n',
    ],
  ];

  test.each(planted)("%s fails by %s", (_what, rule, file, text) => {
    expectRefused({ [file]: text }, rule);
  });

  test.each([
    ["Date.now()", "style/noRestrictedGlobals"],
    ["new Date()", "style/noRestrictedGlobals"],
    ["setTimeout(String, 1)", "style/noRestrictedGlobals"],
    ["setInterval(String, 1)", "style/noRestrictedGlobals"],
    ["fetch(String())", "style/noRestrictedGlobals"],
    ["performance.now()", "style/noRestrictedGlobals"],
    ["globalThis.performance", "style/noRestrictedGlobals"],
    ["Math.random()", "nursery/noJsRestrictedProperties"],
  ])("%s in a machine fails by %s", (expression, rule) => {
    expectRefused({ "machines/planted.ts": `export const planted = (): unknown => ${expression};\n` }, rule);
  });
});
