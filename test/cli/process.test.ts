import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { writeContext } from "../../src/cli/context.js";
import { aDeployment, anInstance } from "../api/fake-plane.js";
import { eventually } from "../kit/eventually.js";
import { withNats } from "../kit/nats.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { scriptedRollouts, startFakeFleet } from "./fake-fleet.js";
import { commandLine, envOf, runCli, startCli } from "./run-cli.js";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

const nats = withNats();

describe("rollcall as a process of its own", () => {
  test("prints its version and ends with 0", async () => {
    expect(await runCli(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  });

  test("ends with 2 and a sentence on the standard error when it is used wrongly", async () => {
    expect(await runCli(["frobnicate"])).toEqual({
      code: 2,
      stdout: "",
      stderr: "rollcall: unknown command 'frobnicate'. See --help.\n",
    });
  });

  test("ends with 7 where there is no control plane", async () => {
    const { code, stdout } = await runCli(["status", "--json", "--data", makeTempDir()]);
    expect([code, JSON.parse(stdout).error.code]).toEqual([7, "NO_CONTROL_PLANE"]);
  });

  test("needs nothing but the folder in which rollcall up left its context", async () => {
    const cwd = makeTempDir();
    const { url, credentials } = nats();
    const fleet = await startFakeFleet(nats(), { "deployments.why": async () => aDeployment().why });
    const context = {
      format: 1,
      url,
      ...credentials,
      fleet,
      pid: process.pid,
      natsPid: null,
      startedAtMs: 1,
    } as const;
    await writeContext(join(cwd, ".rollcall"), context);
    expect(await runCli(["deployments", "why", "d1"], { cwd })).toEqual({
      code: 0,
      stdout: "Waiting for web-1.\n",
      stderr: "",
    });
  });

  test("ends with 4 after a roll-out that failed and was rolled back, all of its lines written", async () => {
    const over = { state: "finished", status: "FAILED" } as const;
    const fleet = await startFakeFleet(
      nats(),
      scriptedRollouts({
        d1: [{}, { deployment: aDeployment({ ...over, outcome: "failed", rolledBackBy: "d2" }) }],
        d2: [{ deployment: aDeployment({ ...over, id: "d2", rollbackOf: "d1", outcome: "rolled_back" }) }],
      }),
    );
    const run = await runCli(["deploy", "--release", "v2", "--all", "--wait"], {
      env: envOf(nats(), { ROLLCALL_FLEET: fleet }),
    });
    expect([run.code, run.stderr]).toEqual([4, ""]);
    expect(
      run.stdout.endsWith("d1 failed. d2 took what it had touched back to what was stable before.\n"),
    ).toBe(true);
  });

  test("ends its watching with 130 at Ctrl-C, and never the roll-out", async () => {
    const asked: string[] = [];
    const rollouts = scriptedRollouts({ d1: [{}] });
    const fleet = await startFakeFleet(nats(), {
      ...rollouts,
      "deployments.abort": async () => {
        asked.push("abort");
        return aDeployment();
      },
    });
    const run = startCli(["deployments", "watch", "d1"], { env: envOf(nats(), { ROLLCALL_FLEET: fleet }) });
    await eventually(() => run.stdout().includes("rolling"));
    run.signal("SIGINT");
    expect(await run.ended).toMatchObject({
      code: 130,
      stderr:
        "The watching has ended, the roll-out d1 goes on. See it again by rollcall deployments watch d1\n",
    });
    expect(asked).toEqual([]);
  });

  test("goes on watching over a restart of the NATS server", async () => {
    const fleet = await startFakeFleet(
      nats(),
      scriptedRollouts({
        d1: [
          {},
          {},
          {},
          {},
          {},
          {},
          {},
          {},
          { deployment: aDeployment({ state: "finished", outcome: "completed" }) },
        ],
      }),
    );
    const run = startCli(["deployments", "watch", "d1"], { env: envOf(nats(), { ROLLCALL_FLEET: fleet }) });
    await eventually(() => run.stdout().includes("rolling"));
    await nats().restart();
    expect((await run.ended).code).toBe(0);
  });

  test("writes what it logs to the standard error, in JSON, by the level that is asked for", async () => {
    const env = envOf(nats(), { ROLLCALL_FLEET: "nowhere", ROLLCALL_LOG_LEVEL: "debug" });
    const { stdout, stderr } = await runCli(["status", "--json"], { env });
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "NO_CONTROL_PLANE" } });
    const [line = ""] = stderr.split("\n");
    expect(JSON.parse(line)).toMatchObject({
      level: "debug",
      name: "rollcall",
      what: "status.get",
      msg: "asking again",
    });
  });

  test("ends in order when its reader has seen enough", async () => {
    const items = Array.from({ length: 1_000 }, (_, at) => anInstance({ id: `web-${at}` }));
    const fleet = await startFakeFleet(nats(), {
      "instances.list": async () => ({ items, asOf: 1, epoch: 7, next: null }),
    });
    const command = commandLine(["instances", "ls", "--json"])
      .map((word) => `'${word}'`)
      .join(" ");
    const env = { PATH: process.env.PATH ?? "", ...envOf(nats(), { ROLLCALL_FLEET: fleet }) };
    const { stdout, stderr } = await promisify(execFile)("sh", ["-c", `${command} | head -1`], { env });
    expect({ stdout, stderr }).toEqual({ stdout: "{\n", stderr: "" });
  });
});
