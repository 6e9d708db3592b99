import type { Command } from "commander";
import type { ReplyOf } from "../../contracts/api.js";
import { durationText } from "../../contracts/duration.js";
import type { DeploymentView, Why } from "../../contracts/views.js";
import { type Cli, withExamples } from "../cli.js";
import { followRollout } from "../follow.js";
import type { Paint } from "../paint.js";
import { stateText, titleText } from "../rollout-picture.js";
import type { Session } from "../session.js";
import { factsText, tableText } from "../table.js";
import { parseCount, parseDuration } from "../values.js";
import { agoText, plainText } from "../words.js";
import { addDeployCommand, addWaitOptions, type WaitOptions, waitOf } from "./deploy.js";
import { instancesTable } from "./instances.js";

export function addDeploymentCommands(program: Command, cli: Cli): void {
  addDeployCommand(program, "deploy", cli);
  const group = program
    .command("deployments")
    .description("roll-outs: those under way and those that are over");
  addDeployCommand(group, "create", cli);
  addLs(group, cli);
  addShow(group, cli);
  addWatch(group, cli);
  addWhy(group, cli);
  addAct(
    group,
    cli,
    "pause",
    "tell nobody new until it is resumed; what is in flight goes on",
    (id) => `${id} is paused.`,
  );
  addResume(group, cli);
  addAct(
    group,
    cli,
    "abort",
    "end it: in-flight and failed instances go back, finished ones stay",
    (id) => `${id} is ended.`,
  );
  addSuccessor(group, cli, "rollback", "take every instance that it touched back to what was stable before");
  addSuccessor(group, cli, "retry", "deploy the same again, to the instances that did not succeed");
}

function addLs(group: Command, cli: Cli): void {
  const command = group
    .command("ls")
    .description("list the deployments, the newest first")
    .option("--limit <count>", "at most so many", parseCount, 20)
    .option("--stuck", "only what does not move: deployments, and instances with a stuck phase")
    .action(async ({ limit, stuck }: { limit: number; stuck?: boolean }, command: Command) => {
      await cli.session(command, async ({ client }) => {
        if (stuck === true) {
          cli.show(command, await client.deployments.stuck({ limit }), (list) =>
            list.items.length === 0 ? "Nothing is stuck." : stuckTable(list, cli.paint),
          );
          return;
        }
        const reply = await client.deployments.list({ limit });
        cli.show(command, reply, (list) =>
          list.items.length === 0
            ? "Nothing was ever rolled out: rollcall deploy --help shows how."
            : deploymentsTable(list, cli.paint),
        );
      });
    });
  withExamples(
    command,
    "rollcall deployments ls",
    "rollcall deployments ls --stuck",
    "rollcall deployments ls --limit 100 --json",
  );
}

function stuckTable({ items, asOf }: ReplyOf<"deployments.stuck">, paint: Paint): string {
  return tableText(
    items,
    [
      { head: "STUCK", cell: ({ kind, id }) => (kind === "phase" ? `instance ${id}` : id) },
      { head: "DEPLOYMENT", cell: ({ deployment }) => deployment ?? "-" },
      { head: "ACTION", cell: ({ action }) => action },
      { head: "FOUND", cell: ({ foundAtMs }) => agoText(foundAtMs, asOf) },
      { head: "WHY", cell: ({ code, sentence }) => `${code}: ${sentence}` },
    ],
    paint,
  );
}

function deploymentsTable({ items, asOf }: ReplyOf<"deployments.list">, paint: Paint): string {
  return tableText(
    items,
    [
      { head: "DEPLOYMENT", cell: ({ id }) => id },
      { head: "WHAT", cell: titleText },
      {
        head: "STATUS",
        cell: ({ status }) => status,
        paint: (text, { status }) => paint(statusStyles[status], text),
      },
      { head: "STATE", cell: stateText },
      {
        head: "DONE",
        right: true,
        cell: ({ counts }) => `${counts.succeeded + counts.notNeeded}/${counts.total}`,
      },
      { head: "FAILED", right: true, cell: ({ counts }) => String(counts.failed) },
      { head: "BY", cell: ({ created }) => created.by },
      { head: "AGE", cell: ({ created }) => agoText(created.atMs, asOf) },
    ],
    paint,
  );
}

const statusStyles = { UNKNOWN: "dim", RUNNING: "cyan", COMPLETED: "green", FAILED: "red" } as const;

function addShow(group: Command, cli: Cli): void {
  const command = group
    .command("show <deployment>")
    .description("show a deployment and its instances, and why it stands where it stands")
    .action(async (deployment: string, _options: object, command: Command) => {
      await cli.session(command, async ({ client }) => {
        const reply = await client.deployments.get({ deployment, instances: true });
        cli.show(command, reply, (found) => deploymentText(found, cli.paint));
      });
    });
  withExamples(command, "rollcall deployments show d-1");
}

function deploymentText({ deployment, instances, asOf }: ReplyOf<"deployments.get">, paint: Paint): string {
  const { spec, counts, created, reason } = deployment;
  const facts: (readonly [string, string])[] = [
    ["deployment", deployment.id],
    ["what", titleText(deployment)],
    ["status", `${deployment.status} (${stateText(deployment)})`],
    ["why", deployment.why.sentence],
    ...(reason === null ? [] : ([["reason", `${reason.code}: ${reason.message}`]] as const)),
    ["batch", amountText(spec.batch, deployment.batch)],
    ["fails at", amountText(spec.failureThreshold, deployment.failureThreshold)],
    ["counts", countsText(deployment)],
    [
      "healthy for",
      `${durationText(spec.minHealthyMs)}, deadline ${durationText(spec.deadlineMs)}, without progress ${durationText(spec.progressDeadlineMs)}`,
    ],
    [
      "rollback",
      deployment.rolledBackBy === null ? spec.rollback : `${spec.rollback}, by ${deployment.rolledBackBy}`,
    ],
    [
      "created",
      `${agoText(created.atMs, asOf)} by ${created.by}${created.reason === null ? "" : `: ${created.reason}`}`,
    ],
    ...(deployment.finishedAtMs === null
      ? []
      : ([
          [
            "finished",
            `${agoText(deployment.finishedAtMs, asOf)}, after ${durationText(deployment.finishedAtMs - created.atMs)}`,
          ],
        ] as const)),
  ];
  const table = instances.length === 0 || counts.total === 0 ? [] : ["", instancesTable(instances, paint)];
  return [factsText(facts, paint), ...table].join("\n");
}

function amountText(asked: number | string, resolved: number): string {
  return String(asked) === String(resolved) ? String(resolved) : `${resolved} (${asked})`;
}

function countsText({ counts, matched }: DeploymentView): string {
  const { total, notNeeded, waiting, inFlight, succeeded, failed, unreachable } = counts;
  return `${total} of ${matched} matched: ${succeeded} succeeded, ${notNeeded} not needed, ${inFlight} in flight, ${waiting} waiting, ${failed} failed, ${unreachable} unreachable`;
}

function addWatch(group: Command, cli: Cli): void {
  const command = group
    .command("watch <deployment>")
    .description(
      "follow a deployment until it is over, a rollback that follows included; exit codes 0, 4, 5 and 6",
    )
    .option("--timeout <duration>", "watch no longer than this", parseDuration)
    .action(async (deployment: string, { timeout }: { timeout?: number }, command: Command) => {
      await cli.session(command, async (session) => {
        const options = { json: cli.isJson(command), timeoutMs: timeout };
        cli.endWith(await followRollout(session, cli.io, deployment, options));
      });
    });
  withExamples(
    command,
    "rollcall deployments watch d-1",
    "rollcall deployments watch d-1 --json --timeout 10m",
  );
}

function addWhy(group: Command, cli: Cli): void {
  const command = group
    .command("why <deployment>")
    .description("say in one sentence what a deployment waits for")
    .action(async (deployment: string, _options: object, command: Command) => {
      await cli.session(command, async ({ client }) => {
        cli.show(command, await client.deployments.why({ deployment }), ({ sentence }: Why) =>
          plainText(sentence),
        );
      });
    });
  withExamples(command, "rollcall deployments why d-1");
}

interface ReasonOption {
  readonly reason?: string;
}

function addAct(
  group: Command,
  cli: Cli,
  verb: "pause" | "abort",
  purpose: string,
  said: (id: string) => string,
): void {
  const command = group
    .command(`${verb} <deployment>`)
    .description(purpose)
    .option("--reason <text>", "shown to others, and kept in the audit log")
    .action(async (deployment: string, { reason }: ReasonOption, command: Command) => {
      await cli.session(command, async ({ client }) => {
        const reply = await client.deployments[verb]({
          deployment,
          by: cli.requester,
          reason: reason ?? null,
        });
        cli.show(command, reply, ({ id, why }) => `${said(id)} ${plainText(why.sentence)}`);
      });
    });
  withExamples(command, `rollcall deployments ${verb} d-1 --reason "the database is slow"`);
}

function addResume(group: Command, cli: Cli): void {
  const command = group
    .command("resume <deployment>")
    .description("go on after a pause; with --force also after a hold")
    .option("--force", "go on although many instances are silent")
    .option("--reason <text>", "shown to others, and kept in the audit log")
    .action(
      async (deployment: string, { reason, force }: ReasonOption & { force?: boolean }, command: Command) => {
        await cli.session(command, async ({ client }) => {
          const request = { deployment, by: cli.requester, reason: reason ?? null, force: force === true };
          cli.show(
            command,
            await client.deployments.resume(request),
            ({ id, why }) => `${id} goes on. ${plainText(why.sentence)}`,
          );
        });
      },
    );
  withExamples(command, "rollcall deployments resume d-1", "rollcall deployments resume d-1 --force");
}

/** What makes a new deployment out of another one. */
function addSuccessor(group: Command, cli: Cli, verb: "rollback" | "retry", purpose: string): void {
  const command = group
    .command(`${verb} <deployment>`)
    .description(purpose)
    .option("--reason <text>", "kept in the audit log");
  addWaitOptions(command).action(
    async (deployment: string, options: ReasonOption & WaitOptions, command: Command) => {
      const wait = waitOf(options);
      await cli.session(command, async (session: Session) => {
        const request = { deployment, by: cli.requester, reason: options.reason ?? null };
        const made = await session.client.deployments[verb](request);
        if (wait !== undefined) {
          cli.endWith(await followRollout(session, cli.io, made.id, { ...wait, json: cli.isJson(command) }));
          return;
        }
        cli.show(
          command,
          made,
          () => `${made.id}: ${titleText(made)}.\nWatch it by rollcall deployments watch ${made.id}`,
        );
      });
    },
  );
  withExamples(command, `rollcall deployments ${verb} d-1`, `rollcall deployments ${verb} d-1 --wait`);
}
