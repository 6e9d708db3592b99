import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const execute = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const compose = await findCompose();

/** The plugin of the docker command, or the older program of its own. */
async function findCompose(): Promise<readonly [string, ...string[]] | undefined> {
  for (const command of [["docker", "compose"], ["docker-compose"]] as const) {
    const [program, ...args] = command;
    const answers = await execute(program, [...args, "version"]).then(
      () => true,
      () => false,
    );
    if (answers) return command;
  }
  return undefined;
}

test.runIf(compose !== undefined)(
  "docker compose reads docker-compose.yml: 3 NATS servers, 2 control planes, 3 agents",
  async () => {
    const [program, ...args] = compose ?? [""];
    const env = { ...process.env, ROLLCALL_WEB_1_PASSWORD: "from-the-environment" };
    const list = await execute(program, [...args, "config", "--services"], { cwd: root, env });
    expect(list.stdout.trim().split("\n").sort()).toEqual([
      "control-1",
      "control-2",
      "nats-1",
      "nats-2",
      "nats-3",
      "web-1",
      "web-2",
      "web-3",
    ]);
    const { stdout } = await execute(program, [...args, "config"], { cwd: root, env });
    expect(stdout).toContain("NATS_PASSWORD: from-the-environment");
    expect(stdout).toContain("nats://nats-1:4222,nats://nats-2:4222,nats://nats-3:4222");
  },
);
