import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { commandLine } from "../cli/run-cli.js";
import { parseUnit, setting, variablesIn, wordsOf } from "../deploy/unit-file.js";
import { factsAt, makeService } from "./service.js";
import { type Running, World } from "./world.js";

const root = join(import.meta.dirname, "../..");
const unit = parseUnit(readFileSync(join(root, "deploy/systemd/rollcall-agent.service"), "utf8"));
const world = new World();
const testMaxMs = 60_000;
/** Where systemd looks for programs. */
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";

/** A path of the unit below the folder of the test, in place of the root. */
const here = (path: string) => join(world.dir, "root", path.replaceAll("%S", "/var/lib"));

/** What `npm install --global` does, and what an administrator writes. */
function install(): void {
  const program = here("/usr/local/bin/rollcall");
  mkdirSync(dirname(program), { recursive: true });
  const words = commandLine([]).map((word) => `'${word}'`);
  writeFileSync(program, `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`, { mode: 0o755 });
  const { url, user, password } = world.context();
  const file = here(setting(unit, "EnvironmentFile") ?? "");
  mkdirSync(dirname(file), { recursive: true });
  const options = "ROLLCALL_AGENT_OPTIONS=--instance web-1:tier=web --instance web-2";
  writeFileSync(
    file,
    `# comment\n${options}\nNATS_URL=${url}\nNATS_USER=${user}\nNATS_PASSWORD=${password}\n`,
  );
  mkdirSync(here(`%S/${setting(unit, "StateDirectory")}`), { recursive: true });
}

/** What systemd does with `ExecStart=`. */
async function startUnit(): Promise<Running> {
  const declared = Object.entries(variablesIn(unit.Service?.Environment ?? []));
  const file = readFileSync(here(setting(unit, "EnvironmentFile") ?? ""), "utf8");
  const env = {
    PATH: `${here("/usr/local/bin")}:${systemPath}`,
    HOME: here("%S/rollcall"),
    ...Object.fromEntries(
      declared.map(([name, value]) => [name, value.includes("%S") ? here(value) : value]),
    ),
    ...variablesIn(file.split("\n")),
  };
  const cwd = here(setting(unit, "WorkingDirectory") ?? "");
  return await world.startProgram(wordsOf(setting(unit, "ExecStart") ?? "", env), { env, cwd });
}

test(
  "the agent's unit, as it is written: its services go on when it is stopped or killed, and are adopted when it starts again",
  async () => {
    await world.up();
    install();
    let agent = await startUnit();
    await world.until("web-1", ({ reportAgeMs }) => reportAgeMs !== null);
    await world.until("web-2", ({ reportAgeMs }) => reportAgeMs !== null);
    await world.ok("releases", "push", "v1", makeService({ content: "1" }));
    await world.ok("deploy", "--release", "v1", "--all", "--batch", "2", "--wait", "--timeout", "50s");
    const before = await world.instances();
    const expectAdopted = async () => {
      for (const { id, pid, port } of before) {
        expect(await factsAt(port ?? 0)).toMatchObject({ pid, instance: id });
        const holds = await world.until(id, (view) => view.status === "HEALTHY" && view.pid === pid);
        expect(holds).toMatchObject({ port, restarts: 0 });
      }
    };
    // systemctl restart: SIGTERM to the main process alone, as KillMode=process has it.
    const startedAtMs = performance.now();
    expect(await agent.end("SIGTERM")).toMatchObject({ code: 0, signal: null });
    expect(performance.now() - startedAtMs).toBeLessThan(30_000);
    for (const { id, pid, port } of before)
      expect(await factsAt(port ?? 0)).toMatchObject({ pid, instance: id });
    agent = await startUnit();
    await expectAdopted();
    // What Restart=always answers.
    await agent.kill9();
    agent = await startUnit();
    await expectAdopted();
  },
  testMaxMs,
);
