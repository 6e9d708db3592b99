import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { createProcessEngine } from "../../src/agent/adapters/process-engine.js";
import { createProcesses, type RealProcesses } from "../../src/agent/adapters/processes.js";
import type { AppToRun } from "../../src/agent/app-engine.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { eventually, eventuallyPasses } from "../kit/eventually.js";
import { quietLog } from "../kit/quiet-log.js";
import { makeTempDir } from "../kit/temp-dir.js";

const never = new AbortController().signal;
const clock = createRealClock();
const opened: RealProcesses[] = [];

afterEach(async () => {
  for (const processes of opened.splice(0)) {
    for (const { identity } of await processes.owned())
      await processes.stop(identity, { signal: "SIGKILL", graceMs: 0 });
    processes.close();
  }
});

function engineOf(files: Record<string, string>, { dataDir = makeTempDir(), settleMs = 300 } = {}) {
  const folder = makeTempDir();
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const processes = createProcesses({ dataDir, clock, random: createRealRandom(), log: quietLog });
  opened.push(processes);
  const engine = createProcessEngine({ folder, processes, clock, settleMs });
  const ended: string[] = [];
  engine.onEnded?.((_, why) => ended.push(String(why)));
  const said = join(makeTempDir(), "said");
  const app: AppToRun = { app: "mail", version: "1.0.0", source: "mail", settings: { said } };
  return { engine, app, ended, processes, said, dataDir };
}

const manifest = JSON.stringify({ start: ["node", "main.mjs"], env: { COLOUR: "red" } });
const says = `
  import { writeFileSync } from "node:fs";
  const { ROLLCALL_APP, ROLLCALL_APP_VERSION, ROLLCALL_APP_SETTINGS, COLOUR } = process.env;
  writeFileSync(JSON.parse(ROLLCALL_APP_SETTINGS).said, [ROLLCALL_APP, ROLLCALL_APP_VERSION, COLOUR].join(" "));
  setInterval(() => undefined, 1_000);
`;
const exits = (code: number) => `console.log("so it is"); process.exit(${code});`;

test("an app that is a process gets its settings, runs, and is gone when it is disabled", async () => {
  const { engine, app, processes, said, ended } = engineOf({
    "mail/app.json": manifest,
    "mail/main.mjs": says,
  });
  await engine.install(app, never);
  await engine.initialize(app, never);
  await engine.enable(app, never);
  await eventuallyPasses(() => expect(readFileSync(said, "utf8")).toBe("mail 1.0.0 red"));
  expect(await processes.owned()).toHaveLength(1);
  await engine.disable(app, never);
  expect(await processes.owned()).toEqual([]);
  await engine.uninstall(app, never);
  expect(ended).toEqual([]);
});

test("what another life of this program has left running is ended", async () => {
  const files = { "mail/app.json": manifest, "mail/main.mjs": says };
  const first = engineOf(files);
  await first.engine.enable(first.app, never);
  const second = engineOf(files, { dataDir: first.dataDir });
  await second.engine.disable(second.app, never);
  expect(await second.processes.owned()).toEqual([]);
});

test.each([
  [1, "error"],
  [77, "license"],
  [78, "settings"],
])("one that exits with %i at once is of the cause %s, with what it said", async (code, failure) => {
  const files = { "mail/app.json": manifest, "mail/main.mjs": exits(code) };
  const { engine, app } = engineOf(files, { settleMs: 60_000 });
  await expect(engine.enable(app, never)).rejects.toMatchObject({
    failure,
    message: expect.stringContaining("so it is"),
  });
});

test("one that ends later is reported", async () => {
  const later = `setTimeout(() => { ${exits(1)} }, 600);`;
  const { engine, app, ended } = engineOf({ "mail/app.json": manifest, "mail/main.mjs": later });
  await engine.enable(app, never);
  await eventuallyPasses(() => expect(ended).toEqual([expect.stringContaining("exit code 1")]));
});

test.each([
  ["no app.json", {}, "is not valid"],
  ["another app.json", { "mail/app.json": '{"begin": "now"}' }, "is not valid"],
  ["no program", { "mail/app.json": '{"start": ["/none/at-all"]}' }, "START_FAILED"],
])("an app with %s is not installed", async (_, files, problem) => {
  const { engine, app } = engineOf({ "mail/readme.md": "", ...files } as Record<string, string>, {
    settleMs: 60_000,
  });
  const running = (async () => {
    await engine.install(app, never);
    await engine.enable(app, never);
  })();
  const failed = await running.catch((error: unknown) => error);
  expect(failed).toMatchObject({ failure: "installation" });
  if (problem !== "START_FAILED") expect(String(failed)).toContain(problem);
});

test("one that is not wanted any more while it comes up is ended", async () => {
  const files = { "mail/app.json": manifest, "mail/main.mjs": says };
  const { engine, app, processes } = engineOf(files, { settleMs: 60_000 });
  const abort = new AbortController();
  const enabling = engine.enable(app, abort.signal);
  await eventually(async () => expect(await processes.owned()).toHaveLength(1));
  abort.abort();
  await expect(enabling).rejects.toThrow("not wanted");
  await engine.disable(app, never);
  expect(await processes.owned()).toEqual([]);
});
