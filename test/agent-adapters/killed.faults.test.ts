import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { eventually } from "../kit/eventually.js";
import { makeTempDir } from "../kit/temp-dir.js";
import {
  applyRelease,
  artifactRelease,
  currentOf,
  filesBelow,
  releaseFiles,
  routesOf,
  runs,
  testObjects,
  workOn,
} from "./kit.js";

const agents: ChildProcess[] = [];

afterEach(() => {
  for (const agent of agents.splice(0)) agent.kill("SIGKILL");
});

/** Runs an agent until it is at work in a phase, and kills it there. */
async function killIn(dataDir: string, phase: string): Promise<void> {
  const agent = spawn(
    process.execPath,
    ["--import", "tsx", fileURLToPath(new URL("./killed-agent.ts", import.meta.url)), dataDir, phase],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  agents.push(agent);
  const said: string[] = [];
  agent.stdout?.on("data", (chunk: Buffer) => said.push(chunk.toString()));
  const isThere: Record<string, () => unknown> = {
    pull: () => said.includes("pull\n"),
    build: () => existsSync(join(dataDir, "build-pid")),
    copy: () =>
      existsSync(join(dataDir, "scratch")) &&
      readdirSync(join(dataDir, "scratch")).some((name) =>
        existsSync(join(dataDir, "scratch", name, "f1000")),
      ),
    activate: () => existsSync(join(dataDir, "reload-pid")),
  };
  await eventually(() => agent.exitCode !== null || isThere[phase]?.(), { everyMs: 1 });
  agent.kill("SIGKILL");
  await eventually(() => agent.signalCode === "SIGKILL");
}

test.each(["pull", "build", "copy", "activate"])(
  "an agent killed while it works on %s leaves nothing that its next run cannot go on with",
  async (phase) => {
    const dataDir = makeTempDir();
    const objects = testObjects();
    const before = releaseFiles(dataDir, objects);
    await applyRelease(
      before,
      workOn("i1", artifactRelease(objects, "v1", { f: "1" }, { routes: [{ path: "/v1" }] })),
      8_001,
    );
    await killIn(dataDir, phase);
    expect(["v1", "v2"]).toContain(currentOf(dataDir, "i1"));

    const files = releaseFiles(dataDir, objects, { reloadCommand: "true" });
    if (phase === "activate") {
      await files.abandon("i1");
      expect(currentOf(dataDir, "i1")).toBe("v1");
      expect(routesOf(dataDir).map(({ path }) => path)).toEqual(["/v1"]);
    }
    const build = { command: "cp f1 made", timeoutMs: 60_000 };
    const release = artifactRelease(
      objects,
      "v2",
      { f0: "0", f1: "1" },
      { routes: [{ path: "/v2" }], build },
    );
    await applyRelease(files, workOn("i1", release), 8_003);
    expect(filesBelow(files.places("i1", "v2", null).cwd)).toEqual({ f0: "0", f1: "1", made: "1" });
    expect(currentOf(dataDir, "i1")).toBe("v2");
    expect(routesOf(dataDir)).toEqual([{ path: "/v2", instance: "i1", target: "http://127.0.0.1:8003" }]);
    expect(readdirSync(join(dataDir, "scratch"))).toEqual([]);
    for (const name of ["build-pid", "bare-pid", "reload-pid"]) {
      const path = join(dataDir, name);
      if (existsSync(path))
        expect(runs(Number(readFileSync(path, "utf8"))), `${name} still runs`).toBe(false);
    }
  },
  60_000,
);
