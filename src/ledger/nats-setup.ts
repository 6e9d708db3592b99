import type { JetStreamManager, StreamConfig, StreamInfo } from "@nats-io/jetstream";
import { JetStreamApiError, jetstreamManager } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import type { Log } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { storesOf } from "../contracts/keys.js";
import { subjectsOf } from "../contracts/subjects.js";
import { streamOf, subjectOfKey } from "./ledger-reader.js";
import { orUnavailable } from "./nats-api.js";
import type { NatsLink } from "./nats-store.js";

/** How much the stores of a fleet may hold. JetStream reserves it, so that one cannot starve the others. */
export interface StoreSizes {
  readonly keysBytes: number;
  readonly eventsBytes: number;
  readonly filesBytes: number;
}

/** Asked for; where the server has less, half of it, and half again, down to the least. */
export const defaultSizes: StoreSizes = {
  keysBytes: 512 * 1_048_576,
  eventsBytes: 256 * 1_048_576,
  filesBytes: 1_024 * 1_048_576,
};
const leastBytes = 1_048_576;

/** How long the server knows a batch again that is sent a second time. */
const duplicateWindowMs = 120_000;
/** How long the marker of an expired lease stays, if nobody takes it. */
const markerTtlMs = 60_000;

const streamNotFound = 10059;
const nameInUse = 10058;
/** Too little storage left, of the server or of the account. */
const noStorage: ReadonlySet<number> = new Set([10047, 10028, 10023]);

/** A stream as it is asked for. `name` and `max_bytes` aside, an administrator's changes to what is not listed stay. */
type Wanted = Partial<StreamConfig> & { readonly name: string; readonly max_bytes: number };

/**
 * Makes the bucket, the stream of audit events and the store of release files of a fleet, and brings those that are
 * there to the settings that the ledger relies on. May run in many processes at once.
 *
 * @throws RollcallError `LEDGER_UNAVAILABLE`, `LEDGER_FULL`, `NOT_ALLOWED`
 */
export function setUpStores(options: {
  readonly fleet: string;
  readonly link: NatsLink;
  readonly log: Log;
  readonly replicas: number;
  readonly sizes: StoreSizes;
}): Promise<void> {
  const { fleet, link, log, replicas, sizes } = options;
  return orUnavailable(fleet, async () => {
    const manager = await jetstreamManager(link.connection);
    const ensure = (wanted: Wanted) =>
      ensureStream(manager, { ...wanted, num_replicas: replicas }, { fleet, log });
    const events = await infoOf(manager, storesOf(fleet).eventStream);
    await ensure(bucketOf(fleet, sizes, await afterEventsOf(manager, fleet, events)));
    await ensure(eventStreamOf(fleet, sizes));
    await ensure(filesOf(fleet, sizes));
  });
}

function bucketOf(fleet: string, sizes: StoreSizes, firstSequence: number): Wanted {
  return {
    name: streamOf(fleet),
    description: `Rollcall: the ledger of fleet ${fleet}`,
    subjects: [subjectOfKey(fleet, ">")],
    storage: "file",
    retention: "limits",
    // A full ledger refuses; it never drops.
    discard: "new",
    max_bytes: sizes.keysBytes,
    max_msgs_per_subject: 1,
    allow_direct: true,
    allow_rollup_hdrs: true,
    deny_delete: true,
    allow_atomic: true,
    allow_msg_ttl: true,
    subject_delete_marker_ttl: nanos(markerTtlMs),
    duplicate_window: nanos(duplicateWindowMs),
    republish: { src: subjectOfKey(fleet, "desired.>"), dest: subjectsOf(fleet).desired("desired.>") },
    ...(firstSequence > 1 ? { first_seq: firstSequence } : {}),
  };
}

function eventStreamOf(fleet: string, sizes: StoreSizes): Wanted {
  const subjects = `${subjectsOf(fleet).root}.event`;
  return {
    name: storesOf(fleet).eventStream,
    description: `Rollcall: the audit events of fleet ${fleet}`,
    storage: "file",
    retention: "limits",
    discard: "old",
    max_bytes: sizes.eventsBytes,
    allow_direct: true,
    // What is in the audit log stays as it is until its room is needed.
    deny_delete: true,
    deny_purge: true,
    allow_rollup_hdrs: false,
    sources: [
      {
        name: streamOf(fleet),
        subject_transforms: [
          { src: subjectOfKey(fleet, "event.*.*.*"), dest: `${subjects}.{{wildcard(1)}}.{{wildcard(2)}}` },
        ],
      },
    ],
    republish: { src: `${subjects}.>`, dest: `${subjects}.>` },
  };
}

/** As the client library's object store makes it, with a limit. */
function filesOf(fleet: string, sizes: StoreSizes): Wanted {
  const { files } = storesOf(fleet);
  return {
    name: `OBJ_${files}`,
    description: `Rollcall: the files of releases of fleet ${fleet}`,
    subjects: [`$O.${files}.C.>`, `$O.${files}.M.>`],
    storage: "file",
    retention: "limits",
    discard: "new",
    max_bytes: sizes.filesBytes,
    allow_direct: true,
    allow_rollup_hdrs: true,
  };
}

/**
 * Where a new bucket begins to count: behind what the audit stream has taken over from one that was there before, as
 * it would take the events of a bucket that counts from 1 for old ones.
 */
async function afterEventsOf(
  manager: JetStreamManager,
  fleet: string,
  events: StreamInfo | undefined,
): Promise<number> {
  if (events === undefined || events.state.messages === 0) return 1;
  const last = await manager.streams.getMessage(storesOf(fleet).eventStream, { seq: events.state.last_seq });
  const [stream, sequence] = (last?.header.get("Nats-Stream-Source") ?? "").split(" ");
  return stream === streamOf(fleet) ? Number(sequence) + 1 : 1;
}

async function ensureStream(
  manager: JetStreamManager,
  wanted: Wanted,
  context: { readonly fleet: string; readonly log: Log },
): Promise<void> {
  const found = (await infoOf(manager, wanted.name)) ?? (await made(manager, wanted, context));
  if (found === undefined) return await ensureStream(manager, wanted, context);
  const changes = changesTo(found.config, wanted);
  if (Object.keys(changes).length === 0) return;
  context.log.info(
    { fleet: context.fleet, stream: wanted.name, settings: Object.keys(changes) },
    "a stream of the ledger gets the settings that it needs",
  );
  await manager.streams.update(wanted.name, { ...found.config, ...changes });
}

/** @returns undefined if another process made it at the same time */
async function made(
  manager: JetStreamManager,
  wanted: Wanted,
  { fleet, log }: { readonly fleet: string; readonly log: Log },
): Promise<StreamInfo | undefined> {
  for (let maxBytes = wanted.max_bytes; ; maxBytes = Math.max(leastBytes, Math.floor(maxBytes / 2))) {
    try {
      const info = await manager.streams.add({ ...wanted, max_bytes: maxBytes });
      if (maxBytes < wanted.max_bytes)
        log.warn(
          { fleet, stream: wanted.name, maxBytes },
          "JetStream has little room: a stream of the ledger is smaller than usual",
        );
      return info;
    } catch (thrown) {
      const code = thrown instanceof JetStreamApiError ? thrown.code : 0;
      if (code === nameInUse) return undefined;
      if (!noStorage.has(code)) throw thrown;
      if (maxBytes <= leastBytes)
        throw refusal("LEDGER_FULL", { fleet, problem: `no room for the stream ${wanted.name}` }, thrown);
    }
  }
}

async function infoOf(manager: JetStreamManager, stream: string): Promise<StreamInfo | undefined> {
  try {
    return await manager.streams.info(stream);
  } catch (thrown) {
    if (thrown instanceof JetStreamApiError && thrown.code === streamNotFound) return undefined;
    throw thrown;
  }
}

/** Of these an administrator may choose other values. */
const free: ReadonlySet<string> = new Set([
  "max_bytes",
  "num_replicas",
  "description",
  "first_seq",
  "storage",
]);

/** The settings in which a stream differs from what the ledger relies on. */
function changesTo(config: StreamConfig, wanted: Wanted): Partial<StreamConfig> {
  const has = new Map<string, unknown>(Object.entries(config));
  return Object.fromEntries(
    Object.entries(wanted).filter(([name, value]) => !free.has(name) && !agrees(has.get(name), value)),
  );
}

/** Whether a setting has everything that is wanted of it; the server adds defaults of its own. */
function agrees(found: unknown, wanted: unknown): boolean {
  if (typeof wanted !== "object" || wanted === null) return (found ?? false) === wanted;
  if (typeof found !== "object" || found === null) return false;
  const has = new Map<string, unknown>(Object.entries(found));
  return Object.entries(wanted).every(([name, value]) => agrees(has.get(name), value));
}
