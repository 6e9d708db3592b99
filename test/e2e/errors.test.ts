import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findFreePort } from "../../src/base-node/free-port.js";
import { exitCodes } from "../../src/cli/exit-codes.js";
import type { EndpointName } from "../../src/contracts/api.js";
import { durationText } from "../../src/contracts/duration.js";
import type { InstanceView } from "../../src/contracts/views.js";
import { eventually } from "../kit/eventually.js";
import { startNats } from "../kit/nats.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { startOldNats } from "./old-nats.js";
import { RawApi } from "./raw-api.js";
import { makeService } from "./service.js";
import { refusalOf, World } from "./world.js";

const world = new World();
let api: RawApi;
let agentOfWeb1 = "";

beforeAll(async () => {
  await world.up();
  api = await RawApi.connect(world);
  await world.agent(["web-1:tier=web", "web-2:tier=web"]);
  await world.ok("releases", "push", "v1", makeService());
  await world.ok("releases", "push", "v2", makeService({ content: "2" }));
  await world.ok("deploy", "--release", "v1", "--all", "--batch", "2", "--wait", "--timeout", "1m");
  agentOfWeb1 = (await world.instance("web-1")).agent;
});
afterAll(() => api.close());

async function refused(...args: string[]) {
  return refusalOf(await world.run([...args, "--json"]));
}

interface Wrong {
  readonly what: string;
  readonly args: readonly string[];
  readonly endpoint: EndpointName;
  readonly request: object;
  readonly code: string;
  readonly status: number;
  /** What the sentence says of this very case. */
  readonly says: string;
}

const deploying = { release: "v2", selector: null };
const deploy = ["deploy", "--release", "v2", "--all"];

function wrongAmount(option: "batch" | "failureThreshold", given: string | number): Wrong {
  const isBatch = option === "batch";
  const named = isBatch ? "The batch" : "The failure threshold";
  return {
    what: `${isBatch ? "a batch" : "a failure threshold"} of ${given}`,
    args: [...deploy, isBatch ? "--batch" : "--failure-threshold", String(given)],
    endpoint: "deployments.create",
    request: { ...deploying, [option]: given },
    code: isBatch ? "BAD_BATCH" : "BAD_FAILURE_THRESHOLD",
    status: 400,
    says: `${named} ${given} is not allowed`,
  };
}

function shortDeadline(deadlineMs: number, minHealthyMs: number): Wrong {
  return {
    what: `a deadline of ${deadlineMs} ms with a healthy time of ${minHealthyMs} ms`,
    args: [...deploy, "--deadline", `${deadlineMs}ms`, "--min-healthy", `${minHealthyMs}ms`],
    endpoint: "deployments.create",
    request: { ...deploying, deadlineMs, minHealthyMs },
    code: "BAD_DEADLINE",
    status: 400,
    says: `The instance deadline of ${durationText(deadlineMs)} is not longer than the ${durationText(minHealthyMs)} for`,
  };
}

const wrong: Wrong[] = [
  {
    what: "an unknown release",
    args: ["deploy", "--release", "v9", "--all"],
    endpoint: "deployments.create",
    request: { release: "v9", selector: null },
    code: "UNKNOWN_RELEASE",
    status: 404,
    says: "There is no release v9: push it first",
  },
  {
    what: "an unknown configuration",
    args: ["deploy", "--config", "c9", "--all"],
    endpoint: "deployments.create",
    request: { config: "c9", selector: null },
    code: "UNKNOWN_CONFIG",
    status: 404,
    says: "There is no configuration c9",
  },
  {
    what: "a selector that matches nothing",
    args: ["deploy", "--release", "v2", "--selector", "tier=db"],
    endpoint: "deployments.create",
    request: { release: "v2", selector: "tier=db" },
    code: "NO_MATCHING_INSTANCES",
    status: 409,
    says: "No instance matches tier=db",
  },
  wrongAmount("batch", 0),
  wrongAmount("batch", "0%"),
  wrongAmount("batch", "101%"),
  wrongAmount("batch", -1),
  wrongAmount("failureThreshold", 0),
  wrongAmount("failureThreshold", "0%"),
  shortDeadline(1_000, 2_000),
  shortDeadline(2_000, 2_000),
  {
    what: "a rollback of what had nothing before it",
    args: ["deployments", "rollback", "d1"],
    endpoint: "deployments.rollback",
    request: { deployment: "d1" },
    code: "NO_PREVIOUS_DEPLOYMENT",
    status: 409,
    says: "No instance that d1 touched had a version before it",
  },
  {
    what: "the removal of a release that instances run",
    args: ["releases", "rm", "v1"],
    endpoint: "releases.remove",
    request: { version: "v1" },
    code: "VERSION_IN_USE",
    status: 409,
    says: "Release v1 is still needed by instance web-",
  },
];

test.each(wrong)("$what is refused by $code, at the command line and over NATS", async (given) => {
  const { args, endpoint, request, code, status, says } = given;
  expect(await refused(...args)).toMatchObject({
    exit: exitCodes.refused,
    code,
    message: expect.stringContaining(says),
  });
  const answer = await api.ask(endpoint, request);
  expect(answer).toMatchObject({
    status: String(status),
    error: expect.stringContaining(says),
    body: {
      error: { code, message: expect.stringContaining(says), retry: expect.stringMatching(/^never|later$/) },
    },
  });
});

test("a refusal is one sentence on the standard error, and nothing was begun by any of them", async () => {
  const { code, stdout, stderr } = await world.run(["deploy", "--release", "v9", "--all", "--wait"]);
  expect([code, stdout, stderr]).toEqual([
    3,
    "",
    "rollcall: There is no release v9: push it first by rollcall releases push v9 SOURCE, or see rollcall releases ls.\n",
  ]);
  const { items } = await world.json<{ items: { id: string }[] }>("deployments", "ls");
  expect(items.map(({ id }) => id)).toEqual(["d1"]);
});

test("a roll-out to instances of one that is not over is refused, and names it", async () => {
  const { id } = await world.json<{ id: string }>(...deploy, "--min-healthy", "30s");
  await world.until("web-1", ({ running }) => running?.release === "v2");
  const message = new RegExp(
    `^Deployment ${id} is not finished and has \\d of these instances, web-\\d among them`,
  );
  expect(await refused("deploy", "--release", "v1", "--all")).toMatchObject({
    exit: 3,
    code: "ROLLOUT_IN_PROGRESS",
    message: expect.stringMatching(message),
  });
  expect(await api.ask("deployments.create", deploying)).toMatchObject({
    status: "409",
    error: expect.stringMatching(message),
    body: { error: { code: "ROLLOUT_IN_PROGRESS", details: { other: id } } },
  });
  expect(await refused("releases", "rm", "v2")).toMatchObject({ exit: 3, code: "VERSION_IN_USE" });
  await world.ok("deployments", "abort", id);
  await world.until("web-1", ({ running, status }) => running?.release === "v1" && status === "HEALTHY");
});

describe("names and versions that are not allowed", () => {
  const folder = makeService();
  const notNames = ["..", "a/b", "", "a".repeat(64), "é"];
  // A version may have one character more.
  const notVersions = ["..", "a/b", "", "a".repeat(65), "é"];

  test.each(notNames)("the name %j", async (name) => {
    for (const args of [
      ["agent", "--instance", name],
      ["status", "--fleet", name],
      ["instances", "show", name],
    ]) {
      expect([args, await refused(...args)]).toEqual([
        args,
        expect.objectContaining({ exit: 3, code: "BAD_NAME" }),
      ]);
    }
    expect(await api.ask("instances.get", { instance: name })).toMatchObject({
      status: "400",
      body: { error: { code: "BAD_NAME", message: expect.stringContaining("The name in instance") } },
    });
  });

  test.each(notVersions)("the version %j", async (version) => {
    writeFileSync(join(world.dir, "config.json"), "{}");
    expect(await refused("releases", "push", version, folder)).toMatchObject({ exit: 3, code: "BAD_NAME" });
    expect(await refused("configs", "push", version, "config.json")).toMatchObject({
      exit: 3,
      code: "BAD_NAME",
    });
    expect(await api.ask("releases.remove", { version })).toMatchObject({
      status: "400",
      body: { error: { code: "BAD_NAME", message: expect.stringContaining("in version") } },
    });
  });
});

test("a second agent with the same instance does nothing and says so, until the instance is moved to it", async () => {
  const other = await world.startAgent(["web-1:tier=web"], ["--name", "second", "--stop-processes"]);
  const { why } = await world.until("web-1", (view) => view.why.includes("reports under this name too"));
  const [, second = ""] =
    /^Agent (\S+) reports under this name too, but it belongs to agent (\S+):/.exec(why) ?? [];
  expect(why).toContain(`belongs to agent ${agentOfWeb1}`);
  await eventually(() =>
    other.stderr().includes("the instance belongs to another agent; this one leaves it alone"),
  );
  const before = await world.instance("web-1");
  expect(before).toMatchObject({ agent: agentOfWeb1, status: "HEALTHY", running: { release: "v1" } });
  expect(other.stderr()).not.toContain("PULLING_SOURCE");

  await world.ok("instances", "takeover", "web-1", "--agent", second);
  const after = await world.until(
    "web-1",
    ({ agent, running, pid }) => agent === second && running?.release === "v1" && pid !== before.pid,
  );
  expect(after).toMatchObject({ status: "HEALTHY", stable: { release: "v1" } });

  await world.ok("instances", "takeover", "web-1", "--agent", agentOfWeb1);
  await world.until("web-1", ({ agent, status }) => agent === agentOfWeb1 && status === "HEALTHY");
  expect((await other.end()).code).toBe(0);
});

describe("NATS", () => {
  test("an older one than 2.12 is refused by its version and address, whoever connects", async () => {
    const url = await startOldNats("2.9.10");
    const message = `nats-server 2.9.10 at ${url.replace("nats://", "")} is too old: Rollcall needs 2.12 or newer.`;
    for (const args of [["status"], ["up"], ["coordinator"]]) {
      const dir = makeTempDir();
      const run = await world.run([...args, "--nats", url, "--data", dir, "--json"]);
      expect([args, refusalOf(run)]).toEqual([
        args,
        expect.objectContaining({ code: "NATS_TOO_OLD", message: expect.stringContaining(message) }),
      ]);
      expect(run.code).not.toBe(0);
    }
  });

  test("an agent that finds an older one says so and goes on looking for a better one", async () => {
    const url = await startOldNats("2.11.4");
    const agent = await world.startAgent(["lonely"], ["--nats", url]);
    await eventually(() => agent.stderr().includes("nats-server 2.11.4 at"));
    expect((await agent.end()).code).toBe(0);
  });

  test("no control plane ends a command with 7, and the sentence says which part is missing", async () => {
    const cwd = makeTempDir();
    const nothing = refusalOf(await world.run(["status", "--json"], { cwd }));
    expect(nothing).toMatchObject({ exit: 7, code: "NO_CONTROL_PLANE" });
    const nowhere = `nats://127.0.0.1:${await findFreePort()}`;
    const unreachable = refusalOf(await world.run(["status", "--nats", nowhere, "--json"], { cwd }));
    expect(unreachable).toMatchObject({ exit: 7, code: "NATS_UNREACHABLE" });
    const nats = await startNats();
    try {
      const { user, password } = nats.credentials;
      const env = { NATS_URL: nats.url, NATS_USER: user, NATS_PASSWORD: password };
      const unled = refusalOf(
        await world.run(["deploy", "--release", "v1", "--all", "--json"], { cwd, env }),
      );
      expect(unled).toMatchObject({ exit: 7, code: "NO_CONTROL_PLANE" });
    } finally {
      await nats.stop();
    }
  });
});

test("the fleet is as it was", async () => {
  const { items } = await world.json<{ items: InstanceView[] }>("instances", "ls");
  expect(items.map(({ id, status, running }) => [id, status, running?.release])).toEqual([
    ["web-1", "HEALTHY", "v1"],
    ["web-2", "HEALTHY", "v1"],
  ]);
});
