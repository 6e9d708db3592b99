import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, expect, test } from "vitest";
import { findFreePort } from "../../src/base-node/free-port.js";
import { type AppState, appReportSchema } from "../../src/contracts/app-report.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { startClient, startPlane } from "../kit/control-plane.js";
import { eventually } from "../kit/eventually.js";
import { withNats } from "../kit/nats.js";
import { makeTempDir } from "../kit/temp-dir.js";

/** The example of the SDK, as it is built, beside a real NATS server. */

const fleet = "default";
const host = resolve("dist/examples/plugin-host/host.js");
const nats = withNats();
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** Starts the example; the files of its apps are these. */
async function startHost(folder: string, cwd: string) {
  const port = await findFreePort();
  const { user, password } = nats().credentials;
  const url = nats().url.replace("nats://", `nats://${user}:${password}@`);
  const env = { ...process.env, NATS_URL: url, APPS: folder, PORT: String(port) };
  const child = spawn(process.execPath, [host, "web-1"], {
    cwd,
    env,
    stdio: ["ignore", "inherit", "inherit"],
  });
  children.push(child);
  const stateOf = async (app: string): Promise<AppState | undefined> => {
    const answer = (await (await fetch(`http://127.0.0.1:${port}`)).json()) as { apps: AppState[] };
    return answer.apps.find((state) => state.app === app);
  };
  return { child, stateOf };
}

test("the example embeds the SDK in thirty lines", () => {
  const lines = readFileSync("examples/plugin-host/host.ts", "utf8").trimEnd().split("\n");
  expect(lines.length).toBeLessThanOrEqual(30);
});

test("an instance of the example does what is asked, contains what its apps do to themselves, and starts again as it was", async () => {
  const plane = await startPlane(nats());
  const { bus, client } = await startClient(nats());
  const add = (app: string) =>
    client.apps.add({ app, version: "1.0.0", desiredStatus: "enabled", by: "ann" });
  const reports: unknown[] = [];
  bus.subscribe(subjectsOf(fleet).apps("web-1"), ({ data }) =>
    reports.push(JSON.parse(new TextDecoder().decode(data))),
  );

  const folder = makeTempDir();
  const write = (app: string, text: string): void => {
    mkdirSync(join(folder, app, "1.0.0"), { recursive: true });
    writeFileSync(join(folder, app, "1.0.0", "index.mjs"), text);
  };
  write("hello", readFileSync("examples/plugin-host/apps/hello/1.0.0/index.mjs", "utf8"));
  write("broken", "export function enable() { let x = ; }");
  write("crashing", "export function enable() { setTimeout(() => { throw new Error('so it is'); }, 10); }");

  // Asked before the instance is there, and while it is.
  await add("hello");
  const cwd = makeTempDir();
  const first = await startHost(folder, cwd);
  await eventually(async () => expect((await first.stateOf("hello"))?.initStatus).toBe("auto_enabled"));
  await add("broken");
  await add("crashing");
  await eventually(async () => {
    const broken = await first.stateOf("broken");
    expect(broken?.initStatus).toBe("compiler_error_disabled");
    expect(broken?.reason?.message).toContain("index.mjs:1");
    return true;
  });
  await eventually(async () => expect((await first.stateOf("crashing"))?.attempts).toBeGreaterThan(1));
  expect((await first.stateOf("hello"))?.initStatus).toBe("auto_enabled");
  const { sentence } = await client.apps.why({ app: "broken", instance: "web-1" });
  expect(sentence).toContain("does not compile");
  await client.apps.uninstall({ app: "crashing" });
  await eventually(async () => expect((await first.stateOf("crashing"))?.installed ?? false).toBe(false));
  expect(reports.map((report) => appReportSchema.safeParse(report).success)).not.toContain(false);

  first.child.kill("SIGKILL");
  await once(first.child, "exit");
  await client.apps.disable({ app: "hello" });
  const second = await startHost(folder, cwd);
  await eventually(async () => expect((await second.stateOf("hello"))?.initStatus).toBe("disabled"));
  await client.apps.enable({ app: "hello" });
  await eventually(async () => expect((await second.stateOf("hello"))?.initStatus).toBe("manually_enabled"));

  // Without NATS it starts with what was asked last.
  second.child.kill("SIGTERM");
  expect(await once(second.child, "exit")).toEqual([0, null]);
  await plane.stop();
  await nats().kill9();
  const third = await startHost(folder, cwd);
  await eventually(async () => expect((await third.stateOf("hello"))?.initStatus).toBe("auto_enabled"));
});
