import type { Command } from "commander";
import type { Client } from "../../api/client-types.js";
import type { ReplyOf } from "../../contracts/api.js";
import { ageText } from "../../contracts/duration.js";
import type { InstanceView } from "../../contracts/views.js";
import { type Cli, withExamples } from "../cli.js";
import type { Paint } from "../paint.js";
import { factsText, tableText } from "../table.js";
import { labelsText, versionCell } from "../words.js";

export function addInstanceCommands(program: Command, cli: Cli): void {
  const group = program.command("instances").description("the instances of the fleet");
  addLs(group, cli);
  addShow(group, cli);
  addReset(group, cli);
  addRm(group, cli);
  addTakeover(group, cli);
}

function addLs(group: Command, cli: Cli): void {
  const command = group
    .command("ls")
    .description("list the instances: what each should run, what it runs, and how it is")
    .option("--selector <labels>", "only those that match: k=v or k!=v, comma = and")
    .action(async ({ selector }: { selector?: string }, command: Command) => {
      await cli.session(command, async ({ client }) => {
        const reply = await allInstances(client, selector ?? null);
        cli.show(command, reply, ({ items }) =>
          items.length === 0 ? noInstances(selector) : instancesTable(items, cli.paint),
        );
      });
    });
  withExamples(command, "rollcall instances ls", "rollcall instances ls --selector tier=web,zone!=b");
}

/** All pages as one list, as it stood when the last of them was answered. */
async function allInstances(client: Client, selector: string | null) {
  const pages: ReplyOf<"instances.list">[] = [];
  for (let after: string | null = null; ; ) {
    const page: ReplyOf<"instances.list"> = await client.instances.list({ selector, after });
    pages.push(page);
    if (page.next === null) return { ...page, items: pages.flatMap(({ items }) => items) };
    after = page.next;
  }
}

function addShow(group: Command, cli: Cli): void {
  const command = group
    .command("show <instance>")
    .description("show all that is known of one instance, and why it stands where it stands")
    .action(async (instance: string, _options: object, command: Command) => {
      await cli.session(command, async ({ client }) => {
        cli.show(command, await client.instances.get({ instance }), (view) => instanceText(view, cli.paint));
      });
    });
  withExamples(command, "rollcall instances show web-1");
}

function addReset(group: Command, cli: Cli): void {
  const command = group
    .command("reset <instance>")
    .description("forget an instance's failure, so that it is tried again")
    .option("--reason <text>", "kept in the audit log")
    .action(async (instance: string, { reason }: { reason?: string }, command: Command) => {
      await cli.session(command, async ({ client }) => {
        const reply = await client.instances.reset({ instance, by: cli.requester, reason: reason ?? null });
        cli.show(command, reply, ({ id, why }) => `${id} is tried again. ${why}`);
      });
    });
  withExamples(command, "rollcall instances reset web-1");
}

function addRm(group: Command, cli: Cli): void {
  const command = group
    .command("rm <instance>")
    .description("take an instance out of the fleet; one that lives comes back by its next report")
    .option("--reason <text>", "kept in the audit log")
    .action(async (instance: string, { reason }: { reason?: string }, command: Command) => {
      await cli.session(command, async ({ client }) => {
        const reply = await client.instances.remove({ instance, by: cli.requester, reason: reason ?? null });
        cli.show(command, reply, () => `${instance} is out of the fleet.`);
      });
    });
  withExamples(command, "rollcall instances rm web-7");
}

function addTakeover(group: Command, cli: Cli): void {
  const command = group
    .command("takeover <instance>")
    .description("give an instance to another agent, for good")
    .requiredOption("--agent <id>", "the agent that is to run it from now on")
    .option("--reason <text>", "kept in the audit log")
    .action(
      async (instance: string, { agent, reason }: { agent: string; reason?: string }, command: Command) => {
        await cli.session(command, async ({ client }) => {
          const reply = await client.instances.takeover({
            instance,
            agent,
            by: cli.requester,
            reason: reason ?? null,
          });
          cli.show(command, reply, (view) => `${view.id} belongs to agent ${view.agent} now.`);
        });
      },
    );
  withExamples(command, "rollcall instances takeover web-1 --agent agent-2");
}

function noInstances(selector: string | undefined): string {
  return selector === undefined
    ? "There are no instances yet: start some by rollcall agent --instance NAME"
    : `No instance matches ${selector}.`;
}

/** Also under `deployments show`. */
export function instancesTable(instances: readonly InstanceView[], paint: Paint): string {
  return tableText(
    instances,
    [
      { head: "INSTANCE", cell: ({ id }) => id },
      {
        head: "STATUS",
        cell: ({ status }) => status,
        paint: (text, { status }) => paint(statusStyles[status], text),
      },
      { head: "UPDATE", cell: ({ updateState }) => updateState },
      { head: "RUNS", cell: ({ running }) => versionCell(running) },
      { head: "SHOULD RUN", cell: ({ desired }) => versionCell(desired) },
      { head: "PHASE", cell: phaseText },
      { head: "PORT", right: true, cell: ({ port }) => String(port ?? "-") },
      { head: "LABELS", cell: ({ labels }) => labelsText(labels) },
      { head: "REPORT", cell: ({ reportAgeMs }) => reportText(reportAgeMs) },
    ],
    paint,
  );
}

const statusStyles = { HEALTHY: "green", DEGRADED: "yellow", FAILED: "red", UNKNOWN: "yellow" } as const;

function phaseText({ phase, progress, updateState }: InstanceView): string {
  if (phase === null) return "-";
  return updateState === "IN_PROGRESS" ? `${phase} ${progress} %` : phase;
}

function reportText(ageMs: number | null): string {
  return ageMs === null ? "none yet" : ageText(ageMs);
}

function instanceText(view: InstanceView, paint: Paint): string {
  const facts: (readonly [string, string])[] = [
    ["instance", view.id],
    ["agent", view.agent],
    ["labels", labelsText(view.labels)],
    ["status", view.status],
    ["update", view.updateState],
    ...(view.reason === null ? [] : ([["reason", `${view.reason.code}: ${view.reason.message}`]] as const)),
    ["should run", `${versionCell(view.desired)} (generation ${view.generation})`],
    ["runs", `${versionCell(view.running)} (has seen generation ${view.observedGeneration})`],
    ["stable", versionCell(view.stable)],
    ["phase", `${phaseText(view)}${view.note === "" ? "" : `, ${view.note}`}`],
    ["port", String(view.port ?? "-")],
    ["process", `${view.pid ?? "-"}, ${view.restarts} restarts`],
    ["last report", reportText(view.reportAgeMs)],
    ["deployment", view.deployment === null ? "-" : `${view.deployment} (${view.claim ?? "-"})`],
    ["why", view.why],
  ];
  return factsText(facts, paint);
}
