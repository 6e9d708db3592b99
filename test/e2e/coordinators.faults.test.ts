import { afterAll, beforeAll, expect, test } from "vitest";
import type { ReplyOf } from "../../src/contracts/api.js";
import type { CoordinatorView } from "../../src/contracts/views.js";
import { type Client, connectNatsBus, createClient, type NatsBus } from "../../src/index.js";
import { envOf } from "../cli/run-cli.js";
import { eventually } from "../kit/eventually.js";
import { withNats } from "../kit/nats.js";
import { makeService } from "./service.js";
import { type Running, World } from "./world.js";

const nats = withNats();
const world = new World();
const testMaxMs = 120_000;
const names = ["c1", "c2", "c3"] as const;
const leaseMs = 3_000;
/** The lease, the server's lateness, the next look of a follower, and a busy machine. */
const takeoverMaxMs = leaseMs + 4_000;
/** 0.3 s to the second sending, 0.15 s that followers leave the leader, and a busy machine. */
const answeredWithinMs = 1_800;

const running = new Map<string, Running>();
let bus: NatsBus;
let client: Client;

const env = () => envOf(nats());

async function start(name: string): Promise<void> {
  running.set(
    name,
    await world.start(["coordinator", "--name", name, "--log-level", "info"], { env: env() }),
  );
}

async function coordinators(): Promise<readonly CoordinatorView[]> {
  return (await client.coordinators.list()).items;
}

/** The one that leads and answers. */
async function leader(): Promise<string> {
  return await eventually(
    async () => (await coordinators()).find(({ role, doing }) => role === "leading" && doing === "leads")?.id,
  );
}

/** Waits until all three are as they should be in calm times. @returns the one that leads */
async function calm(): Promise<string> {
  return await eventually(
    async () => {
      const all = await coordinators();
      const how = all.map(({ doing }) => doing).toSorted();
      return how.join() === "caught up,caught up,leads" && all.find(({ role }) => role === "leading")?.id;
    },
    { withinMs: 60_000 },
  );
}

function processOf(name: string): Running {
  const found = running.get(name);
  if (found === undefined) throw new Error(`no coordinator ${name}`);
  return found;
}

const logOf = (name: string) => processOf(name).stdout() + processOf(name).stderr();

async function run(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await world.run(args, { env: env() });
  if (code !== 0) throw new Error(`rollcall ${args.join(" ")} ended with ${code}:\n${stdout}\n${stderr}`);
  return stdout;
}

function deploy(release: string, ...more: string[]): Promise<Running> {
  const args = ["deploy", "--release", release, "--all", "--wait", "--timeout", "90s", ...more];
  return world.start(args, { env: env() });
}

/** Asks for a while. @returns how long the slowest answer took */
async function slowestMs(count: number): Promise<number> {
  let slowest = 0;
  for (let asked = 0; asked < count; asked++) {
    const startedMs = performance.now();
    await client.status.get();
    slowest = Math.max(slowest, performance.now() - startedMs);
  }
  return slowest;
}

beforeAll(async () => {
  const { user, password } = nats().credentials;
  bus = await connectNatsBus({ servers: nats().url, user, pass: password });
  client = createClient({ bus, fleet: "default" });
  for (const name of names) await start(name);
  await world.startAgent(["web-1", "web-2", "web-3"], ["--stop-processes"], { env: env() });
  await eventually(async () => (await client.instances.list()).items.length === 3, { withinMs: 60_000 });
  await run("releases", "push", "v1", makeService({ content: "1" }));
  await run("releases", "push", "v2", makeService({ content: "2" }));
  await run("deploy", "--release", "v1", "--all", "--batch", "3", "--wait", "--timeout", "90s");
}, testMaxMs);

afterAll(async () => {
  for (const { child } of running.values()) child.kill("SIGCONT");
  await bus.close();
});

test(
  "of three one leads, the others follow and answer as well: each says so of itself",
  async () => {
    const leads = await calm();
    const shown = JSON.parse(await run("coordinators", "ls", "--json")) as ReplyOf<"coordinators.list">;
    expect(shown.items.map(({ id }) => id)).toEqual([...names]);
    for (const { id, role, epoch, renewedAtMs, doing } of shown.items) {
      if (id === leads) expect([role, epoch, doing]).toEqual(["leading", shown.epoch, "leads"]);
      else expect([role, epoch, renewedAtMs, doing]).toEqual(["following", null, null, "caught up"]);
      if (id === leads) expect(shown.asOf - (renewedAtMs ?? 0)).toBeLessThan(leaseMs);
    }
    const answering = new Set<string>();
    await eventually(async () => {
      const { copy, instances } = await client.status.get();
      expect(instances).toMatchObject({ total: 3, HEALTHY: 3 });
      answering.add(copy?.of ?? leads);
      return answering.size === 3;
    });
  },
  testMaxMs,
);

test(
  "SIGTERM hands over at once, and the roll-out under way goes on",
  async () => {
    const before = await calm();
    const deploying = await deploy("v2", "--batch", "1", "--min-healthy", "1s");
    await eventually(() => deploying.stdout().includes("done, v2 HEALTHY"));
    const startedMs = performance.now();
    const ending = processOf(before).end();
    const after = await eventually(async () => {
      const now = await leader();
      return now !== before && now;
    });
    expect(performance.now() - startedMs).toBeLessThan(leaseMs);
    expect((await ending).code).toBe(0);
    expect(after).not.toBe(before);
    expect((await deploying.ended).code).toBe(0);
    await start(before);
  },
  testMaxMs,
);

test(
  "after SIGKILL another leads when the lease has ended, and the roll-out under way goes on",
  async () => {
    const before = await calm();
    const deploying = await deploy("v1", "--batch", "1", "--min-healthy", "1s");
    await eventually(() => deploying.stdout().includes("done, v1 HEALTHY"));
    const startedMs = performance.now();
    await processOf(before).kill9();
    await eventually(async () => (await leader()) !== before);
    expect(performance.now() - startedMs).toBeLessThan(takeoverMaxMs);
    expect((await deploying.ended).code).toBe(0);
    const { items } = await client.deployments.list();
    expect(items.map(({ spec, outcome }) => [spec.release, outcome])).toEqual([
      ["v1", "completed"],
      ["v2", "completed"],
      ["v1", "completed"],
    ]);
    await start(before);
  },
  testMaxMs,
);

test(
  "a follower that is stopped swallows nothing",
  async () => {
    const leads = await calm();
    const follower = names.find((name) => name !== leads) ?? "";
    processOf(follower).child.kill("SIGSTOP");
    expect(await slowestMs(30)).toBeLessThan(answeredWithinMs);
    processOf(follower).child.kill("SIGCONT");
    await calm();
  },
  testMaxMs,
);

test(
  "a leader that is stopped for longer than its lease swallows nothing, wakes up deposed, says so, and follows",
  async () => {
    const before = await calm();
    const count = (await client.deployments.list()).items.length;
    processOf(before).child.kill("SIGSTOP");
    const deploying = await deploy("v2", "--batch", "3");
    expect(await slowestMs(5)).toBeLessThan(answeredWithinMs);
    expect(await coordinators()).toContainEqual(
      expect.objectContaining({
        id: before,
        role: "leading",
        doing: expect.stringMatching(/^does not answer/),
      }),
    );
    await eventually(async () => (await leader()) !== before);
    expect((await deploying.ended).code).toBe(0);
    processOf(before).child.kill("SIGCONT");
    await calm();
    expect(logOf(before)).toContain("this coordinator steps down");
    expect((await coordinators()).find(({ id }) => id === before)).toMatchObject({ role: "following" });
    const { items } = await client.deployments.list();
    expect([items.length, items[0]?.outcome, items[0]?.spec.release]).toEqual([count + 1, "completed", "v2"]);
  },
  testMaxMs,
);
