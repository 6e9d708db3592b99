import { type Command, Option } from "commander";
import type { RequestOf } from "../../contracts/api.js";
import type { Amount } from "../../contracts/deployment.js";
import { type Cli, withExamples } from "../cli.js";
import { followRollout } from "../follow.js";
import { previewText } from "../preview-view.js";
import { titleText } from "../rollout-picture.js";
import { usageError } from "../usage-error.js";
import { parseAmount, parseDuration } from "../values.js";

interface DeployOptions {
  readonly release?: string;
  readonly config?: string;
  readonly selector?: string;
  readonly all?: boolean;
  readonly batch: Amount;
  readonly failureThreshold: Amount;
  readonly minHealthy?: number;
  readonly deadline?: number;
  readonly progressDeadline?: number;
  readonly onStuck: "fail" | "report";
  /** `--no-rollback` */
  readonly rollback: boolean;
  readonly reason?: string;
  readonly dryRun?: boolean;
}

/** `deploy`, and the same as `deployments create`. */
export function addDeployCommand(parent: Command, name: "deploy" | "create", cli: Cli): void {
  const command = parent
    .command(name)
    .description(
      "roll a release, a configuration or both out, a batch at a time; goes back when too many fail",
    )
    .option("--release <version>", "the release to roll out")
    .option("--config <version>", "the configuration to roll out")
    .option("--selector <labels>", "to the instances that match: k=v or k!=v, comma = and")
    .option("--all", "to all instances")
    .option("--batch <amount>", "instances in flight at once, a number or a percentage", parseAmount, 1)
    .option(
      "--failure-threshold <amount>",
      "failures at which it fails and goes back, a number or a percentage",
      parseAmount,
      1,
    )
    .option(
      "--min-healthy <duration>",
      "how long an instance must be healthy (default: the release's own)",
      parseDuration,
    )
    .option(
      "--deadline <duration>",
      "for one instance, from the command (default: the release's own)",
      parseDuration,
    )
    .option("--progress-deadline <duration>", "without any instance moving (default: 20m)", parseDuration)
    .addOption(
      new Option("--on-stuck <what>", "when it has passed the progress deadline: fail, or only report it")
        .choices(["fail", "report"])
        .default("fail"),
    )
    .option("--no-rollback", "do not go back when it fails")
    .option("--reason <text>", "kept in the audit log")
    .option("--dry-run", "say what it would do, and change nothing");
  addWaitOptions(command).action(async (options: DeployOptions & WaitOptions, command: Command) => {
    const request = requestOf(options, cli.requester);
    const wait = waitOf(options);
    await cli.session(command, async (session) => {
      if (options.dryRun === true) {
        cli.show(command, await session.client.deployments.preview(request), previewText);
        return;
      }
      const deployment = await session.client.deployments.create(request);
      if (wait !== undefined) {
        cli.endWith(
          await followRollout(session, cli.io, deployment.id, { ...wait, json: cli.isJson(command) }),
        );
        return;
      }
      cli.show(command, deployment, () =>
        [
          `${deployment.id}: ${titleText(deployment)}, batch ${deployment.batch}, fails at ${deployment.failureThreshold}.`,
          `Watch it by rollcall deployments watch ${deployment.id}`,
        ].join("\n"),
      );
    });
  });
  const called = name === "deploy" ? "rollcall deploy" : "rollcall deployments create";
  withExamples(
    command,
    `${called} --release v2 --all --wait`,
    `${called} --release v2 --batch 2 --failure-threshold 2 --selector tier=web --wait --timeout 10m`,
    `${called} --release v2 --all --batch 25% --dry-run`,
    `${called} --config c7 --selector zone!=b --batch 25%`,
  );
}

export interface WaitOptions {
  readonly wait?: boolean;
  readonly timeout?: number;
}

export function addWaitOptions(command: Command): Command {
  return command
    .option("--wait", "stay until it is over, a rollback that follows included; exit codes 0, 4, 5 and 6")
    .option("--timeout <duration>", "with --wait: stay no longer than this", parseDuration);
}

/** How to wait; `undefined`: not at all. */
export function waitOf({
  wait,
  timeout,
}: WaitOptions): { readonly timeoutMs: number | undefined } | undefined {
  if (wait === true) return { timeoutMs: timeout };
  if (timeout !== undefined) throw usageError("--timeout is about waiting: give --wait too.");
  return undefined;
}

function requestOf(options: DeployOptions, by: string): RequestOf<"deployments.create"> {
  const { selector, all } = options;
  if (selector === undefined && all !== true)
    throw usageError("Say which instances: give --selector k=v, or --all.");
  if (selector !== undefined && all === true)
    throw usageError("--selector and --all contradict each other: give one of them.");
  return {
    release: options.release ?? null,
    config: options.config ?? null,
    selector: selector ?? null,
    batch: options.batch,
    failureThreshold: options.failureThreshold,
    ...(options.minHealthy !== undefined && { minHealthyMs: options.minHealthy }),
    ...(options.deadline !== undefined && { deadlineMs: options.deadline }),
    ...(options.progressDeadline !== undefined && { progressDeadlineMs: options.progressDeadline }),
    onStuck: options.onStuck,
    rollback: options.rollback ? "auto" : "off",
    by,
    reason: options.reason ?? null,
  };
}
