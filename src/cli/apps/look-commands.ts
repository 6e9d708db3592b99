import type { Command } from "commander";
import type { Client } from "../../api/client-types.js";
import type { ReplyOf } from "../../contracts/api.js";
import { type AppHistoryItem, type AppRow, appRowsMax } from "../../contracts/app-api.js";
import { type Cli, withExamples } from "../cli.js";
import { parseCount } from "../values.js";
import { appsText, appText, historyLines, historyText, statusText } from "./apps-text.js";

/** What shows apps, and changes nothing. */

export function addLookCommands(group: Command, cli: Cli): void {
  addLs(group, cli);
  addShow(group, cli);
  addStatus(group, cli);
  addWhy(group, cli);
  addHistory(group, cli);
}

function addLs(group: Command, cli: Cli): void {
  const command = group
    .command("ls")
    .description("list the apps: what is wanted of each, and on how many instances it is so")
    .option("--uninstalled", "also those that are uninstalled and not yet gone from everywhere")
    .action(async ({ uninstalled = false }: { uninstalled?: boolean }, command: Command) => {
      await cli.session(command, async ({ client }) => {
        cli.show(command, await allApps(client, uninstalled), ({ items, unasked, asOf }) =>
          appsText(items, unasked, asOf, cli.paint),
        );
      });
    });
  withExamples(command, "rollcall apps ls", "rollcall apps ls --uninstalled");
}

/** All pages as one list, as it stood when the last of them was answered. */
export async function allApps(client: Client, uninstalled: boolean) {
  const pages: ReplyOf<"apps.list">[] = [];
  for (let after: string | null = null; ; ) {
    const page: ReplyOf<"apps.list"> = await client.apps.list({ uninstalled, after });
    pages.push(page);
    if (page.next === null)
      return {
        ...page,
        items: pages.flatMap(({ items }) => items),
        unasked: pages.flatMap(({ unasked = [] }) => unasked),
      };
    after = page.next;
  }
}

function addShow(group: Command, cli: Cli): void {
  const command = group
    .command("show <app>")
    .description("show all that is known of one app, and why it is no further")
    .action(async (app: string, _options: object, command: Command) => {
      await cli.session(command, async ({ client }) => {
        cli.show(command, await client.apps.get({ app }), (view) => appText(view, cli.paint));
      });
    });
  withExamples(command, "rollcall apps show mail");
}

/** Changes that are looked through for as many lines as were asked for. */
const historyMax = 5_000;
/** Instances of an app that are shown with the same cause: of all apps, of one. */
const perCauseOfAll = 5;
const perCauseOfOne = 10;

interface StatusFlags {
  readonly instance?: string;
  readonly all?: boolean;
  readonly details?: boolean;
}

function addStatus(group: Command, cli: Cli): void {
  const command = group
    .command("status [app]")
    .description("show apps × instances: what each has that is not as asked, since when, why and what next")
    .option("--instance <id>", "only this instance")
    .option("--all", "also what is as asked, and who is not heard")
    .option("--details", "with --json: all that is known of each that is shown")
    .action(async (app: string | undefined, flags: StatusFlags, command: Command) => {
      const scope = { app: app ?? null, instance: flags.instance ?? null };
      await cli.session(command, async ({ client }) => {
        if (cli.isJson(command) && flags.details !== true) {
          cli.write(await seedReport(client, scope));
          return;
        }
        const all = flags.all === true;
        if (cli.isJson(command)) {
          cli.show(command, await allRows(client, { ...scope, all }), () => "");
          return;
        }
        const perCause = app === undefined ? perCauseOfAll : perCauseOfOne;
        const page = await client.apps.status({ ...scope, all, ...(!all && { perCause }) });
        cli.show(command, page, (found) =>
          statusText({ ...found, more: found.next !== null }, all, cli.paint),
        );
      });
    });
  withExamples(
    command,
    "rollcall apps status",
    "rollcall apps status mail --all",
    "rollcall apps status --instance web-1 --json",
  );
  command.addHelpText(
    "after",
    '\n--json gives all, those as asked too: {"<app>": [{"instanceId", "desiredStatus", "initStatus"}]};\ndesiredStatus is null of what nobody asked for.',
  );
}

interface Scope {
  readonly app: string | null;
  readonly instance: string | null;
  readonly all: boolean;
}

async function* rowPages(client: Client, scope: Scope): AsyncGenerator<ReplyOf<"apps.status">> {
  for (let after: ReplyOf<"apps.status">["next"] = null; ; ) {
    const page: ReplyOf<"apps.status"> = await client.apps.status({ ...scope, after });
    yield page;
    if (page.next === null) return;
    after = page.next;
  }
}

async function allRows(client: Client, scope: Scope) {
  const items: AppRow[] = [];
  for await (const page of rowPages(client, scope)) {
    items.push(...page.items);
    if (page.next === null) return { ...page, items };
  }
  return { items };
}

/** The report of old clients: by app, who has it how. */
async function seedReport(client: Client, { app, instance }: Omit<Scope, "all">): Promise<string> {
  // One app after the other: a page of all costs a look at all.
  const apps = app === null ? await appNames(client) : [app];
  const report: Record<string, Pick<AppRow, "instanceId" | "desiredStatus" | "initStatus">[]> = {};
  for (const one of apps) {
    report[one] = [];
    for await (const { items } of rowPages(client, { app: one, instance, all: true })) {
      const rows = items.map(({ instanceId, desiredStatus, initStatus }) => ({
        instanceId,
        desiredStatus,
        initStatus,
      }));
      report[one] = [...(report[one] ?? []), ...rows];
    }
  }
  return JSON.stringify(report, null, 2);
}

/** Also of those that nobody asked for. */
async function appNames(client: Client): Promise<string[]> {
  const { items, unasked } = await allApps(client, true);
  return [...items.map(({ app }) => app), ...unasked];
}

function addWhy(group: Command, cli: Cli): void {
  const command = group
    .command("why <app>")
    .description("say in one sentence why an app is what it is, on one instance or altogether")
    .option("--instance <id>", "on this instance")
    .action(async (app: string, { instance }: { instance?: string }, command: Command) => {
      await cli.session(command, async ({ client }) => {
        if (instance === undefined) {
          const { why } = await client.apps.get({ app });
          cli.show(command, why, ({ sentence }) => sentence);
          return;
        }
        const reply = await client.apps.why({ app, instance });
        cli.show(command, reply, ({ sentence }) => sentence);
      });
    });
  withExamples(command, "rollcall apps why mail --instance web-1", "rollcall apps why mail");
}

function addHistory(group: Command, cli: Cli): void {
  const command = group
    .command("history <app>")
    .description("show when and why the statuses of an app changed, the newest last")
    .option("--instance <id>", "only what is asked, and what this instance came to")
    .option("--limit <count>", "at most so many, the newest", parseCount, 100)
    .action(
      async (
        app: string,
        flags: { readonly instance?: string; readonly limit: number },
        command: Command,
      ) => {
        await cli.session(command, async ({ client }) => {
          const { instance = null, limit } = flags;
          const json = cli.isJson(command);
          const isEnough = json
            ? (items: readonly AppHistoryItem[]) => items.length >= limit
            : (items: readonly AppHistoryItem[]) =>
                items.length >= historyMax || historyLines(items).length >= limit;
          const items = await newestOf(client, { app, instance, limit: json ? limit : appRowsMax }, isEnough);
          cli.show(command, { items: items.slice(-limit) }, () =>
            items.length === 0
              ? `Nothing is known of ${app} in the audit log.`
              : historyText(items, limit, cli.paint),
          );
        });
      },
    );
  withExamples(command, "rollcall apps history mail", "rollcall apps history mail --instance web-1");
}

/** Changes until there are enough, the newest last. */
async function newestOf(
  client: Client,
  request: { readonly app: string; readonly instance: string | null; readonly limit: number },
  isEnough: (items: readonly AppHistoryItem[]) => boolean,
): Promise<AppHistoryItem[]> {
  const limit = Math.min(appRowsMax, request.limit);
  let items: AppHistoryItem[] = [];
  for (let before: number | null = null; ; ) {
    const page: ReplyOf<"apps.history"> = await client.apps.history({ ...request, before, limit });
    items = [...page.items, ...items];
    if (page.before === null || isEnough(items)) return items;
    before = page.before;
  }
}
