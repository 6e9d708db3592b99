import type { JetStreamManager, StreamConfig, StreamInfo } from "@nats-io/jetstream";
import { JetStreamApiError, jetstreamManager } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import type { Clock, Log } from "../base/ports.js";
import { storesOf } from "../contracts/keys.js";
import { subjectsOf } from "../contracts/subjects.js";
import { streamOf, subjectOfKey } from "./ledger-reader.js";
import { orUnavailable } from "./nats-api.js";
import type { NatsLink } from "./nats-link.js";
import { isNoStorage, shareWithRoom } from "./nats-room.js";

/** How much the stores of a fleet may hold. JetStream reserves it, so that one cannot starve the others. */
export interface StoreSizes {
  readonly keysBytes: number;
  readonly eventsBytes: number;
  readonly filesBytes: number;
}

/** Asked for; where the server has less, half of it, and half again. */
export const defaultSizes: StoreSizes = {
  keysBytes: 512 * 1_048_576,
  eventsBytes: 256 * 1_048_576,
  filesBytes: 1_024 * 1_048_576,
};
/** Of a server that is not ready yet. */
const triesMax = 20;
const retryMs = 250;

/** How long the server knows a batch again that is sent a second time. */
const duplicateWindowMs = 120_000;
/** How long the marker of an expired lease stays, if nobody takes it. */
const markerTtlMs = 60_000;

const streamNotFound = 10059;
const nameInUse = 10058;

/** What is set up, and over what. */
export interface SetUp {
  readonly fleet: string;
  readonly link: NatsLink;
  readonly clock: Clock;
  readonly log: Log;
  readonly replicas: number;
  readonly sizes: StoreSizes;
}

/** A stream as it is asked for. `name` and `max_bytes` aside, an administrator's changes to what is not listed stay. */
type Wanted = Partial<StreamConfig> & { readonly name: string; readonly max_bytes: number };

/**
 * Makes the bucket, the stream of audit events and the store of release files of a fleet, and brings those that are
 * there to the settings that the ledger relies on. May run in many processes at once.
 *
 * @throws RollcallError `LEDGER_UNAVAILABLE`, `LEDGER_FULL`, `NOT_ALLOWED`
 */
export async function setUpStores(options: SetUp): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await orUnavailable(options.fleet, () => setUpOnce(options));
    } catch (thrown) {
      if (!isPassing(thrown) || tries === triesMax) throw thrown;
      await new Promise<void>((resolve) => options.clock.setTimer(retryMs, resolve));
    }
  }
}

/**
 * A server that starts, or a cluster that elects, has no store or no leader for a moment; and what was found to have room
 * may have none because another process made the same streams, or tried them, in between.
 */
function isPassing(thrown: unknown): boolean {
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  return cause instanceof JetStreamApiError && (cause.status >= 500 || isNoStorage(cause));
}

async function setUpOnce({ fleet, link, clock, log, replicas, sizes }: SetUp): Promise<void> {
  const manager = await jetstreamManager(link.connection);
  const events = await infoOf(manager, storesOf(fleet).eventStream);
  const firstSequence = await afterEventsOf(manager, fleet, events);
  const all = [bucketOf(fleet, sizes, firstSequence), eventStreamOf(fleet, sizes), filesOf(fleet, sizes)];
  const found = await Promise.all(all.map(({ name }) => infoOf(manager, name)));
  const missing = all.filter((_, index) => found[index] === undefined);
  const totalBytes = missing.reduce((sum, wanted) => sum + wanted.max_bytes, 0);
  const share =
    totalBytes === 0 ? 1 : await shareWithRoom(manager, totalBytes, { fleet, log, clock, replicas });
  // The bucket first: the stream of events takes from it.
  for (const wanted of all) {
    const maxBytes = Math.floor(wanted.max_bytes * share);
    await ensureStream(manager, { ...wanted, max_bytes: maxBytes, num_replicas: replicas }, { fleet, log });
  }
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
  { fleet, log }: { readonly fleet: string; readonly log: Log },
): Promise<void> {
  const found = (await infoOf(manager, wanted.name)) ?? (await made(manager, wanted));
  const { num_replicas: copies } = found.config;
  if (copies < (wanted.num_replicas ?? 1))
    log.warn(
      { fleet, stream: wanted.name, copies, possible: wanted.num_replicas },
      "a stream of the ledger has fewer copies than this cluster could keep: give it more by the NATS command line",
    );
  const changes = changesTo(found.config, wanted);
  const settings = Object.keys(changes);
  if (settings.length === 0) return;
  log.info(
    { fleet, stream: wanted.name, settings },
    "a stream of the ledger gets the settings that it needs",
  );
  await manager.streams.update(wanted.name, { ...found.config, ...changes });
}

async function made(manager: JetStreamManager, wanted: Wanted): Promise<StreamInfo> {
  try {
    return await manager.streams.add(wanted);
  } catch (thrown) {
    // Another process made it at the same time, with another size.
    if (thrown instanceof JetStreamApiError && thrown.code === nameInUse)
      return await manager.streams.info(wanted.name);
    throw thrown;
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
  if (typeof wanted !== "object" || wanted === null) return (found ?? false) === (wanted ?? false);
  if (typeof found !== "object" || found === null) return false;
  const has = new Map<string, unknown>(Object.entries(found));
  return Object.entries(wanted).every(([name, value]) => agrees(has.get(name), value));
}
