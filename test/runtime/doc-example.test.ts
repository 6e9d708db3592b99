import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterEach, expect, test } from "vitest";
import { connectNatsBus } from "../../src/bus/nats-bus.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { eventually, eventuallyPasses } from "../kit/eventually.js";
import { withNats } from "../kit/nats.js";
import { quietLog } from "../kit/quiet-log.js";
import { makeTempDir } from "../kit/temp-dir.js";

const root = resolve(import.meta.dirname, "../..");
const nats = withNats();
const running: ChildProcess[] = [];

afterEach(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
});

/** The first program of a page. */
function exampleIn(page: string): string {
  const block = /```ts\n(.*?)```/s.exec(readFileSync(join(root, page), "utf8"));
  if (block?.[1] === undefined) throw new Error(`${page} has no program`);
  return block[1];
}

/** The package's public surface, from the sources. */
const packageEntry = `export * from ${JSON.stringify(join(root, "src/index.ts"))};\n`;

/** A folder of a user who has installed rollcall, xstate and pino. */
function userFolder(program: string): string {
  const dir = makeTempDir();
  const modules = join(dir, "node_modules");
  mkdirSync(join(modules, "rollcall"), { recursive: true });
  for (const name of ["xstate", "pino", "@types"])
    symlinkSync(join(root, "node_modules", name), join(modules, name));
  writeFileSync(
    join(modules, "rollcall/package.json"),
    '{"name":"rollcall","type":"module","exports":"./index.ts"}',
  );
  writeFileSync(join(modules, "rollcall/index.ts"), packageEntry);
  writeFileSync(join(dir, "package.json"), '{"type":"module"}');
  writeFileSync(join(dir, "light.ts"), program);
  const { compilerOptions } = JSON.parse(readFileSync(join(root, "tsconfig.json"), "utf8"));
  const options = { ...compilerOptions, rootDir: "/", noEmit: true, allowImportingTsExtensions: true };
  writeFileSync(
    join(dir, "tsconfig.json"),
    JSON.stringify({ compilerOptions: options, include: ["light.ts"] }),
  );
  return dir;
}

test("the program of docs/runtime.md is short, compiles, and its light changes over NATS", async () => {
  const program = exampleIn("docs/runtime.md");
  expect(program.split("\n").filter((line) => line.trim() !== "").length).toBeLessThanOrEqual(25);
  const dir = userFolder(program);
  await promisify(execFile)(join(root, "node_modules/.bin/tsc"), ["-p", dir]);

  const { url, credentials } = nats();
  const clock = createRealClock();
  const bus = await connectNatsBus({
    servers: url,
    user: credentials.user,
    pass: credentials.password,
    name: "test",
    clock,
    log: quietLog,
  });
  const heard: string[] = [];
  const inspected: { value: string }[] = [];
  const subjects = subjectsOf("default");
  bus.subscribe("crossing.main.lamp", ({ data }) => heard.push(new TextDecoder().decode(data)));
  bus.subscribe(subjects.actorInspect("light", "main"), ({ data }) =>
    inspected.push(JSON.parse(new TextDecoder().decode(data))),
  );
  await bus.flush();

  const withCredentials = url.replace("//", `//${credentials.user}:${credentials.password}@`);
  const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), "light.ts"], {
    cwd: dir,
    env: { ...process.env, NATS_URL: withCredentials },
    stdio: ["ignore", "ignore", "inherit"],
  });
  running.push(child);

  const state = await eventually(async () => {
    const answer = await bus.request(subjects.actorState("light", "main"), '{"watchMs":60000}', {
      timeoutMs: 1_000,
    });
    return JSON.parse(new TextDecoder().decode(answer.data));
  });
  expect(state).toMatchObject({
    kind: "light",
    id: "main",
    node: "crossing",
    value: "red",
    phase: "running",
  });
  bus.publish("crossing.main.button", "");
  await eventuallyPasses(() => expect(heard).toEqual(["red", "green", "red"]));
  await eventuallyPasses(() => expect(inspected.map(({ value }) => value)).toEqual(["soon", "green", "red"]));
  await bus.close();
});
