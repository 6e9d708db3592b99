import { describe, expect, test } from "vitest";
import { resolveAmount } from "../../machines/deployment-request.js";
import type { Copy } from "../../src/contracts/answer-source.js";
import { type ControlPlane, endpoints } from "../../src/contracts/api.js";
import { refusal } from "../../src/contracts/errors.js";
import type { DeploymentPreview, FleetStatus } from "../../src/contracts/views.js";
import { aDeployment, anInstance } from "../api/fake-plane.js";
import { withNats } from "../kit/nats.js";
import { startFakeFleet } from "./fake-fleet.js";
import { envOf } from "./run-cli.js";
import { runHere } from "./run-here.js";

const nats = withNats();
const asOf = 1_893_456_060_000;
const listed = <T>(...items: T[]) => ({ items, asOf, epoch: 7, next: null });
const pushed = { by: "ann", atMs: asOf - 120_000, reason: null };
const digest = `sha256:${"0".repeat(64)}`;
const release = {
  version: "v1",
  source: "artifact",
  digest,
  sizeBytes: 12_345,
  pushed,
  running: 3,
  stable: 3,
};
const config = { version: "c1", digest, sizeBytes: 120, pushed, running: 3, stable: 3 };
const coordinator = {
  id: "c1",
  role: "leading" as const,
  epoch: 7,
  sinceMs: asOf - 60_000,
  renewedAtMs: null,
  doing: "leads",
  version: "1.2.3",
  node: "host-a",
  problem: null,
};
const status: FleetStatus = {
  fleet: "default",
  leader: "c1",
  epoch: 7,
  ledgerNowMs: asOf,
  instances: { total: 3, UNKNOWN: 1, HEALTHY: 2, DEGRADED: 0, FAILED: 0 },
  versions: [{ version: { release: "v1", config: null }, instances: 3 }],
  active: [aDeployment()],
  stuck: 0,
  reconciliation: null,
  latest: aDeployment(),
};

const preview: DeploymentPreview = {
  spec: aDeployment().spec,
  batch: 2,
  failureThreshold: 1,
  matched: 20,
  batches: [
    ["web-1", "web-2"],
    ["web-3", "web-5"],
  ],
  batchCount: 8,
  notNeeded: ["web-4"],
  notNeededCount: 1,
  unreachable: ["web-6", "web-7"],
  unreachableCount: 2,
  doubts: ["The batch 100% takes all 4 instances at the same time."],
  asOf,
  epoch: 7,
};

/** Runs one command against a control plane that gives one answer, and notes what it was asked. */
async function against(answers: Partial<ControlPlane>, args: readonly string[]) {
  const fleet = await startFakeFleet(nats(), answers);
  return runHere(args, { env: envOf(nats(), { ROLLCALL_FLEET: fleet, ROLLCALL_USER: "ann" }) });
}

describe("--json is the reply as the control plane gave it", () => {
  test.each([
    ["status", "status.get", status],
    ["instances ls", "instances.list", listed(anInstance(), anInstance({ id: "web-2" }))],
    ["instances show web-1", "instances.get", anInstance()],
    ["instances reset web-1", "instances.reset", anInstance()],
    ["instances rm web-1", "instances.remove", { instance: "web-1" }],
    ["instances takeover web-1 --agent agent-2", "instances.takeover", anInstance({ agent: "agent-2" })],
    ["deploy --release v2 --all", "deployments.create", aDeployment()],
    ["deployments create --release v2 --all", "deployments.create", aDeployment()],
    ["deploy --release v2 --all --dry-run", "deployments.preview", preview],
    ["deployments ls", "deployments.list", listed(aDeployment())],
    [
      "deployments show d1",
      "deployments.get",
      { deployment: aDeployment(), instances: [anInstance()], asOf, epoch: 7 },
    ],
    ["deployments why d1", "deployments.why", aDeployment().why],
    ["deployments pause d1", "deployments.pause", aDeployment({ state: "paused" })],
    ["deployments resume d1", "deployments.resume", aDeployment()],
    ["deployments abort d1", "deployments.abort", aDeployment({ state: "finished", outcome: "aborted" })],
    ["deployments rollback d1", "deployments.rollback", aDeployment({ id: "d2", rollbackOf: "d1" })],
    ["deployments retry d1", "deployments.retry", aDeployment({ id: "d2", retryOf: "d1" })],
    ["releases ls", "releases.list", listed(release)],
    ["releases rm v1", "releases.remove", { version: "v1" }],
    ["configs ls", "configs.list", listed(config)],
    ["configs rm c1", "configs.remove", { version: "c1" }],
    ["coordinators ls", "coordinators.list", listed(coordinator)],
  ] as const)("rollcall %s", async (line, endpoint, reply) => {
    const run = await against({ [endpoint]: async () => reply }, [...line.split(" "), "--json"]);
    expect([run.code, run.stderr]).toEqual([0, ""]);
    expect(JSON.parse(run.stdout)).toEqual(reply);
    expect(endpoints[endpoint].reply.safeParse(JSON.parse(run.stdout)).success).toBe(true);
  });
});

describe("in words", () => {
  test("instances stand in aligned columns without lines", async () => {
    const two = [
      anInstance(),
      anInstance({ id: "web-10", running: null, phase: null, reportAgeMs: null, labels: {} }),
    ];
    const { stdout } = await against({ "instances.list": async () => listed(...two) }, ["instances", "ls"]);
    expect(stdout).toBe(
      [
        "INSTANCE   STATUS    UPDATE        RUNS   SHOULD RUN   PHASE               PORT   LABELS     REPORT",
        "web-1      HEALTHY   IN_PROGRESS   v1     v2           HEALTH_CHECK 40 %   8080   tier=web   just now",
        "web-10     HEALTHY   IN_PROGRESS   -      v2           -                   8080   -          none yet",
        "",
      ].join("\n"),
    );
  });

  test("what others wrote cannot move the cursor", async () => {
    const nasty = anInstance({ why: "it \u001b[2J\u0007is\nfine", note: "\u202egnp" });
    const { stdout } = await against({ "instances.get": async () => nasty }, ["instances", "show", "web-1"]);
    expect(stdout).toContain("it  [2J is fine");
    expect(stdout).not.toContain("\u001b");
    expect(stdout).not.toContain("\u202e");
  });

  test("status says who leads, how the instances are, what they run, and what is rolled out and why it waits", async () => {
    const { stdout } = await against({ "status.get": async () => status }, ["status"]);
    expect(stdout).toBe(
      [
        "fleet default, led by c1 (epoch 7)",
        "3 instances: 2 healthy, 1 unknown",
        "",
        "VERSION   INSTANCES",
        "v1                3",
        "",
        "d1  v2 to 3 instances  rolling",
        "    Waiting for web-1.",
        "",
      ].join("\n"),
    );
  });

  test("status counts the apps, and those that are not as asked for too long", async () => {
    const nobody = { total: 0, UNKNOWN: 0, HEALTHY: 0, DEGRADED: 0, FAILED: 0 };
    const said = async (more: Partial<FleetStatus>) => {
      const { stdout } = await against({ "status.get": async () => ({ ...status, ...more }) }, ["status"]);
      return stdout.split("\n").slice(1, 3);
    };
    expect(await said({ apps: { apps: 2, instances: 20, alerts: 0 } })).toEqual([
      "3 instances: 2 healthy, 1 unknown",
      "2 apps on 20 instances",
    ]);
    expect((await said({ apps: { apps: 2, instances: 20, alerts: 3, unasked: 1 } }))[1]).toBe(
      "2 apps on 20 instances, 1 more that nobody asked for; not as asked for too long: 3, see rollcall apps status",
    );
    const alerted = [
      { app: "mail", instances: 1_000, causes: ["APP_LICENSE_INVALID", "APP_FAILED"] },
      { app: "chat", instances: 2, causes: [] },
    ];
    expect((await said({ apps: { apps: 9, instances: 1_000, alerts: 1_007, alerted } }))[1]).toBe(
      "9 apps on 1000 instances, not as asked for too long: mail on 1000 instances (APP_LICENSE_INVALID, APP_FAILED), chat on 2, 5 more, see rollcall apps status",
    );
    expect(await said({ instances: nobody, apps: { apps: 1, instances: 1, alerts: 3 } })).toEqual([
      "1 app on 1 instance, not as asked for too long: 3, see rollcall apps status",
      "",
    ]);
  });

  test("a fleet that is new says what to do next", async () => {
    const empty = {
      ...status,
      versions: [],
      active: [],
      stuck: 0,
      latest: null,
      instances: { total: 0, UNKNOWN: 0, HEALTHY: 0, DEGRADED: 0, FAILED: 0 },
    };
    const answers: Partial<ControlPlane> = {
      "status.get": async () => empty,
      "instances.list": async () => listed(),
      "deployments.list": async () => listed(),
      "releases.list": async () => listed(),
    };
    const fleet = await startFakeFleet(nats(), answers);
    const env = envOf(nats(), { ROLLCALL_FLEET: fleet });
    const said = await Promise.all(
      ["status", "instances ls", "deployments ls", "releases ls"].map((line) =>
        runHere(line.split(" "), { env }),
      ),
    );
    expect(said.map(({ stdout }) => stdout.trim().split("\n").at(-1))).toEqual([
      "nothing was ever rolled out: push a release, then rollcall deploy",
      "There are no instances yet: start some by rollcall agent --instance NAME",
      "Nothing was ever rolled out: rollcall deploy --help shows how.",
      "There are no releases yet: rollcall releases push VERSION SOURCE",
    ]);
  });

  test("deployments show has the sentence, the numbers and the instances", async () => {
    const reply = { deployment: aDeployment(), instances: [anInstance()], asOf, epoch: 7 };
    const { stdout } = await against({ "deployments.get": async () => reply }, ["deployments", "show", "d1"]);
    for (const text of [
      "RUNNING (rolling)",
      "Waiting for web-1.",
      "3 of 3 matched: 0 succeeded",
      "1m ago by ann",
      "web-1",
    ]) {
      expect(stdout).toContain(text);
    }
  });

  test("deploy says what it began and how to watch it", async () => {
    const run = await against({ "deployments.create": async () => aDeployment() }, [
      "deploy",
      "--release",
      "v2",
      "--all",
    ]);
    expect(run).toEqual({
      code: 0,
      stdout: "d1: v2 to 3 instances, batch 2, fails at 2.\nWatch it by rollcall deployments watch d1\n",
      stderr: "",
    });
  });
});

test("deploy asks for exactly what its options say", async () => {
  const got: unknown[] = [];
  const answers: Partial<ControlPlane> = {
    "deployments.create": async ({ requestKey, ...request }) => {
      expect(requestKey).toMatch(/^[A-Za-z0-9]{22}$/);
      got.push(request);
      return aDeployment();
    },
  };
  const options =
    "--release v2 --config c1 --selector tier=web --batch 25% --failure-threshold 2 --min-healthy 5s --deadline 2m --progress-deadline 1.5h --no-rollback --reason why";
  const run = await against(answers, ["deploy", ...options.split(" ")]);
  expect(run.code).toBe(0);
  expect(got).toEqual([
    {
      release: "v2",
      config: "c1",
      selector: "tier=web",
      batch: "25%",
      failureThreshold: 2,
      minHealthyMs: 5_000,
      deadlineMs: 120_000,
      onStuck: "fail",
      progressDeadlineMs: 5_400_000,
      rollback: "off",
      by: "ann",
      reason: "why",
    },
  ]);
});

describe("a refusal ends with 3 and the control plane's sentence", () => {
  /** As the real one checks amounts. */
  const checking: Partial<ControlPlane> = {
    "deployments.create": async ({ batch, failureThreshold }) => {
      resolveAmount(batch, 10, "BAD_BATCH");
      resolveAmount(failureThreshold, 10, "BAD_FAILURE_THRESHOLD");
      return aDeployment();
    },
  };

  test.each([
    ["--batch 0", "BAD_BATCH", "The batch 0 is not allowed"],
    ["--batch 0%", "BAD_BATCH", "The batch 0% is not allowed"],
    ["--batch 101%", "BAD_BATCH", "The batch 101% is not allowed"],
    ["--batch -1", "BAD_BATCH", "The batch -1 is not allowed"],
    ["--batch=-1", "BAD_BATCH", "The batch -1 is not allowed"],
    ["--batch -5%", "BAD_BATCH", "The batch -5% is not allowed"],
    ["--failure-threshold 0", "BAD_FAILURE_THRESHOLD", "The failure threshold 0 is not allowed"],
    ["--failure-threshold -1", "BAD_FAILURE_THRESHOLD", "The failure threshold -1 is not allowed"],
    ["--failure-threshold 101%", "BAD_FAILURE_THRESHOLD", "The failure threshold 101% is not allowed"],
  ])("rollcall deploy %s", async (option, code, sentence) => {
    const args = ["deploy", "--release", "v2", "--all", ...option.split(" ")];
    const rule = "give a whole number from 1, or a percentage from 1% to 100%.";
    expect(await against(checking, args)).toEqual({
      code: 3,
      stdout: "",
      stderr: `rollcall: ${sentence}: ${rule}\n`,
    });
    const json = await against(checking, [...args, "--json"]);
    expect([json.code, json.stderr]).toEqual([3, ""]);
    expect(JSON.parse(json.stdout)).toEqual({
      error: { code, message: `${sentence}: ${rule}`, retry: "never" },
    });
  });

  test.each(["..", "a/b", "", "a".repeat(65), "é"])("the version %j is not allowed", async (version) => {
    for (const args of [
      ["deploy", "--release", version, "--all"],
      ["releases", "rm", version],
      ["releases", "push", version, "."],
      ["configs", "push", version, "package.json"],
    ]) {
      const { code, stderr } = await against({}, args);
      expect([args, code]).toEqual([args, 3]);
      expect(stderr).toContain(`${JSON.stringify(version)} is not allowed: a version has 1 to 64 characters`);
    }
  });

  test.each(["..", "a/b", "", "a".repeat(64), "é"])("the name %j is not allowed", async (name) => {
    for (const args of [
      ["instances", "show", name],
      ["deployments", "abort", name],
      ["instances", "takeover", "web-1", "--agent", name],
    ]) {
      const { code, stderr } = await against({}, args);
      expect([args, code]).toEqual([args, 3]);
      expect(stderr).toContain(`${JSON.stringify(name)} is not allowed: a name has 1 to 63 characters`);
    }
  });

  test("an overlapping roll-out is named", async () => {
    const answers: Partial<ControlPlane> = {
      "deployments.create": async () => {
        throw refusal("ROLLOUT_IN_PROGRESS", { other: "d0", shared: 2, example: "web-1" });
      },
    };
    const { code, stderr } = await against(answers, ["deploy", "--release", "v2", "--all"]);
    expect(code).toBe(3);
    expect(stderr).toBe(
      "rollcall: Deployment d0 is not finished and has 2 of these instances, web-1 among them: wait for it, or stop it by rollcall deployments abort d0.\n",
    );
  });
});

describe("where an answer comes from", () => {
  const old: Copy = { of: "c2", ageMs: 4_200, revision: 9, leader: null };
  const shown = async (copy: Copy | undefined) =>
    against({ "status.get": async () => ({ ...status, ...(copy && { copy }) }) }, ["status"]);

  test("a follower's copy that is behind says how old it is, and who leads", async () => {
    expect((await shown(old)).stdout).toContain("\nas of 4s ago, from c2's copy: nobody leads\n");
    const led = await shown({ ...old, leader: "c1" });
    expect(led.stdout).toContain("\nas of 4s ago, from c2's copy: c1 leads\n");
  });

  test("one that is in step is as good as the leader, and says nothing", async () => {
    expect((await shown({ ...old, ageMs: 900 })).stdout).not.toContain("as of");
    expect((await shown(undefined)).stdout).not.toContain("as of");
  });

  test("--json has it as the control plane says it", async () => {
    const { stdout } = await against({ "status.get": async () => ({ ...status, copy: old }) }, [
      "status",
      "--json",
    ]);
    expect(JSON.parse(stdout).copy).toEqual(old);
  });
});

test("the coordinators: who leads and who follows, since when, the lease, and how each is doing", async () => {
  const follower = { ...coordinator, role: "following" as const, epoch: null };
  const items = [
    { ...coordinator, renewedAtMs: asOf - 1_200 },
    { ...follower, id: "c2", doing: "caught up" },
    { ...follower, id: "c3", doing: "12s behind" },
  ];
  const { stdout } = await against({ "coordinators.list": async () => listed(...items) }, [
    "coordinators",
    "ls",
  ]);
  expect(stdout).toBe(
    [
      "COORDINATOR   ROLE        SINCE    EPOCH   RENEWED   VERSION   NODE     DOING",
      "c1            leading     1m ago       7   1s ago    1.2.3     host-a   leads",
      "c2            following   1m ago       -   -         1.2.3     host-a   caught up",
      "c3            following   1m ago       -   -         1.2.3     host-a   12s behind",
      "",
    ].join("\n"),
  );
});

test("an error inside the control plane ends with 1", async () => {
  const answers: Partial<ControlPlane> = {
    "status.get": async () => {
      throw new TypeError("oops");
    },
  };
  const { code, stderr } = await against(answers, ["status"]);
  expect(code).toBe(1);
  expect(stderr).toContain("Something went wrong inside Rollcall: oops.");
});

test("a fleet without a control plane ends with 7", async () => {
  const none = await runHere(["status", "--fleet", "nowhere", "--json"], { env: envOf(nats()) });
  expect([none.code, JSON.parse(none.stdout).error.code]).toEqual([7, "NO_CONTROL_PLANE"]);
});

test("wrong credentials end with 3", async () => {
  const { code, stderr } = await runHere(["status"], { env: envOf(nats(), { NATS_PASSWORD: "wrong" }) });
  expect(code).toBe(3);
  expect(stderr).toContain("does not allow connecting");
});

test("global options may stand before and after the command", async () => {
  const fleet = await startFakeFleet(nats(), { "releases.list": async () => listed(release) });
  const { user, password } = nats().credentials;
  const where = ["--nats", nats().url, "--user", user, "--password", password, "--fleet", fleet];
  const before = await runHere([...where, "--json", "releases", "ls"]);
  const after = await runHere(["releases", "ls", ...where, "--json"]);
  expect([before.code, after.code]).toEqual([0, 0]);
  expect(before.stdout).toBe(after.stdout);
});

test("a dry run is told in words: who, in which order, who not, and what may not be meant", async () => {
  const run = await against({ "deployments.preview": async () => preview }, [
    "deploy",
    "--release",
    "v2",
    "--all",
    "--dry-run",
  ]);
  expect(run.stdout).toContain("Would tell 17 of 20 matching instances, 2 at a time, and fail at 1 failure.");
  expect(run.stdout).toContain("  1  web-1, web-2\n  2  web-3, web-5\n");
  expect(run.stdout).toContain("Run it already: web-4\nSilent, told when they return: web-6, web-7\n");
  expect(run.stdout).toMatch(/Mind: The batch 100% .*\nNothing was changed.\n$/);
});
