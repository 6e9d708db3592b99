import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { makeTempDir } from "../kit/temp-dir.js";
import { runHere } from "./run-here.js";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

const commands = [
  "status",
  "doctor",
  "deploy",
  "deployments create",
  "deployments ls",
  "deployments show",
  "deployments watch",
  "deployments why",
  "deployments pause",
  "deployments resume",
  "deployments abort",
  "deployments rollback",
  "deployments retry",
  "releases push",
  "releases ls",
  "releases rm",
  "configs push",
  "configs ls",
  "configs rm",
  "instances ls",
  "instances show",
  "instances reset",
  "instances rm",
  "instances takeover",
  "coordinators ls",
  ...["add", "enable", "disable", "uninstall", "set", "ls", "show", "status", "why", "history"].map(
    (verb) => `apps ${verb}`,
  ),
  "apps reconcile",
  "apps forget",
  "apps migrate",
];

describe("help", () => {
  test("of rollcall lists the commands, the options of all and the exit codes", async () => {
    const { code, stdout, stderr } = await runHere(["--help"]);
    expect([code, stderr]).toEqual([0, ""]);
    for (const word of ["status", "deploy", "instances", "--fleet", "--json", "7 no control plane"])
      expect(stdout).toContain(word);
  });

  test.each(commands)("of %s says what it is for and shows an example", async (command) => {
    const { code, stdout, stderr } = await runHere([...command.split(" "), "--help"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(new RegExp(`^Usage: rollcall ${command}( |\n)`));
    expect(stdout.split("\n")[2]).toMatch(/^[a-z].{10,}/);
    expect(stdout).toMatch(/\nExamples?:\n {2}\$ rollcall /);
  });
});

test("the version is the package's", async () => {
  expect(await runHere(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
});

describe("a wrong command line ends with 2 and a sentence", () => {
  test.each([
    ["frobnicate", "unknown command 'frobnicate'. See --help."],
    ["deplo", "unknown command 'deplo'. Did you mean deploy? See --help."],
    ["deployments frobnicate", "unknown command 'frobnicate'. See --help."],
    ["instances show", "missing required argument 'instance'. See --help."],
    ["status please", "too many arguments for 'status'. Expected 0 arguments but got 1. See --help."],
    ["deploy --relese v2", "unknown option '--relese'. Did you mean --release? See --help."],
    ["deploy --release", "option '--release <version>' argument missing. See --help."],
    ["deploy --release v2", "Say which instances: give --selector k=v, or --all."],
    [
      "deploy --release v2 --all --selector a=b",
      "--selector and --all contradict each other: give one of them.",
    ],
    ["deploy --release v2 --all --timeout 5m", "--timeout is about waiting: give --wait too."],
    [
      "deploy --release v2 --all --batch many",
      "option '--batch <amount>' argument 'many' is invalid. Give a whole number (2) or a percentage (25%). See --help.",
    ],
    [
      "deploy --release v2 --all --failure-threshold 1.5",
      "option '--failure-threshold <amount>' argument '1.5' is invalid. Give a whole number (2) or a percentage (25%). See --help.",
    ],
    [
      "deploy --release v2 --all --deadline 10",
      "option '--deadline <duration>' argument '10' is invalid. Give a number with a unit: 500ms, 10s, 5m, 2h or 1d. See --help.",
    ],
    ["instances takeover web-1", "required option '--agent <id>' not specified. See --help."],
    [
      "status --log-level loud",
      "option '--log-level <level>' argument 'loud' is invalid. Allowed choices are silent, error, warn, info, debug. See --help.",
    ],
    [
      "deployments ls --limit 0",
      "option '--limit <count>' argument '0' is invalid. Give a whole number from 1. See --help.",
    ],
  ])("rollcall %s", async (line, sentence) => {
    const args = line.split(" ");
    expect(await runHere(args)).toEqual({ code: 2, stdout: "", stderr: `rollcall: ${sentence}\n` });
    const json = await runHere([...args, "--json"]);
    expect([json.code, json.stderr]).toEqual([2, ""]);
    expect(JSON.parse(json.stdout)).toEqual({ error: { code: "USAGE", message: sentence, retry: "never" } });
  });

  test.each(["", "deployments"])("rollcall %s without a command prints the help", async (group) => {
    const { code, stdout, stderr } = await runHere(group === "" ? [] : [group]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain("Usage: rollcall");
    expect(stderr.endsWith("rollcall: A command is missing: rollcall --help lists them.\n")).toBe(true);
  });

  test("a log level of the environment that there is not", async () => {
    const { code, stderr } = await runHere(["status"], { env: { ROLLCALL_LOG_LEVEL: "loud" } });
    expect([code, stderr]).toEqual([
      2,
      'rollcall: ROLLCALL_LOG_LEVEL is "loud": give one of silent, error, warn, info, debug.\n',
    ]);
  });
});

describe("where nothing says where NATS is", () => {
  test.each(["status", "instances ls", "deploy --release v2 --all", "deployments why d1"])(
    "rollcall %s ends with 7",
    async (line) => {
      const data = makeTempDir();
      expect(await runHere([...line.split(" "), "--data", data])).toEqual({
        code: 7,
        stdout: "",
        stderr:
          "rollcall: No control plane answers for fleet default: start one by rollcall up or rollcall coordinator.\n",
      });
    },
  );
});

test("a server that is not there ends with 7 and names its address", async () => {
  const { code, stderr } = await runHere(["status", "--nats", "nats://127.0.0.1:1"]);
  expect(code).toBe(7);
  expect(stderr).toContain("rollcall: No NATS server answers at 127.0.0.1:1");
});

test.each(["..", "a/b", "", "a".repeat(64), "é"])("the fleet name %j is refused", async (fleet) => {
  const { code, stdout } = await runHere([
    "status",
    "--nats",
    "nats://127.0.0.1:1",
    "--fleet",
    fleet,
    "--json",
  ]);
  expect(code).toBe(3);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: "BAD_NAME", retry: "never" } });
});
