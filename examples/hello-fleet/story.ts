import { existsSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs, styleText } from "node:util";
import { type StoryFolder, takeFolder } from "./folder.js";
import { StoryProcesses } from "./processes.js";
import { prepareSource } from "./source.js";

/**
 * `npm start`: a control plane and six agents as processes of their own, and a story in three releases. The third one is
 * broken on purpose.
 */

const instances = ["web-1", "web-2", "web-3", "web-4", "web-5", "web-6"];
const versions = ["v1", "v2", "v3"];
const failedAndRolledBack = 4;
const interruptedCode = 130;
const patienceMs = 120_000;
const lookEveryMs = 200;
const shownCharactersMax = 2_000;

const projectRoot = findProjectRoot();
const { values } = parseArgs({
  options: { once: { type: "boolean", default: false }, data: { type: "string" } },
});

await main();

async function main(): Promise<void> {
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(signal, () => interrupted.abort());
  // Nobody reads any more: the terminal is gone, or `npm start | head` has enough.
  process.stdout.on("error", () => interrupted.abort());
  process.stderr.on("error", () => interrupted.abort());
  try {
    const folder = await takeFolder(values.data);
    await play(folder, interrupted.signal);
  } catch (error) {
    process.exitCode = 1;
    process.stderr.write(
      `\nThe story did not go as told: ${error instanceof Error ? error.message : String(error)}\n`,
    );
  }
  // A command of the story may still be waiting for a control plane that is gone.
  process.exit();
}

async function play({ dataDir, lock, reaped }: StoryFolder, interruption: AbortSignal): Promise<void> {
  const processes = new StoryProcesses(dataDir, environmentOf(dataDir));
  try {
    if (reaped > 0) say(`${reaped} processes that an earlier story left behind were ended.`);
    const story = tell(processes, dataDir).then(() => "told" as const);
    // Once it is interrupted, how it fails does not matter.
    story.catch(() => undefined);
    const end = await Promise.race([story, aborted(interruption)]);
    if (end !== "told") process.exitCode = interruptedCode;
    else if (!values.once) await stayUp(dataDir, interruption);
  } catch (error) {
    say(`\nWhat each process said is in ${join(dataDir, "logs")}.`);
    throw error;
  } finally {
    say("\nEnding the agents, their services and the control plane …");
    await processes.stop();
    await lock.release();
  }
}

/** The story has a fleet and a server of its own, whatever the environment names. */
function environmentOf(dataDir: string): NodeJS.ProcessEnv {
  const env = {
    ...process.env,
    ROLLCALL_DATA: dataDir,
    ROLLCALL_LOG_LEVEL: process.env.ROLLCALL_LOG_LEVEL ?? "warn",
  };
  for (const name of ["NATS_URL", "NATS_USER", "NATS_PASSWORD", "NATS_INBOX_PREFIX", "ROLLCALL_FLEET"])
    Reflect.deleteProperty(env, name);
  return env;
}

async function tell(processes: StoryProcesses, dataDir: string): Promise<void> {
  const source = await prepareSource(
    join(projectRoot, "examples/hello-fleet/versions"),
    versions,
    join(dataDir, "hello-fleet.git"),
  );

  title("A control plane and six agents, each a process of its own");
  processes.start("control-plane", ["up"]);
  await until(
    "the control plane answers",
    processes,
    async () =>
      existsSync(join(dataDir, "context.json")) &&
      (await processes.run(["status"], { quiet: true })).code === 0,
  );
  for (const [index, instance] of instances.entries()) {
    const zone = index % 2 === 0 ? "a" : "b";
    processes.start(instance, [
      "agent",
      "--stop-processes",
      "--instance",
      `${instance}:tier=web,zone=${zone}`,
    ]);
  }
  await until("all agents have reported", processes, () => haveReported(processes));
  await abortUnfinished(processes);
  say(
    source.kind === "git"
      ? "The service comes from a git repository, one tag a version."
      : "There is no git here: the service comes from folders, one a version.",
  );
  for (const version of versions)
    await expectExit(0, processes, ["releases", "push", version, source.of(version)], { quiet: true });

  title("v1, everywhere at once");
  await expectExit(0, processes, deploy("v1", 6));

  title("v2, two instances at a time");
  await expectExit(0, processes, deploy("v2", 2));

  title("v3 does not answer its health check: two failures are too many, and the fleet goes back");
  await expectExit(failedAndRolledBack, processes, deploy("v3", 2));

  title("Where everything stands");
  await expectExit(0, processes, ["instances", "ls"]);
}

async function haveReported(processes: StoryProcesses): Promise<boolean> {
  const { code, output } = await processes.run(["instances", "ls", "--json"], { quiet: true });
  if (code !== 0) return false;
  const { items } = JSON.parse(output) as { items: { id: string; reportAgeMs: number | null }[] };
  return instances.every((id) => items.some((item) => item.id === id && item.reportAgeMs !== null));
}

/** A story that was killed in the middle of a roll-out has left it to go on. */
async function abortUnfinished(processes: StoryProcesses): Promise<void> {
  const output = await expectExit(0, processes, ["deployments", "ls", "--json"], { quiet: true });
  const { items } = JSON.parse(output) as { items: { id: string; state: string }[] };
  for (const { id, state } of items) {
    if (state === "finished") continue;
    say(`The roll-out ${id} of an earlier story is ended.`);
    // It may be over by now, which is as good.
    await processes.run(["deployments", "abort", id, "--reason", "a new story begins"], { quiet: true });
    await processes.run(["deployments", "watch", id], { quiet: true });
  }
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

/** Runs a command that has to end with this code. Returns what it said if it was quiet. */
async function expectExit(
  wanted: number,
  processes: StoryProcesses,
  args: readonly string[],
  options: { quiet?: boolean } = {},
): Promise<string> {
  const { code, output } = await processes.run(args, options);
  if (code === wanted) return output;
  const said = output === "" ? "" : `: ${output.trim().slice(-shownCharactersMax)}`;
  throw new Error(`rollcall ${args.join(" ")} ended with ${code} instead of ${wanted}${said}`);
}

async function until(
  what: string,
  processes: StoryProcesses,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += lookEveryMs) {
    if (await holds()) return;
    if (!processes.allAlive()) throw new Error(`a process ended before ${what}`);
    await sleep(lookEveryMs);
  }
  throw new Error(`two minutes were not enough until ${what}`);
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
