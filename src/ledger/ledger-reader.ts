import { RollcallError } from "../base/errors.js";
import type { Bus, BusMessage, LedgerEntry, LedgerReader } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { storesOf } from "../contracts/keys.js";
import { subjectsOf } from "../contracts/subjects.js";
import { valueIn } from "./records.js";

const getTimeoutMs = 5_000;
const decoder = new TextDecoder();

/**
 * Reads a ledger with no more rights than an agent has: `get` needs to publish on the direct-get subject of its key, `watch`
 * to subscribe to the subject on which the store repeats what is written there. Nothing is set up on the server.
 */
export function openLedgerReader(bus: Bus, fleet: string): LedgerReader {
  const { root } = subjectsOf(fleet);
  return {
    async get(key) {
      return answeredEntry(fleet, key, await ask(bus, fleet, key));
    },
    watch(key, handle) {
      return bus.subscribe(`${root}.${key}`, (message) => {
        const entry = entryIn(fleet, message.subject.slice(root.length + 1), message);
        if (entry !== undefined) handle(entry);
      });
    },
  };
}

/** The subject by which one key is read without rights to any other. */
export function directGetSubject(fleet: string, key: string): string {
  return `$JS.API.DIRECT.GET.${streamOf(fleet)}.${subjectOfKey(fleet, key)}`;
}

/** The stream under the bucket of a fleet. */
export function streamOf(fleet: string): string {
  return `KV_${storesOf(fleet).bucket}`;
}

/** Where the messages of a key are stored. */
export function subjectOfKey(fleet: string, key: string): string {
  return `$KV.${storesOf(fleet).bucket}.${key}`;
}

async function ask(bus: Bus, fleet: string, key: string): Promise<BusMessage> {
  try {
    return await bus.request(directGetSubject(fleet, key), "", { timeoutMs: getTimeoutMs });
  } catch (thrown) {
    if (thrown instanceof RollcallError && thrown.code === "NOT_ALLOWED") throw thrown;
    const problem = thrown instanceof Error ? thrown.message : String(thrown);
    throw refusal("LEDGER_UNAVAILABLE", { fleet, problem }, thrown);
  }
}

function answeredEntry(fleet: string, key: string, answer: BusMessage): LedgerEntry | undefined {
  const entry = entryIn(fleet, key, answer);
  if (entry !== undefined) return entry.value === undefined ? undefined : entry;
  const status = answer.header("Status");
  if (status === "404") return undefined;
  throw refusal("LEDGER_UNAVAILABLE", {
    fleet,
    problem: `the store answered ${status ?? "without a revision"}`,
  });
}

/** The entry in a message that the store sent; `undefined` if the store did not send it. */
function entryIn(fleet: string, key: string, message: BusMessage): LedgerEntry | undefined {
  const revision = Number(message.header("Nats-Sequence"));
  if (!(revision > 0) || message.header("Nats-Subject") !== subjectOfKey(fleet, key)) return undefined;
  const isDeleted =
    message.header("KV-Operation") !== undefined || message.header("Nats-Marker-Reason") !== undefined;
  const body = isDeleted ? "" : decoder.decode(message.data);
  return {
    key,
    value: isDeleted ? undefined : valueIn(fleet, { key, body }),
    revision,
    writtenAtMs: Date.parse(message.header("Nats-Time-Stamp") ?? ""),
  };
}
