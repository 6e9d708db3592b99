import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, expect, test } from "vitest";
import type { Leadership } from "../../src/base/ports.js";
import { findFreePort } from "../../src/base-node/free-port.js";
import { connectNatsBus } from "../../src/bus/nats-bus.js";
import type { DesiredApp, DesiredStatus } from "../../src/contracts/app.js";
import { type AppState, appReportSchema } from "../../src/contracts/app-report.js";
import { keys } from "../../src/contracts/keys.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { openNatsLedger } from "../../src/ledger/nats-ledger.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { eventually } from "../kit/eventually.js";
import { withNats } from "../kit/nats.js";
import { quietLog } from "../kit/quiet-log.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { desiredApp } from "../machines/app-samples.js";

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

/** Writes what is asked, as a leader does. */
class Administrator {
  readonly #leadership: Leadership;
  readonly #ledgerId: string;
  readonly #apps: Record<string, number> = {};
  #generation = 0;

  constructor(leadership: Leadership, ledgerId: string) {
    this.#leadership = leadership;
    this.#ledgerId = ledgerId;
  }

  async ask(app: string, desiredStatus: DesiredStatus, change: { version?: string } = {}): Promise<void> {
    const generation = (this.#apps[app] ?? 0) + 1;
    this.#apps[app] = generation;
    const ledgerId = this.#ledgerId;
    const appsGeneration = ++this.#generation;
    const state: DesiredApp = desiredApp(generation, desiredStatus, {
      app,
      appsGeneration,
      ledgerId,
      ...change,
    });
    const list = { format: 1, ledgerId, epoch: 1, generation: appsGeneration, apps: this.#apps };
    const event = {
      kind: "app",
      id: app,
      type: "app.changed",
      data: {},
      actor: "user:test",
      cause: "request:1",
    };
    await this.#leadership.commit({
      events: [event],
      puts: [
        { key: keys.desiredApp(app), value: state },
        { key: keys.desiredApps, value: list },
      ],
      deletes: [],
    });
  }
}

test("the example embeds the SDK in thirty lines", () => {
  const lines = readFileSync("examples/plugin-host/host.ts", "utf8").trimEnd().split("\n");
  expect(lines.length).toBeLessThanOrEqual(30);
});

test("an instance of the example does what is asked, contains what its apps do to themselves, and starts again as it was", async () => {
  const { user, password } = nats().credentials;
  const [clock, random] = [createRealClock(), createRealRandom()];
  const servers = nats().url;
  const bus = await connectNatsBus({ servers, user, pass: password, name: "leader", clock, log: quietLog });
  const ledger = await openNatsLedger({ fleet, bus, clock, random, log: quietLog });
  const leadership = await ledger.acquire({ holder: "test", leaseMs: 60_000 });
  if (!("commit" in leadership)) throw new Error("somebody else leads");
  const administrator = new Administrator(leadership, ledger.ledgerId);
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
  await administrator.ask("hello", "enabled");
  const cwd = makeTempDir();
  const first = await startHost(folder, cwd);
  await eventually(async () => expect((await first.stateOf("hello"))?.initStatus).toBe("auto_enabled"));
  await administrator.ask("broken", "enabled");
  await administrator.ask("crashing", "enabled");
  await eventually(async () => {
    const broken = await first.stateOf("broken");
    expect(broken?.initStatus).toBe("compiler_error_disabled");
    expect(broken?.reason?.message).toContain("index.mjs:1");
    return true;
  });
  await eventually(async () => expect((await first.stateOf("crashing"))?.attempts).toBeGreaterThan(1));
  expect((await first.stateOf("hello"))?.initStatus).toBe("auto_enabled");
  await administrator.ask("crashing", "uninstalled");
  await eventually(async () => expect((await first.stateOf("crashing"))?.installed).toBe(false));
  expect(reports.map((report) => appReportSchema.safeParse(report).success)).not.toContain(false);

  first.child.kill("SIGKILL");
  await once(first.child, "exit");
  await administrator.ask("hello", "disabled");
  const second = await startHost(folder, cwd);
  await eventually(async () => expect((await second.stateOf("hello"))?.initStatus).toBe("disabled"));
  await administrator.ask("hello", "enabled");
  await eventually(async () => expect((await second.stateOf("hello"))?.initStatus).toBe("manually_enabled"));

  // Without NATS it starts with what was asked last.
  second.child.kill("SIGTERM");
  expect(await once(second.child, "exit")).toEqual([0, null]);
  await ledger.close();
  await bus.close();
  await nats().kill9();
  const third = await startHost(folder, cwd);
  await eventually(async () => expect((await third.stateOf("hello"))?.initStatus).toBe("auto_enabled"));
});
