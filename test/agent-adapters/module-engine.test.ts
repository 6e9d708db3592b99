import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { createModuleEngine } from "../../src/agent/adapters/module-engine.js";
import type { AppEngine, AppToRun } from "../../src/agent/app-engine.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { eventuallyPasses } from "../kit/eventually.js";
import { quietLog } from "../kit/quiet-log.js";
import { makeTempDir } from "../kit/temp-dir.js";

const never = new AbortController().signal;
// On a busy machine also a thread that is well takes its time.
const patient = { pingEveryMs: 50, graceMs: 300, memoryMaxMb: 24 };
const made: { engine: AppEngine; app: AppToRun }[] = [];

afterEach(async () => {
  for (const { engine, app } of made.splice(0)) await engine.uninstall(app, never);
});

/** An engine over one app of these files, and what has ended by itself. */
function engineOf(files: Record<string, string>, change: Partial<AppToRun> = {}, pingMaxMs = 60_000) {
  const folder = makeTempDir();
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const engine = createModuleEngine({
    folder,
    clock: createRealClock(),
    log: quietLog,
    ...patient,
    pingMaxMs,
  });
  const app: AppToRun = { app: "mail", version: "1.0.0", source: "mail", settings: {}, ...change };
  const ended: string[] = [];
  engine.onEnded?.((_, why) => ended.push(String(why)));
  made.push({ engine, app });
  return { engine, app, ended, folder };
}

const main = "mail/index.mjs";

async function run({ engine, app }: Pick<ReturnType<typeof engineOf>, "engine" | "app">): Promise<void> {
  await engine.install(app, never);
  await engine.initialize(app, never);
  await engine.enable(app, never);
}

describe("an app that is a module", () => {
  test("is loaded, gets its settings, runs, and is gone when it is disabled", async () => {
    const text = `
      import { writeFileSync } from "node:fs";
      export function initialize({ settings }) { writeFileSync(settings.file, "initialized"); }
      export async function enable({ app, version, settings }) { writeFileSync(settings.file, app + version); }
      export function disable({ settings }) { writeFileSync(settings.file, "disabled"); }
    `;
    const file = join(makeTempDir(), "said");
    const { readFileSync } = await import("node:fs");
    const made = engineOf({ [main]: text }, { settings: { file } });
    await made.engine.install(made.app, never);
    await made.engine.initialize(made.app, never);
    expect(readFileSync(file, "utf8")).toBe("initialized");
    await made.engine.enable(made.app, never);
    expect(readFileSync(file, "utf8")).toBe("mail1.0.0");
    await made.engine.disable(made.app, never);
    expect(readFileSync(file, "utf8")).toBe("disabled");
    await made.engine.disable(made.app, never);
    expect(made.ended).toEqual([]);
  });

  test("is loaded anew each time, also in another version", async () => {
    const made = engineOf({ [main]: "export function enable() { throw new Error('first'); }" });
    await expect(run(made)).rejects.toThrow("first");
    writeFileSync(join(made.folder, main), "export const nothing = 1;");
    await run(made);
  });

  test.each([
    [
      "a syntax error",
      { [main]: "export function enable() {\n  let x = ;\n}" },
      "compiler",
      /Unexpected token.*index\.mjs:2/,
    ],
    [
      "an import that does not exist",
      { [main]: 'import { nope } from "node:fs"; nope();' },
      "compiler",
      /nope/,
    ],
    [
      "a syntax error elsewhere",
      { [main]: 'import "./b.mjs";', "mail/b.mjs": "let" },
      "compiler",
      /Unexpected/,
    ],
    ["no module", { "mail/readme.md": "" }, "installation", /has no module/],
    ["no folder", {}, "installation", /there is no folder/],
    ["a missing dependency", { [main]: 'import "left-pad";' }, "installation", /left-pad/],
    [
      "a package.json that is none",
      { [main]: "", "mail/package.json": "{" },
      "installation",
      /package\.json/,
    ],
    ["what it throws", { [main]: "JSON.parse('{')" }, "error", /JSON/],
    [
      "what it says",
      {
        [main]:
          "export function initialize() { throw Object.assign(new Error('old'), { failure: 'license' }); }",
      },
      "license",
      /old/,
    ],
    [
      "settings that it does not like",
      {
        [main]:
          "export function initialize() { throw Object.assign(new Error('no host'), { failure: 'settings' }); }",
      },
      "settings",
      /no host/,
    ],
  ] as const)("fails by %s", async (_, files, failure, message) => {
    await expect(run(engineOf(files as Record<string, string>))).rejects.toMatchObject({
      failure,
      message: expect.stringMatching(message),
    });
  });

  test("may not lie outside of the folder", async () => {
    const made = engineOf({}, { source: "../elsewhere" });
    await expect(made.engine.install(made.app, never)).rejects.toThrow("leads out");
  });

  test("is found by its package.json, or by its name and version", async () => {
    const files = { "mail/2.0.0/package.json": '{"main": "lib/a.mjs"}', "mail/2.0.0/lib/a.mjs": "" };
    await run(engineOf(files, { source: null, version: "2.0.0" }));
  });
});

describe("what an app does to itself it does to nobody else", () => {
  test.each([
    ["throws later", "setTimeout(() => { throw new Error('later'); }, 20)", /later/],
    ["rejects later", "setTimeout(() => Promise.reject(new Error('unheard')), 20)", /unheard/],
    ["ends its process", "setTimeout(() => process.exit(3), 20)", /exit code 3/],
    ["loops for ever", "setTimeout(() => { for (;;); }, 20)", /endless loop/],
    [
      "eats memory",
      "setTimeout(() => { const all = []; for (;;) all.push(new Array(1e5).fill(1.5)); }, 20)",
      /memory/,
    ],
  ])("one that %s is reported", async (_, text, why) => {
    const isLoop = text.includes("for (;;); ");
    const made = engineOf({ [main]: `export function enable() { ${text}; }` }, {}, isLoop ? 500 : 60_000);
    await run(made);
    await eventuallyPasses(() => expect(made.ended).toEqual([expect.stringMatching(why)]));
    // It can be started again.
    await made.engine.disable(made.app, never);
    await run(made);
  });

  test.each(["initialize", "enable"])("an endless loop in %s ends when it is told to", async (verb) => {
    const made = engineOf({ [main]: `export function ${verb}() { for (;;); }` });
    const abort = new AbortController();
    const running = (async () => {
      await made.engine.initialize(made.app, abort.signal);
      await made.engine.enable(made.app, abort.signal);
    })();
    const timer = setTimeout(() => abort.abort(), 500);
    await expect(running).rejects.toThrow("it was ended in the middle of");
    clearTimeout(timer);
    await made.engine.disable(made.app, never);
    expect(made.ended).toEqual([]);
  });

  test("one that does not disable itself is ended all the same", async () => {
    const made = engineOf({ [main]: "export function disable() { for (;;); }" });
    await run(made);
    await made.engine.disable(made.app, never);
    expect(made.ended).toEqual([]);
  });
});
