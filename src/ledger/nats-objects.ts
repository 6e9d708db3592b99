import { JetStreamApiError, jetstreamManager } from "@nats-io/jetstream";
import { Objm } from "@nats-io/obj";
import { z } from "zod";
import { messageOf, RollcallError } from "../base/errors.js";
import type { Bus, BusMessage, Clock, Log, Objects, StoredObject } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { storesOf } from "../contracts/keys.js";
import { directGetMany, leaderGet, orUnavailable, streamMessages } from "./nats-api.js";
import type { NatsLink } from "./nats-link.js";
import { assertObjectName, ObjectDigest } from "./object-digest.js";

const getTimeoutMs = 5_000;
const putTimeoutMs = 10_000;
/** Chunks of one request: about a mebibyte, so that a slow line does not time out. */
const chunksAtOnceMax = 8;
const chunksTimeoutMs = 30_000;
/** Tries to read a chunk that a follower of a cluster does not have yet. */
const triesMax = 20;
const retryMs = 100;
/** Chunks without an entry are of an upload that failed, if they are this old. */
const orphanMs = 3_600_000;

/** JetStream's "maximum bytes exceeded" and its kin. */
const fullCodes: ReadonlySet<number> = new Set([10077, 10047, 10028, 10023]);

/** The entry of a file, as the client library's object store writes it. */
const entrySchema = z.object({
  name: z.string(),
  nuid: z.string(),
  size: z.int().nonnegative(),
  chunks: z.int().nonnegative(),
  digest: z.string(),
  deleted: z.boolean().optional(),
});

type Entry = z.infer<typeof entrySchema>;

/**
 * The files of a fleet with an agent's rights: by direct get only, which needs to publish on `$JS.API.DIRECT.GET.OBJ_<files>`
 * and what is below it, and nothing else. (The client library's object store makes consumers.)
 */
export function openObjectsReader(options: {
  readonly fleet: string;
  readonly bus: Bus;
  readonly clock: Clock;
}): Pick<Objects, "get"> {
  return { get: (name) => download(options, name) };
}

/** The files of a fleet, for who may write them. The store is made by `openNatsLedger`. */
export function openNatsObjects(options: {
  readonly fleet: string;
  readonly bus: NatsLink;
  readonly clock: Clock;
  readonly log: Log;
}): Objects {
  const { fleet, bus, clock, log } = options;
  const { stream, entries } = namesOf(fleet);
  return {
    get: (name) => download(options, name),
    async put(name, chunks) {
      assertObjectName(name);
      const source = noted(chunks);
      try {
        return await upload(options, name, source.chunks);
      } catch (thrown) {
        if (source.failure() !== undefined) throw source.failure();
        if (!isFull(thrown)) throw unavailable(fleet, thrown);
        await sweep(options).catch((problem: unknown) => {
          log.warn(
            { fleet, problem: messageOf(problem) },
            "what failed uploads left in the store of files was not removed",
          );
        });
        throw refusal("OBJECT_STORE_FULL", { name }, thrown);
      }
    },
    remove: (name) =>
      orUnavailable(fleet, async () => {
        const store = await new Objm(bus.connection).open(storesOf(fleet).files, false);
        await store.delete(name);
        await sweep(options);
      }),
    sweep: ({ olderThanMs, dryRun }) => orUnavailable(fleet, () => sweep(options, olderThanMs, dryRun)),
    list: () =>
      orUnavailable(fleet, async () => {
        const found = new Map<string, StoredObject>();
        for await (const message of streamMessages(bus, { clock, stream, filter: `${entries}>` })) {
          const entry = entryIn(fleet, message.subject, message);
          if (entry.deleted === true) found.delete(entry.name);
          else found.set(entry.name, { ...objectOf(entry), ...storedAt(message) });
        }
        return [...found.values()];
      }),
  };
}

function namesOf(fleet: string) {
  const { files } = storesOf(fleet);
  const entries = `$O.${files}.M.`;
  return {
    stream: `OBJ_${files}`,
    entries,
    entryOf: (name: string) => entries + padded(Buffer.from(name).toString("base64url")),
    chunks: `$O.${files}.C.`,
  };
}

/** As the object store writes names: base64url with its padding. */
function padded(text: string): string {
  return text.padEnd(Math.ceil(text.length / 4) * 4, "=");
}

async function upload(
  { fleet, bus }: { readonly fleet: string; readonly bus: NatsLink },
  name: string,
  chunks: AsyncIterable<Uint8Array>,
): Promise<StoredObject> {
  const store = await new Objm(bus.connection).open(storesOf(fleet).files, false);
  const info = await store.put({ name }, ReadableStream.from(chunks), { timeout: putTimeoutMs });
  return { name, sizeBytes: info.size, digest: digestOf(info.digest) };
}

/** Tells a failure of who reads the file from a failure of who stores it. */
function noted(chunks: AsyncIterable<Uint8Array>) {
  let failure: unknown;
  async function* read() {
    try {
      yield* chunks;
    } catch (thrown) {
      failure = thrown;
      throw thrown;
    }
  }
  return { chunks: read(), failure: () => failure };
}

async function* download(
  { fleet, bus, clock }: { readonly fleet: string; readonly bus: Bus; readonly clock: Clock },
  name: string,
): AsyncGenerator<Uint8Array> {
  const entry = await orUnavailable(fleet, () => entryOf(fleet, bus, name));
  if (entry === undefined || entry.deleted === true) throw refusal("OBJECT_NOT_FOUND", { name });
  const { stream, chunks } = namesOf(fleet);
  const digest = new ObjectDigest();
  let seq = 1;
  let tries = 0;
  for (let missing = entry.chunks; missing > 0; ) {
    const request = { seq, next_by_subj: chunks + entry.nuid, batch: Math.min(missing, chunksAtOnceMax) };
    const { messages } = await orUnavailable(fleet, () =>
      directGetMany(bus, stream, request, chunksTimeoutMs),
    );
    for (const { data } of messages) {
      digest.update(data);
      yield data;
    }
    missing -= messages.length;
    seq = Number(messages.at(-1)?.header("Nats-Sequence") ?? seq - 1) + 1;
    tries = messages.length > 0 ? 0 : tries + 1;
    if (tries > triesMax) throw refusal("OBJECT_NOT_FOUND", { name });
    if (tries > 0) await new Promise<void>((resolve) => clock.setTimer(retryMs, resolve));
  }
  digest.check(objectOf(entry));
}

async function entryOf(fleet: string, bus: Bus, name: string): Promise<Entry | undefined> {
  const { stream, entryOf } = namesOf(fleet);
  const subject = entryOf(name);
  const answer = await bus.request(`$JS.API.DIRECT.GET.${stream}.${subject}`, "", {
    timeoutMs: getTimeoutMs,
  });
  const status = answer.header("Status");
  if (status === "404") return undefined;
  if (status !== undefined) throw new Error(`the object store answered ${status}`);
  return entryIn(fleet, subject, answer);
}

function entryIn(fleet: string, key: string, message: BusMessage): Entry {
  let problem: string;
  try {
    const parsed = entrySchema.safeParse(JSON.parse(new TextDecoder().decode(message.data)));
    if (parsed.success) return parsed.data;
    problem = z.prettifyError(parsed.error);
  } catch (thrown) {
    problem = messageOf(thrown);
  }
  throw refusal("LEDGER_CORRUPT", { fleet, key, problem });
}

function objectOf(entry: Entry): StoredObject {
  return { name: entry.name, sizeBytes: entry.size, digest: digestOf(entry.digest) };
}

/** `SHA-256=` and base64url, as the object store writes it. */
function digestOf(digest: string): string {
  return `sha256:${Buffer.from(digest.replace(/^SHA-256=/, ""), "base64url").toString("hex")}`;
}

/** The server's own stamp. */
function storedAt(message: BusMessage): { storedAtMs?: number } {
  const storedAtMs = Date.parse(message.header("Nats-Time-Stamp") ?? "");
  return Number.isFinite(storedAtMs) ? { storedAtMs } : {};
}

/** Removes the chunks of uploads that did not come to their end. @returns how many uploads */
async function sweep(
  options: { readonly fleet: string; readonly bus: NatsLink; readonly clock: Clock },
  olderThanMs = orphanMs,
  dryRun = false,
): Promise<number> {
  const { fleet, bus, clock } = options;
  let uploads = 0;
  const { stream, entries, chunks } = namesOf(fleet);
  const { streams } = await jetstreamManager(bus.connection);
  const { state, ts } = await streams.info(stream, { subjects_filter: `${chunks}>` });
  const orphans = new Set(Object.keys(state.subjects ?? {}));
  for await (const message of streamMessages(bus, { clock, stream, filter: `${entries}>` })) {
    orphans.delete(chunks + entryIn(fleet, message.subject, message).nuid);
  }
  for (const subject of orphans) {
    const last = await leaderGet(bus, stream, { last_by_subj: subject });
    // Both are the server's own stamps: an upload may be under way.
    const ageMs = Date.parse(ts ?? "") - Date.parse(last?.time ?? "");
    if (ageMs <= olderThanMs) continue;
    uploads++;
    if (!dryRun) await streams.purge(stream, { filter: subject });
  }
  return uploads;
}

function isFull(thrown: unknown): boolean {
  return thrown instanceof JetStreamApiError && fullCodes.has(thrown.code);
}

function unavailable(fleet: string, thrown: unknown): Error {
  if (thrown instanceof RollcallError) return thrown;
  return refusal("LEDGER_UNAVAILABLE", { fleet, problem: messageOf(thrown) }, thrown);
}
