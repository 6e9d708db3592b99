import type { StatsFs } from "node:fs";
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { PermissionViolationError } from "@nats-io/transport-node";
import { coordinatorsOf } from "../api/find-coordinators.js";
import { asRefusal } from "../api/problem-answer.js";
import { messageOf } from "../base/errors.js";
import { type CoordinatorView, doesNotAnswer, type FleetStatus } from "../contracts/views.js";
import type { CliIo } from "./cli-io.js";
import { readContext } from "./context.js";
import type { GlobalOptions } from "./global-options.js";
import { type Session, withSession } from "./session.js";
import { findTarget, type Target } from "./target.js";
import { agoText, countText, oddAppsText, sizeText } from "./words.js";

/** One thing that was looked at. */
export interface Check {
  readonly name: string;
  readonly state: "good" | "odd" | "bad" | "skipped";
  readonly found: string;
  /** What to do about it; `null` if nothing. */
  readonly next: string | null;
  /** Without it no command works. */
  readonly vital: boolean;
}

const vitalNames = ["context", "nats", "jetstream", "control plane", "leader"] as const;
const otherNames = ["ledger", "instances", "apps", "roll-outs", "rules"] as const;
const storageShareMax = 0.9;
const diskFreeMinBytes = 500_000_000;

/** Looks at everything in the order in which it depends on one another; what cannot be looked at is `skipped`. */
export async function diagnose(options: GlobalOptions, io: CliIo): Promise<Check[]> {
  const target = await findTarget(options, io);
  const checks: Check[] = [await contextCheck(target)];
  try {
    if (checks[0]?.state !== "bad")
      await withSession(options, io, (session) => networkChecks(session, checks));
  } catch (thrown) {
    const { message } = asRefusal(thrown);
    checks.push(vital(vitalNames[checks.length] ?? "control plane", "bad", message, natsNext(target)));
  }
  const looked = new Set(checks.map(({ name }) => name));
  for (const name of [...vitalNames, ...otherNames]) {
    if (!looked.has(name))
      checks.push(other(name, "skipped", "not looked at, since something before it is missing"));
  }
  return [...checks, await diskCheck(target.dataDir)];
}

async function contextCheck({ url, source, fleet, dataDir }: Target): Promise<Check> {
  if (url === undefined)
    return vital(
      "context",
      "bad",
      `neither --nats, NATS_URL nor a context in ${dataDir} says where NATS is`,
      "start everything by rollcall up, or give --nats URL",
    );
  const found = `${withoutCredentials(url)} by ${source}, fleet ${fleet}`;
  const pid = source === "context.json" ? (await readContext(dataDir))?.pid : undefined;
  if (pid !== undefined && !isAlive(pid))
    return vital(
      "context",
      "odd",
      `${found}; the rollcall up that wrote it (process ${pid}) has ended`,
      "start it again by rollcall up",
    );
  return vital("context", "good", found);
}

/** Adds one check after the other; throws at the first that makes the next impossible. */
async function networkChecks(session: Session, checks: Check[]): Promise<void> {
  checks.push(await natsCheck(session), await jetstreamCheck(session));
  const { bus, client, target } = session;
  const isThere = (await coordinatorsOf(bus, target.fleet)).length > 0;
  const coordinators = isThere ? (await client.coordinators.list()).items : [];
  checks.push(controlPlaneCheck(coordinators, target.fleet));
  if (!isThere) return;
  const status = await session.client.status.get();
  checks.push(leaderCheck(status), ledgerCheck(status), instancesCheck(status), appsCheck(status));
  checks.push(rolloutsCheck(status), rulesCheck(status));
}

async function natsCheck({ bus: { connection } }: Session): Promise<Check> {
  const roundTripMs = await connection.rtt();
  return vital(
    "nats",
    "good",
    `nats-server ${connection.info?.version ?? "?"} at ${connection.getServer()}, ${roundTripMs} ms away`,
  );
}

async function jetstreamCheck({ bus: { connection } }: Session): Promise<Check> {
  try {
    const { storage, limits } = await (await jetstreamManager(connection)).getAccountInfo();
    const bounded = limits.max_storage > 0;
    const found = `${sizeText(storage)} stored${bounded ? ` of ${sizeText(limits.max_storage)}` : ""}`;
    return bounded && storage > storageShareMax * limits.max_storage
      ? vital(
          "jetstream",
          "odd",
          found,
          "remove old releases by rollcall releases rm, or give JetStream more room",
        )
      : vital("jetstream", "good", found);
  } catch (thrown) {
    // The client library wraps it.
    if (thrown instanceof Error && thrown.cause instanceof PermissionViolationError)
      return vital(
        "jetstream",
        "skipped",
        "not looked at: this user may not ask for it, only others need it",
      );
    return vital(
      "jetstream",
      "bad",
      `not usable: ${messageOf(thrown)}`,
      "start nats-server with JetStream (-js), and let this user use it",
    );
  }
}

function controlPlaneCheck(coordinators: readonly CoordinatorView[], fleet: string): Check {
  if (coordinators.length === 0)
    return vital(
      "control plane",
      "bad",
      `no coordinator of fleet ${fleet} answers`,
      "start one by rollcall up or rollcall coordinator, or name another fleet by --fleet",
    );
  const troubled = coordinators.find(({ problem }) => (problem ?? null) !== null);
  if (troubled !== undefined)
    return vital(
      "control plane",
      "odd",
      `coordinator ${troubled.id} (${troubled.version}): ${troubled.problem}`,
      "see rollcall coordinators ls and its log",
    );
  const silent = coordinators.find(({ doing }) => doing.startsWith(doesNotAnswer));
  if (silent !== undefined)
    return vital(
      "control plane",
      "odd",
      `coordinator ${silent.id} ${silent.doing}`,
      `look at its host, ${silent.node}`,
    );
  const versions = new Set(coordinators.map(({ version }) => version));
  const names = coordinators.map(({ id, version }) => `${id} (${version})`).join(", ");
  const found = `${countText(coordinators.length, "coordinator")}: ${names}`;
  return versions.size === 1
    ? vital("control plane", "good", found)
    : vital("control plane", "odd", found, "bring all of them to the same version");
}

function leaderCheck({ leader, epoch, fleet }: FleetStatus): Check {
  return leader === null
    ? vital(
        "leader",
        "bad",
        `nobody leads fleet ${fleet}`,
        "wait for the lease to end (3 s, on a cluster 12 s); then look into the coordinators' logs",
      )
    : vital("leader", "good", `${leader} leads, epoch ${epoch}`);
}

function ledgerCheck({ ledger, ledgerNowMs }: FleetStatus): Check {
  if (ledger === undefined)
    return other("ledger", "skipped", "the coordinator is of a version that does not say");
  const { notice, sinceMs, restoredFrom } = ledger;
  const since = sinceMs === null ? "" : ` ${agoText(sinceMs, ledgerNowMs)}`;
  return notice === null
    ? other("ledger", "good", `${restoredFrom === null ? "made" : "restored"}${since}`)
    : other("ledger", "odd", notice, "see what runs by rollcall status; deploy what is to run");
}

function instancesCheck({ instances, apps }: FleetStatus): Check {
  const { total, UNKNOWN, HEALTHY, FAILED, DEGRADED } = instances;
  if (total === 0 && (apps?.instances ?? 0) > 0)
    return other("instances", "good", "there are none besides those that have apps");
  if (total === 0)
    return other("instances", "odd", "there are none", "start some by rollcall agent --instance NAME");
  const found = `${HEALTHY} of ${total} healthy, ${DEGRADED} degraded, ${FAILED} failed, ${UNKNOWN} unknown`;
  if (FAILED > 0)
    return other(
      "instances",
      "bad",
      found,
      "see why by rollcall instances ls and rollcall instances show NAME",
    );
  if (UNKNOWN > 0)
    return other(
      "instances",
      "odd",
      found,
      "see which are silent by rollcall instances ls, and whether their agents run",
    );
  return other(
    "instances",
    DEGRADED > 0 ? "odd" : "good",
    found,
    DEGRADED > 0 ? "see what the service says: rollcall instances ls" : null,
  );
}

function appsCheck({ apps }: FleetStatus): Check {
  if (apps === undefined)
    return other("apps", "skipped", "the coordinator is of a version that does not say");
  const found = `${countText(apps.apps, "app")} on ${countText(apps.instances, "instance")}`;
  const odd = oddAppsText(apps);
  if (odd === "") return other("apps", "good", found);
  const verdict = apps.alerts > 0 ? "bad" : "odd";
  return other("apps", verdict, `${found}; ${odd}`, "see which and why by rollcall apps status");
}

function rolloutsCheck({ active, latest }: FleetStatus): Check {
  const stands = active.find(({ state }) => state === "held" || state === "paused");
  if (stands !== undefined)
    return other("roll-outs", "odd", `${stands.id} is ${stands.state}`, stands.why.sentence);
  if (active.length > 0)
    return other("roll-outs", "good", `${countText(active.length, "roll-out")} under way`);
  if (latest?.outcome === "rollback_failed")
    return other(
      "roll-outs",
      "bad",
      `the rollback ${latest.id} failed`,
      `see rollcall deployments show ${latest.id}`,
    );
  return other("roll-outs", "good", "none under way");
}

/** What a coordinator has found itself to do that none ever should. */
function rulesCheck({ broken }: FleetStatus): Check {
  if (broken === undefined)
    return other(
      "rules",
      "skipped",
      "whoever has answered does not lead, or is of a version that does not say",
    );
  const [first] = broken;
  if (first === undefined) return other("rules", "good", "the leader has found itself to break none");
  const { rule, times, sentence } = first;
  const more = broken.length > 1 ? `, and ${countText(broken.length - 1, "other rule")}` : "";
  return other(
    "rules",
    "bad",
    `RULE_BROKEN ${rule}, ${countText(times, "time")}: ${sentence}${more}`,
    "pause what rolls out, and see RULE_BROKEN in the runbook",
  );
}

async function diskCheck(dataDir: string): Promise<Check> {
  const { bavail, bsize } = await statfsOfNearest(dataDir);
  const freeBytes = bavail * bsize;
  return freeBytes < diskFreeMinBytes
    ? other(
        "disk",
        "bad",
        `only ${sizeText(freeBytes)} free for ${dataDir}`,
        "free some room, or give another folder by --data",
      )
    : other("disk", "good", `${sizeText(freeBytes)} free for ${dataDir}`);
}

/** Of the folder, or of the nearest one above that is there already. */
async function statfsOfNearest(folder: string): Promise<StatsFs> {
  try {
    return await statfs(folder);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ENOENT" || dirname(folder) === folder) throw thrown;
    return statfsOfNearest(dirname(folder));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === "EPERM";
  }
}

function withoutCredentials(url: string): string {
  return url.replace(/\/\/[^@/]*@/g, "//");
}

function natsNext({ source }: Target): string {
  return source === "context.json"
    ? "start it again by rollcall up"
    : `check the address and the credentials (${source}), and that nats-server runs`;
}

function vital(name: string, state: Check["state"], found: string, next: string | null = null): Check {
  return { name, state, found, next, vital: true };
}

function other(name: string, state: Check["state"], found: string, next: string | null = null): Check {
  return { name, state, found, next, vital: false };
}
