import { beforeAll, expect, test } from "vitest";
import type { ReplyOf } from "../../src/contracts/api.js";
import { eventually, eventuallyPasses } from "../kit/eventually.js";
import { processesIn } from "./left-processes.js";
import { factsAt, makeService, quickToFail } from "./service.js";
import { type Running, World } from "./world.js";

const world = new World();
const ids = ["web-1", "web-2", "web-3"];
const testMaxMs = 120_000;
let up: Running;
let agent: Running;

beforeAll(async () => {
  up = await world.up();
  agent = await world.agent(ids);
  await world.ok("releases", "push", "v1", makeService({ content: "1" }));
  await world.ok("releases", "push", "v2", makeService({ content: "2" }));
  const silent = { env: { HEALTH: "silent" }, healthCheck: quickToFail };
  await world.ok("releases", "push", "broken", makeService({ manifest: silent, content: "3" }));
  await world.ok(...deploy("v1", "--batch", "3"));
}, testMaxMs);

function deploy(release: string, ...more: string[]): string[] {
  return ["deploy", "--release", release, "--all", "--wait", "--timeout", "90s", ...more];
}

/** Begins a roll-out, one instance after the other, and resolves when the first one is done and the second on its way. */
async function halfRolledOut(release: string): Promise<{ id: string; deploying: Running }> {
  const deploying = await world.start(deploy(release, "--batch", "1", "--min-healthy", "1500ms"));
  const id = await eventually(() => /(d\d+): \S+ to 3 instances/.exec(deploying.stdout())?.[1]);
  await eventually(() => deploying.stdout().includes(`done, ${release} HEALTHY`));
  return { id, deploying };
}

async function pidOf(id: string): Promise<number> {
  return (await world.instance(id)).pid ?? 0;
}

function natsPid(): number {
  const servers = processesIn(world.dataDir).filter(({ command }) => command.includes("nats-server"));
  expect(servers).toHaveLength(1);
  return servers[0]?.pid ?? 0;
}

async function expectAllOn(release: string): Promise<void> {
  expect(
    (await world.instances()).map(({ id, status, running, stable }) => [
      id,
      status,
      running?.release,
      stable?.release,
    ]),
  ).toEqual(ids.map((id) => [id, "HEALTHY", release, release]));
}

test(
  "a NATS server that is killed in the middle of a roll-out is started again: the roll-out completes, and nothing acknowledged is lost",
  async () => {
    const { id, deploying } = await halfRolledOut("v2");
    const before = natsPid();
    await world.ok("releases", "push", "v3", makeService({ content: "pushed at the last moment" }));
    process.kill(before, "SIGKILL");
    expect((await deploying.ended).code).toBe(0);
    expect(natsPid()).not.toBe(before);
    await expectAllOn("v2");
    const deployments = await world.deployments();
    expect(deployments.map((one) => [one.id, one.outcome, one.counts.succeeded])).toEqual([
      [id, "completed", 3],
      ["d1", "completed", 3],
    ]);
    const releases = await world.json<ReplyOf<"releases.list">>("releases", "ls");
    expect(releases.items.map(({ version }) => version).sort()).toEqual(["broken", "v1", "v2", "v3"]);
  },
  testMaxMs,
);

test(
  "a control plane that is killed in the middle of a roll-out goes on with it when it is started again",
  async () => {
    const { id, deploying } = await halfRolledOut("v1");
    const [server, first] = [natsPid(), await pidOf("web-1")];
    await up.kill9();
    up = await world.up();
    expect(natsPid()).toBe(server);
    const { code, stdout } = await deploying.ended;
    expect([code, stdout]).toEqual([0, expect.stringContaining(`${id} completed: 3 of 3 run v1.`)]);
    await expectAllOn("v1");
    // What was done before was not done again.
    expect(await pidOf("web-1")).toBe(first);
    const shown = await world.json<ReplyOf<"deployments.get">>("deployments", "show", id);
    expect(shown.deployment).toMatchObject({ outcome: "completed", counts: { succeeded: 3, failed: 0 } });
  },
  testMaxMs,
);

test(
  "an agent that is killed leaves its services serving, and the next one takes them over as they are",
  async () => {
    const before = await world.instances();
    await agent.kill9();
    for (const { id, port, pid } of before)
      expect(await factsAt(port ?? 0)).toMatchObject({ instance: id, pid, release: "v1" });
    agent = await world.agent(ids);
    for (const { id, port, pid } of before) {
      const now = await world.until(id, ({ status }) => status === "HEALTHY");
      expect(now).toMatchObject({ port, pid, restarts: 0, running: { release: "v1" } });
    }
    // It is theirs again: an update reaches them.
    await world.ok(...deploy("v2", "--batch", "3"));
    await expectAllOn("v2");
  },
  testMaxMs,
);

test(
  "an agent without any NATS runs what it ran last, and what it does meanwhile is known once there is NATS again",
  async () => {
    const [kept, lost] = [await world.instance("web-1"), await world.instance("web-2")];
    await agent.kill9();
    process.kill(lost.pid ?? 0, "SIGKILL");
    const { url, user, password } = world.context();
    expect((await up.end()).code).toBe(0);
    const env = { NATS_URL: url, NATS_USER: user ?? "", NATS_PASSWORD: password ?? "" };
    agent = await world.startAgent(ids, ["--stop-processes"], { env });
    const started = await eventually(() => factsAt(lost.port ?? 0));
    expect(started).toMatchObject({ instance: "web-2", release: "v2", content: "2" });
    expect(started.pid).not.toBe(lost.pid);
    expect((await factsAt(kept.port ?? 0)).pid).toBe(kept.pid);
    up = await world.up();
    const known = await world.until("web-2", ({ status }) => status === "HEALTHY");
    expect(known).toMatchObject({ pid: started.pid, running: { release: "v2" } });
    await expectAllOn("v2");
  },
  testMaxMs,
);

test(
  "a service that ends is started again, until it has ended too often; a reset tries it again",
  async () => {
    const before = await world.instance("web-3");
    process.kill(before.pid ?? 0, "SIGKILL");
    const again = await world.until(
      "web-3",
      ({ pid, status }) => status === "HEALTHY" && pid !== null && pid !== before.pid,
    );
    expect(again).toMatchObject({ restarts: 1, port: before.port, running: { release: "v2" } });
    process.kill(again.pid ?? 0, "SIGKILL");
    const failed = await world.until("web-3", ({ status }) => status === "FAILED");
    expect(failed.reason).toMatchObject({
      code: "PROCESS_EXITED",
      message: expect.stringMatching(/ended with signal SIGKILL and was restarted 1 times? without success/),
    });
    await world.ok("instances", "reset", "web-3");
    await world.until("web-3", ({ status, running }) => status === "HEALTHY" && running?.release === "v2");
  },
  testMaxMs,
);

test(
  "deploy --wait ends with 0, 4, 5 or 6 by how the roll-out does, and with 130 by Ctrl-C, which ends the watching only",
  async () => {
    expect((await world.run(deploy("v1", "--batch", "3"))).code).toBe(0);
    const back = await world.run(deploy("broken", "--batch", "2"));
    expect([back.code, back.stdout]).toEqual([
      4,
      expect.stringMatching(
        /web-\d, HEALTH_CHECK_FAILED: .* took what it had touched back to what was stable/,
      ),
    ]);
    await expectAllOn("v1");
    const left = await world.run(deploy("broken", "--no-rollback"));
    expect([left.code, left.stdout]).toEqual([5, expect.stringContaining("Nothing was rolled back.")]);
    // Failed and in flight go back to what was before all the same.
    await eventuallyPasses(() => expectAllOn("v1"));

    const late = await world.run([
      "deploy",
      "--release",
      "v2",
      "--all",
      "--min-healthy",
      "30s",
      "--wait",
      "--timeout",
      "1s",
    ]);
    expect([late.code, late.stderr]).toEqual([
      6,
      expect.stringContaining("was not over within 1s; it goes on"),
    ]);
    const [{ id = "", state = "" } = {}] = await world.deployments();
    expect(state).toBe("rolling");
    const watching = await world.start(["deployments", "watch", id]);
    await eventually(() => watching.stdout().includes("rolling"));
    expect(await watching.end("SIGINT")).toMatchObject({
      code: 130,
      stderr: expect.stringContaining(`The watching has ended, the roll-out ${id} goes on.`),
    });
    expect(await world.ok("deployments", "why", id)).toMatch(/web-1/);
    await world.ok("deployments", "abort", id);
    await eventuallyPasses(() => expectAllOn("v1"));
  },
  testMaxMs,
);

test("in the end all of it stops in order, and nothing is left", async () => {
  expect((await agent.end()).code).toBe(0);
  expect((await up.end()).code).toBe(0);
  expect(processesIn(world.dir)).toEqual([]);
});
