import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type {
  AgentOptions,
  CoordinatorOptions,
  Runners,
  UpOptions,
} from "../../src/cli/commands/long-running.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { type HereOptions, runHere } from "./run-here.js";

/** Runs a command whose runner only notes what it is told. */
async function told(line: string, options: HereOptions = {}) {
  const noted: { up?: UpOptions; coordinator?: CoordinatorOptions; agent?: AgentOptions } = {};
  const runners: Runners = {
    up: async (given) => {
      noted.up = given;
      return 0;
    },
    coordinator: async (given) => {
      noted.coordinator = given;
      return 0;
    },
    agent: async (given) => {
      noted.agent = given;
      return 0;
    },
  };
  const run = await runHere(line.split(" "), { ...options, runners });
  return { ...noted, run };
}

describe("rollcall agent", () => {
  test("runs the instances that it is given, each with the labels of all and its own", async () => {
    const { agent, run } = await told(
      "agent --instance web-1:tier=web,zone=a --instance worker-1 --label tier=worker --label region=eu --name host-a --routes routes.json --reload-command true --leave",
    );
    expect(run.code).toBe(0);
    expect(agent).toMatchObject({
      instances: [
        { id: "web-1", labels: { tier: "web", region: "eu", zone: "a" } },
        { id: "worker-1", labels: { tier: "worker", region: "eu" } },
      ],
      name: "host-a",
      routesFile: "routes.json",
      reloadCommand: "true",
      leave: true,
      stopProcesses: false,
      logLevel: "info",
      json: false,
    });
  });

  test.each([
    ["agent", "An agent runs instances: give --instance NAME, once for each."],
    ["agent --instance web-1 --instance web-1", "--instance web-1 is given twice."],
    ["agent --instance web-1:tier", '"tier" is no label: write k=v.'],
    ["agent --instance web-1:", '"" is no label: write k=v.'],
    ["agent --instance web-1 --label =x", '"=x" is no label: write k=v.'],
  ])("%s is wrong usage", async (line, sentence) => {
    const { run, agent } = await told(line);
    expect(run).toEqual({ code: 2, stdout: "", stderr: `rollcall: ${sentence}\n` });
    expect(agent).toBeUndefined();
  });

  test.each(["..", "a/b", "é", "a".repeat(64)])("the instance name %j is refused", async (name) => {
    const { run } = await told(`agent --instance ${name} --json`);
    expect([run.code, JSON.parse(run.stdout).error.code]).toEqual([3, "BAD_NAME"]);
  });

  test("a label that is not allowed is named with its instance", async () => {
    const { run } = await told("agent --instance web-1:t!=x");
    expect(run.code).toBe(2);
    expect(run.stderr).toContain("The labels of --instance web-1 are not allowed");
  });
});

describe("rollcall coordinator and rollcall up", () => {
  test("know where they belong by flag, environment and folder", async () => {
    const cwd = makeTempDir();
    const env = { NATS_URL: "nats://127.0.0.1:4222", NATS_USER: "coordinator", NATS_PASSWORD: "c" };
    const { coordinator } = await told(
      "coordinator --name c2 --lease 12s --apps-every 5s --app-alert-after 2m --fleet shop --log-level debug",
      { cwd, env },
    );
    expect(coordinator).toEqual({
      target: {
        url: "nats://127.0.0.1:4222",
        user: "coordinator",
        password: "c",
        inboxPrefix: "_INBOX_coordinator",
        fleet: "shop",
        dataDir: join(cwd, ".rollcall"),
        source: "NATS_URL",
      },
      logLevel: "debug",
      json: false,
      name: "c2",
      leaseMs: 12_000,
      apps: { everyMs: 5_000, alertAfterMs: 120_000 },
    });
    const { up } = await told("up --json", { cwd });
    expect(up).toMatchObject({
      target: { url: undefined, fleet: "default", source: "nowhere" },
      name: undefined,
      json: true,
    });
  });

  test("refuse to look at apps more often than every second", async () => {
    const { run } = await told("up --apps-every 10ms");
    expect([run.code, run.stderr]).toEqual([2, "rollcall: --apps-every is at least 1s.\n"]);
  });

  test("refuse a name that is none", async () => {
    const { run } = await told("coordinator --name a/b");
    expect([run.code, run.stderr]).toEqual([
      3,
      expect.stringContaining('The coordinator "a/b" is not allowed'),
    ]);
  });

  test.each(["up", "coordinator", "agent"])(
    "%s --help says what it is for and shows an example",
    async (command) => {
      const { run } = await told(`${command} --help`);
      expect(run.code).toBe(0);
      expect(run.stdout).toMatch(new RegExp(`^Usage: rollcall ${command} `));
      expect(run.stdout).toMatch(/\nExamples?:\n {2}\$ rollcall /);
    },
  );
});
