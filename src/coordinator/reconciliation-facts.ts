import type { FleetFacts, KnownInstance, KnownRecords } from "../../machines/reconciliation-plan.js";
import { messageOf } from "../base/errors.js";
import { byName } from "../base/name-order.js";
import type { Ledger, Objects } from "../base/ports.js";
import { type Inventory, inventorySchema } from "../contracts/inventory.js";
import { parseKey } from "../contracts/keys.js";
import { askAsLeader } from "./ask-as-leader.js";
import type { MemberState, Members } from "./members.js";
import type { RollOuts } from "./roll-outs.js";
import type { Term } from "./term.js";

/** What the control plane does to the store of files: whoever pushes may add to it, and nobody else may remove. */
export type CoordinatorFiles = Pick<Objects, "list" | "remove" | "sweep">;

export interface ReconciliationParts {
  readonly term: Term;
  readonly members: Members;
  readonly rollOuts: RollOuts;
  readonly ledger: Pick<Ledger, "readAll">;
  /** Without it the files of releases are left out. */
  readonly files: CoordinatorFiles | undefined;
}

/** An agent looks through its disk before it answers. */
const inventoryMaxMs = 30_000;
/** Agents that are asked at a time. */
const asksAtOnceMax = 16;
/** A half upload younger than this may be under way. */
export const halfUploadMs = 86_400_000;

/** Gathers everything that a reconciliation goes by. @throws RollcallError `LEDGER_UNAVAILABLE` */
export async function gatherFacts(parts: ReconciliationParts, isOver: () => boolean): Promise<FleetFacts> {
  const asked = await askAgents(parts, isOver);
  const store = await readStore(parts);
  // After the agents, who may take half a minute, so that what has changed meanwhile is known; and the ledger after all that is to be in it.
  const known = { ...knownTo(parts), ledger: ledgerOf(parts) };
  await parts.term.writer.flushed();
  return { ...asked, ...store, ...known, ...(await readLedger(parts)) };
}

function ledgerOf({ term, members }: ReconciliationParts) {
  const words = [...members.all().values()].map((member) => member.snapshot().context.seen?.ledger);
  return { isRestored: term.restoredFrom !== null, hasStrangers: words.includes("earlier") };
}

/** What the leader itself knows now. */
function knownTo({ members, rollOuts }: ReconciliationParts) {
  return {
    instances: [...members.all().values()].map((member) => knownInstance(member.snapshot())),
    deployments: [...rollOuts.records()].map(({ id, stage, rollbackOf }) => ({
      id,
      isOver: stage === "finished",
      rollbackOf,
    })),
  };
}

/** The same for one decision, without looking at the whole fleet. */
export function recordsKnownTo({ term, members, rollOuts }: ReconciliationParts): KnownRecords {
  return {
    recordOf: (instance) => members.find(instance)?.snapshot().context.record,
    rollbackOf: (deployment) => rollOuts.record(deployment)?.rollbackOf ?? null,
    isRegistered: (release) => term.catalog.releases.has(release),
  };
}

function knownInstance({ value, context: { record, seen, silent } }: MemberState): KnownInstance {
  const said =
    seen === null || silent
      ? null
      : {
          running: seen.state.running,
          observedGeneration: seen.observedGeneration,
          phase: seen.state.phase,
        };
  return { record, update: value.update, said };
}

/** The files in the store that releases and configurations are made of, by what names them. */
export function namedFiles({ catalog }: Pick<Term, "catalog">): ReadonlyMap<string, string | null> {
  const named = new Map<string, string | null>();
  for (const { release } of catalog.releases.values())
    named.set(
      `release ${release.version}`,
      release.source.kind === "artifact" ? release.source.object.name : null,
    );
  for (const { config } of catalog.configs.values())
    named.set(`configuration ${config.version}`, config.object.name);
  return named;
}

async function readLedger({ ledger }: ReconciliationParts) {
  const desired = new Map<string, number>();
  const recorded: string[] = [];
  for (const { key, value } of await ledger.readAll()) {
    const [kind, name = ""] = parseKey(key) ?? [];
    if (kind === "deployment") recorded.push(name);
    // Of a deleted key there is no value.
    if (kind === "desired.instance" && value !== undefined) desired.set(name, generationOf(value));
  }
  return { desired, recorded };
}

function generationOf(value: unknown): number {
  const generation =
    typeof value === "object" && value !== null && "generation" in value ? value.generation : 0;
  return typeof generation === "number" ? generation : 0;
}

async function readStore({ term, files }: ReconciliationParts) {
  // Before the files: what is registered later was stored later.
  const named = namedFiles(term);
  if (files === undefined) return { files, named, halfUploads: 0 };
  try {
    const nowMs = term.nowMs();
    const listed = await files.list();
    const halfUploads = await files.sweep({ olderThanMs: halfUploadMs, dryRun: true });
    return {
      files: listed.map(({ name, storedAtMs }) => ({
        name,
        ageMs: storedAtMs === undefined ? null : Math.max(0, nowMs - storedAtMs),
      })),
      named,
      halfUploads,
    };
  } catch (error) {
    term.log.warn({ error: messageOf(error) }, "the store of files could not be read");
    return { files: null, named, halfUploads: 0 };
  }
}

/** Asks the agent of every instance that is heard of; the first of each agent also for what belongs to none. */
async function askAgents(parts: ReconciliationParts, isOver: () => boolean) {
  const inventories: Inventory[] = [];
  const unanswered: { instance: string; why: string }[] = [];
  const agents = new Set<string>();
  const asks = [...parts.members.all().values()].flatMap((member) => {
    const { record, seen, silent } = member.snapshot().context;
    if (seen === null || silent) return [];
    const host = !agents.has(record.agent);
    agents.add(record.agent);
    return [{ instance: record.id, host }];
  });
  const work = async (): Promise<void> => {
    for (let ask = asks.shift(); ask !== undefined && !isOver(); ask = asks.shift()) {
      try {
        inventories.push(await inventoryOf(parts.term, ask));
      } catch (error) {
        unanswered.push({ instance: ask.instance, why: messageOf(error).slice(0, 1_024) });
      }
    }
  };
  await Promise.all(Array.from({ length: asksAtOnceMax }, work));
  const byInstance = (one: { instance: string }, other: { instance: string }) =>
    byName(one.instance, other.instance);
  return { inventories: inventories.sort(byInstance), unanswered: unanswered.sort(byInstance) };
}

async function inventoryOf(term: Term, ask: { instance: string; host: boolean }): Promise<Inventory> {
  const { instance, host } = ask;
  const subject = term.subjects.ask(instance, "inventory");
  return inventorySchema.parse(await askAsLeader(term, subject, { host }, inventoryMaxMs));
}
