import { RollcallError } from "../../src/base/errors.js";
import type {
  Bus,
  Clock,
  Leadership,
  LeaseHeld,
  Ledger,
  LedgerBatch,
  LedgerReader,
} from "../../src/base/ports.js";
import type { AuditEvent } from "../../src/ledger/event-chain.js";

/** One process with a connection and a ledger of its own. */
export interface LedgerProcess {
  readonly ledger: Ledger;
  readonly bus: Bus;
}

/** The same suite runs over every ledger. */
export interface LedgerWorld {
  readonly fleet: string;
  readonly clock: Clock;
  open(name: string): Promise<LedgerProcess>;
  /** With an agent's rights. */
  reader(name: string): Promise<LedgerReader & { readonly bus: Bus }>;
  /** The audit events, oldest first. */
  events(): Promise<AuditEvent[]>;
  cutOff(name: string): Promise<void>;
  heal(name: string): Promise<void>;
  /** The store is gone for everybody. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** The next commit of a process is stored, and the answer to it lost. */
  loseNextAnswer(name: string): Promise<{ healed(): Promise<void> }>;
  /** The next commit is refused, for another reason than those with an error code of their own. */
  refuseNextCommit(): Promise<{ healed(): Promise<void> }>;
  /** Leaves room for so many bytes more. */
  leaveRoom(bytes: number): Promise<void>;
  end(): Promise<void>;
}

export const leaseMs = 2_000;

/** Who and why: of no interest to a ledger. */
export const anOrigin = { actor: "user:alice", cause: "request:k1" } as const;

export function event(type = "deployment.created", data: Record<string, unknown> = {}) {
  return { kind: "deployment", id: "d1", type, data, ...anOrigin } as const;
}

export function batch(puts: Record<string, unknown>, deletes: string[] = []): LedgerBatch {
  return { events: [event()], puts: Object.entries(puts).map(([key, value]) => ({ key, value })), deletes };
}

export function isLeadership(taken: Leadership | LeaseHeld): taken is Leadership {
  return "commit" in taken;
}

/** Waits until `check` holds, in the time of the world. */
export async function eventuallyIn<T>(
  { clock }: Pick<LedgerWorld, "clock">,
  check: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const untilMs = clock.monotonicMs() + 30_000;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false) return value;
    if (clock.monotonicMs() > untilMs) throw new Error("not so within 30 s");
    await pass({ clock }, 10);
  }
}

export async function lead(process: LedgerProcess, holder = "one"): Promise<Leadership> {
  const taken = await process.ledger.acquire({ holder, leaseMs });
  if (!isLeadership(taken)) throw new Error(`${taken.heldBy} leads`);
  return taken;
}

/** Lets time pass in the world. */
export function pass({ clock }: Pick<LedgerWorld, "clock">, ms: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(ms, resolve));
}

/** As a leader does: a renewal that a busy machine did not answer in time is asked for again. */
export async function renew(world: Pick<LedgerWorld, "clock">, leadership: Leadership): Promise<void> {
  await eventuallyIn(world, () =>
    leadership.renew().then(
      () => true,
      (thrown: unknown) => {
        if (thrown instanceof RollcallError && thrown.code === "LEDGER_UNAVAILABLE") return false;
        throw thrown;
      },
    ),
  );
}

/** What was written there, by key, without what a ledger keeps for itself. */
export async function contents(ledger: Ledger): Promise<Record<string, unknown>> {
  const own = new Set(["lease", "epoch", "ledger", "event-head"]);
  const entries = (await ledger.readAll()).filter(({ key }) => !own.has(key));
  return Object.fromEntries(
    entries.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ key, value }) => [key, value]),
  );
}
