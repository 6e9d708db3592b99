import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs, styleText } from "node:util";
import { RollcallError } from "../../src/base/errors.js";
import { type FolderLock, lockFolder } from "../../src/base-node/folder-lock.js";
import { StoryProcesses } from "./processes.js";
import { prepareSource } from "./source.js";

/**
 * `npm start`: a control plane and six agents as processes of their own, and a story in three releases. The third one is
 * broken on purpose.
 */

const instances = ["web-1", "web-2", "web-3", "web-4", "web-5", "web-6"];
const versions = ["v1", "v2", "v3"];
const failedAndRolledBack = 4;
const foldersMax = 20;

const projectRoot = findProjectRoot();
const { values } = parseArgs({
  options: { once: { type: "boolean", default: false }, data: { type: "string" } },
});

await main();

async function main(): Promise<void> {
  const { dataDir, lock } = await freeFolder(values.data);
  const env = {
    ...process.env,
    ROLLCALL_DATA: dataDir,
    ROLLCALL_LOG_LEVEL: process.env.ROLLCALL_LOG_LEVEL ?? "warn",
  };
  // The story has a fleet and a server of its own, whatever the environment names.
  Reflect.deleteProperty(env, "NATS_URL");
  const processes = new StoryProcesses(dataDir, env);
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(signal, () => interrupted.abort());
  try {
    const story = tell(processes, dataDir);
    story.catch(() => undefined);
    await Promise.race([story, aborted(interrupted.signal)]);
    if (!values.once && !interrupted.signal.aborted) await stayUp(dataDir, interrupted.signal);
  } catch (error) {
    process.exitCode = 1;
    process.stderr.write(
      `\nThe story did not go as told: ${error instanceof Error ? error.message : String(error)}\nWhat each process said is in ${join(dataDir, "logs")}.\n`,
    );
  } finally {
    say("\nEnding the agents, their services and the control plane …");
    await processes.stop();
    await lock.release();
    // A command of the story may still be waiting for a control plane that is gone.
    process.exit();
  }
}

async function tell(processes: StoryProcesses, dataDir: string): Promise<void> {
  const left = await processes.reap();
  if (left > 0) say(`${left} processes that an earlier story left behind were ended.`);
  const source = await prepareSource(
    join(projectRoot, "examples/hello-fleet/versions"),
    versions,
    join(dataDir, "hello-fleet.git"),
  );

  title("A control plane and six agents, each a process of its own");
  await processes.start("control-plane", ["up"]);
  await until(
    "the control plane answers",
    processes,
    async () =>
      existsSync(join(dataDir, "context.json")) && (await processes.run(["status"], { quiet: true })) === 0,
  );
  for (const [index, instance] of instances.entries()) {
    const zone = index % 2 === 0 ? "a" : "b";
    await processes.start(instance, [
      "agent",
      "--stop-processes",
      "--instance",
      `${instance}:tier=web,zone=${zone}`,
    ]);
  }
  await until(
    "all agents have reported",
    processes,
    async () =>
      (await processes.run(["instances", "show", "web-6"], { quiet: true })) === 0 &&
      (
        await Promise.all(
          instances.map((instance) => processes.run(["instances", "show", instance], { quiet: true })),
        )
      ).every((code) => code === 0),
  );
  say(
    source.kind === "git"
      ? "The service comes from a git repository, one tag a version."
      : "There is no git here: the service comes from folders, one a version.",
  );
  for (const version of versions)
    await expectExit(
      0,
      processes.run(["releases", "push", version, source.of(version)], { quiet: true }),
      `releases push ${version}`,
    );

  title("v1, everywhere at once");
  await expectExit(0, processes.run(deploy("v1", 6)), "deploy v1");

  title("v2, two instances at a time");
  await expectExit(0, processes.run(deploy("v2", 2)), "deploy v2");

  title("v3 does not answer its health check: two failures are too many, and the fleet goes back");
  await expectExit(failedAndRolledBack, processes.run(deploy("v3", 2)), "deploy v3");

  title("Where everything stands");
  await expectExit(0, processes.run(["instances", "ls"]), "instances ls");
}

function deploy(release: string, batch: number): string[] {
  return [
    "deploy",
    "--release",
    release,
    "--selector",
    "tier=web",
    "--batch",
    String(batch),
    "--failure-threshold",
    "2",
    "--wait",
    "--timeout",
    "2m",
  ];
}

async function stayUp(dataDir: string, signal: AbortSignal): Promise<void> {
  const standard = resolve(".rollcall");
  const data = dataDir === standard ? "" : ` --data ${relative(process.cwd(), dataDir) || "."}`;
  say("");
  say("It stays up until Ctrl-C. In a second terminal in this folder, try:");
  for (const command of [
    "status",
    "deploy --release v1 --selector zone=a --batch 1 --wait",
    "deployments ls",
  ])
    say(`  npx rollcall ${command}${data}`);
  await aborted(signal);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener("abort", () => done(), { once: true });
  });
}

async function expectExit(wanted: number, running: Promise<number>, what: string): Promise<void> {
  const code = await running;
  if (code !== wanted) throw new Error(`rollcall ${what} ended with ${code} instead of ${wanted}`);
}

async function until(what: string, processes: StoryProcesses, holds: () => Promise<boolean>): Promise<void> {
  for (let waitedMs = 0; waitedMs < 120_000; waitedMs += 100) {
    if (await holds()) return;
    if (!processes.allAlive()) throw new Error(`a process ended before ${what}`);
    await sleep(100);
  }
  throw new Error(`two minutes were not enough until ${what}`);
}

/** The folder that was asked for, else `.rollcall`, or the next one that no living story has. */
async function freeFolder(wanted: string | undefined): Promise<{ dataDir: string; lock: FolderLock }> {
  for (let number = 1; ; number++) {
    const dataDir = resolve(wanted ?? (number === 1 ? ".rollcall" : `.rollcall-${number}`));
    await mkdir(join(dataDir, "story"), { recursive: true });
    try {
      return { dataDir, lock: await lockFolder(join(dataDir, "story")) };
    } catch (error) {
      const isTaken = error instanceof RollcallError && error.code === "FOLDER_LOCKED";
      if (!isTaken || wanted !== undefined || number === foldersMax) throw error;
    }
  }
}

/** The folder with package.json, from the built file as from the source. */
function findProjectRoot(): string {
  const here = fileURLToPath(new URL(".", import.meta.url));
  const above = ["../..", "../../.."].map((up) => resolve(here, up));
  const root = above.find((folder) => existsSync(join(folder, "examples/hello-fleet/versions")));
  if (root === undefined) throw new Error("the versions of the example are not there");
  return root;
}

function title(text: string): void {
  const line = `\n── ${text} `;
  say(process.stdout.isTTY && process.env.NO_COLOR === undefined ? styleText("bold", line) : line);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
