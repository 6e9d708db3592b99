import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { messageOf, RollcallError } from "../../base/errors.js";
import { durationText } from "../../contracts/duration.js";
import { shortType } from "../../contracts/event-words.js";
import { escapeToken } from "../../contracts/names.js";
import { readAuditFile } from "../../ledger/audit-lines.js";
import { AuditLog, auditLagMaxMs } from "../../ledger/audit-log.js";
import type { AuditEvent } from "../../ledger/event-chain.js";
import { openLedgerReader } from "../../ledger/ledger-reader.js";
import { type AuditVerdict, AuditVerifier, verifyAudit } from "../../ledger/verify-audit.js";
import { type Cli, withExamples } from "../cli.js";
import { eventLines } from "../event-lines.js";
import { exitCodes } from "../exit-codes.js";
import type { Session } from "../session.js";
import { usageError } from "../usage-error.js";
import { parseCount, parseDuration } from "../values.js";
import { countText } from "../words.js";

const limitDefault = 100;
const limitMax = 100_000;

interface EventsFlags {
  readonly follow?: boolean;
  readonly object?: { readonly kind: string; readonly id: string };
  readonly since?: (nowMs: number) => number;
  readonly limit?: number;
  readonly type?: string;
  readonly file?: string;
}

export function addEventsCommand(program: Command, cli: Cli): void {
  const command = program
    .command("events")
    .description("show what was decided and asked, and by whom: the audit log, the newest last")
    .option("--follow", "go on with what comes, until Ctrl-C")
    .option("--object <kind/id>", "only what happened to this object, deployment/d1", parseObject)
    .option("--type <type>", "only events of this type, instance.failed, or of this kind, instance")
    .option("--since <duration|time>", "none older than 10m, or than 2026-11-21T04:30:00Z", parseSince)
    .option(
      "--limit <n>",
      `at most so many, the newest (default: ${limitDefault}, with --since all)`,
      parseLimit,
    )
    .option("--file <file>", "read them from a file that --audit-file or --json has written")
    .action((flags: EventsFlags, command: Command) =>
      flags.file === undefined
        ? cli.session(command, (session) => show(cli, command, session, flags))
        : showFile(cli, command, flags.file, flags),
    );
  withExamples(
    command,
    "rollcall events --object deployment/d7",
    "rollcall events --follow --type instance.failed",
    "rollcall events --since 1h --json > events.ndjson",
  );
  addVerify(command, cli);
}

function addVerify(events: Command, cli: Cli): void {
  const command = events
    .command("verify")
    .description("check that no event was changed, removed or added, up to the end that the ledger knows of")
    .option("--file <file>", "check a file instead, which knows of no end")
    .option(
      "--wait <duration>",
      `time that the newest events may be on their way into the log (default: ${durationText(auditLagMaxMs)})`,
      parseDuration,
    )
    .action(async ({ wait }: { readonly wait?: number }, command: Command) => {
      const { file } = command.optsWithGlobals<EventsFlags>();
      const verdict =
        file === undefined
          ? await cli.session(command, ({ bus, target }) => {
              const { clock } = cli.io;
              const { fleet } = target;
              const log = new AuditLog({ fleet, bus, clock });
              const waitMs = wait ?? auditLagMaxMs;
              const onWait = () =>
                void cli.io.stderr.write(
                  `The audit log is behind the ledger: it has ${durationText(waitMs)} to catch up.\n`,
                );
              return verifyAudit(log, openLedgerReader(bus, fleet), clock, { waitMs, onWait });
            })
          : await verifyFile(pathOf(cli, file));
      cli.show(command, replyOf(verdict), () => verdictText(verdict));
    });
  withExamples(
    command,
    "rollcall events verify",
    "rollcall events verify --file /var/log/rollcall/audit.ndjson",
  );
}

async function show(cli: Cli, command: Command, { bus, target }: Session, flags: EventsFlags): Promise<void> {
  const { clock } = cli.io;
  const { kind, id } = flags.object ?? {};
  const filter = { kind: kind ?? flags.type?.split(".")[0], id, accepts: acceptsOf(flags) };
  const log = new AuditLog({ fleet: target.fleet, bus, clock });
  const sinceMs = flags.since?.(clock.nowMs()) ?? null;
  const end = await log.end();
  const { entries } = await log.page({ ...filter, limit: limitOf(flags), sinceMs, before: end + 1 });
  const writeAll = (found: typeof entries) =>
    write(
      cli,
      command,
      found.map(({ event }) => event),
    );
  writeAll(entries);
  if (flags.follow !== true) return;
  await new Promise<void>((resolve, reject) => {
    const following = log.follow(entries.at(-1)?.position ?? end, filter, {
      handle: writeAll,
      onProblem: (problem) => {
        if (!(problem instanceof RollcallError) || problem.retry === "never") reject(problem);
      },
    });
    const interruption = cli.io.onInterrupt(() => {
      following.unsubscribe();
      interruption.unsubscribe();
      resolve();
    });
  });
  cli.endWith(exitCodes.interrupted);
}

async function showFile(cli: Cli, command: Command, file: string, flags: EventsFlags): Promise<void> {
  if (flags.follow === true)
    throw usageError("--follow reads from NATS: leave --file out, or follow the file by tail -f.");
  const sinceMs = flags.since?.(cli.io.clock.nowMs()) ?? null;
  const accepts = acceptsOf(flags);
  const newest: AuditEvent[] = [];
  await overFile(pathOf(cli, file), (event) => {
    if (!accepts(event) || (sinceMs !== null && Date.parse(event.time) < sinceMs)) return;
    newest.push(event);
    if (newest.length > limitOf(flags)) newest.shift();
  });
  write(cli, command, newest);
}

async function verifyFile(path: string): Promise<AuditVerdict> {
  const verifier = new AuditVerifier();
  await overFile(path, (event) => verifier.take(event));
  return verifier.verdict("none");
}

async function overFile(path: string, take: (event: AuditEvent) => void): Promise<void> {
  try {
    for await (const event of readAuditFile(path)) take(event);
  } catch (thrown) {
    if (thrown instanceof RollcallError) throw thrown;
    throw usageError(`${path} cannot be read: ${messageOf(thrown)}.`);
  }
}

function write(cli: Cli, command: Command, events: readonly AuditEvent[]): void {
  for (const line of eventLines(events, cli.isJson(command), cli.paint)) cli.write(line);
}

function pathOf(cli: Cli, file: string): string {
  return resolve(cli.io.cwd, file);
}

function limitOf({ limit, since }: EventsFlags): number {
  return limit ?? (since === undefined ? limitDefault : limitMax);
}

function acceptsOf({ object, type }: EventsFlags): (event: AuditEvent) => boolean {
  const subject = object && `${escapeToken(object.kind)}/${escapeToken(object.id)}`;
  return (event) => {
    const short = shortType(event.type);
    const isOfType = type === undefined || short === type || short.startsWith(`${type}.`);
    return isOfType && (subject === undefined || event.subject === subject);
  };
}

function replyOf({ events, first, last, ledgers, end }: AuditVerdict) {
  const shown = (event: AuditEvent | null) =>
    event && { id: event.id, sequence: event.sequence, time: event.time };
  return { events, first: shown(first), last: shown(last), ledgers, end };
}

function verdictText({ events, first, last, ledgers, end }: AuditVerdict): string {
  if (first === null || last === null) return "There are no events.";
  const of = ledgers === 1 ? "" : ` of ${ledgers} ledgers, one after the other`;
  const range = `from ${first.id} (${first.time}) to ${last.id} (${last.time})`;
  const ending =
    end === "agrees"
      ? "The last one is the one that the ledger has written last."
      : "With what the ledger has written last it was not compared.";
  const older =
    first.sequence === 1
      ? ""
      : `\n${countText(first.sequence - 1, "event")} before them are not there any more.`;
  return `${countText(events, "event")}${of}, ${range}: none was changed, removed or added.\n${ending}${older}`;
}

function parseObject(text: string): { kind: string; id: string } {
  const [, kind, id] = /^([a-z]+)\/(.+)$/.exec(text) ?? [];
  if (kind === undefined || id === undefined)
    throw new InvalidArgumentError("Give a kind and a name: deployment/d1, instance/web-1, release/v2.");
  return { kind, id };
}

function parseSince(text: string): (nowMs: number) => number {
  const atMs = /^\d{4}-/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(atMs)) return () => atMs;
  const durationMs = parseDuration(text);
  return (nowMs) => nowMs - durationMs;
}

function parseLimit(text: string): number {
  const limit = parseCount(text);
  if (limit > limitMax) throw new InvalidArgumentError(`Give at most ${limitMax}.`);
  return limit;
}
