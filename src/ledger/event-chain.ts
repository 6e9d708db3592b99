import { hash } from "node:crypto";
import { keys } from "../contracts/keys.js";
import { escapeToken } from "../contracts/names.js";
import type { StoreWrite } from "./store.js";

/** The end of a fleet's audit log: how many events there were, and the hash of the last. */
export interface ChainHead {
  readonly sequence: number;
  readonly hash: string;
}

/** An event that is to be written. */
export interface NewEvent {
  readonly kind: string;
  readonly id: string;
  readonly type: string;
  /** Its data as JSON. */
  readonly body: string;
  readonly actor: string;
  readonly cause: string;
  readonly generation?: number | undefined;
}

/** What all events of one batch share. */
export interface ChainContext {
  readonly fleet: string;
  readonly ledgerId: string;
  readonly epoch: number;
  /** Ledger time, epoch milliseconds. */
  readonly nowMs: number;
}

/** An event of the audit log as it is read: a CloudEvent in binary mode, chained to the one before it. */
export interface AuditEvent {
  /** Unique, also over restores: `<ledgerId>-<sequence>`. */
  readonly id: string;
  /** `/rollcall/<fleet>`. */
  readonly source: string;
  /** `dev.rollcall.deployment.created.v1`. */
  readonly type: string;
  /** `deployment/d1`. */
  readonly subject: string;
  /** RFC 3339, in ledger time. */
  readonly time: string;
  readonly epoch: number;
  readonly sequence: number;
  /** Who asked for it or brought it about; events of the first format do not say. */
  readonly actor?: string;
  /** What led to it; of the same events as `actor`. */
  readonly cause?: string;
  /** Of what is asked of the object, where it has one. */
  readonly generation?: number;
  /** The hash of the event before it. */
  readonly previous: string;
  readonly hash: string;
  /** JSON. */
  readonly body: string;
}

/** The head of a log without events; every `ledgerId` starts one of its own. */
export function emptyChain(ledgerId: string): ChainHead {
  return { sequence: 0, hash: digest([ledgerId]) };
}

/** An event with its place in the chain. */
interface Chained extends Omit<AuditEvent, "actor" | "cause" | "generation" | "hash"> {
  readonly actor?: string | undefined;
  readonly cause?: string | undefined;
  readonly generation?: number | undefined;
}

/** Turns events into messages of the ledger, each carrying the hash of the one before it. */
export function sealEvents(
  head: ChainHead,
  events: readonly NewEvent[],
  { fleet, ledgerId, epoch, nowMs }: ChainContext,
): { readonly writes: StoreWrite[]; readonly head: ChainHead } {
  const source = `/rollcall/${fleet}`;
  const time = new Date(nowMs).toISOString();
  let end = head;
  const writes = events.map(({ kind, id, type, body, actor, cause, generation }): StoreWrite => {
    const sequence = end.sequence + 1;
    const event: Chained = {
      id: `${ledgerId}-${sequence}`,
      source,
      type: `dev.rollcall.${type}.v1`,
      subject: `${escapeToken(kind)}/${escapeToken(id)}`,
      time,
      epoch,
      sequence,
      actor,
      cause,
      generation,
      previous: end.hash,
      body,
    };
    end = { sequence, hash: hashOf(event) };
    return { key: keys.event(kind, id, sequence), body, headers: headersOf(event, end.hash) };
  });
  return { writes, head: end };
}

/**
 * Of what an event says, and of the event before it. One without an actor is of the first format, which had no origin; none
 * of one format has the hash of one of the other, for they are lists of different lengths.
 */
function hashOf(event: Chained): string {
  const { previous, id, source, type, subject, time, epoch, sequence, body, actor, cause, generation } =
    event;
  return digest(
    actor === undefined
      ? [previous, id, source, type, subject, time, epoch, sequence, body]
      : [
          previous,
          id,
          source,
          type,
          subject,
          time,
          epoch,
          sequence,
          body,
          actor,
          cause ?? null,
          generation ?? null,
        ],
  );
}

function digest(parts: readonly (string | number | null)[]): string {
  return hash("sha256", JSON.stringify(parts), "base64url");
}

function headersOf(event: Chained, ownHash: string): Record<string, string> {
  const headers: Record<string, string> = {
    "ce-specversion": "1.0",
    "ce-id": encodeAttribute(event.id),
    "ce-source": encodeAttribute(event.source),
    "ce-type": encodeAttribute(event.type),
    "ce-subject": encodeAttribute(event.subject),
    "ce-time": event.time,
    "ce-datacontenttype": "application/json",
    "ce-epoch": String(event.epoch),
    "ce-sequence": String(event.sequence),
    "ce-previous": event.previous,
    "ce-hash": ownHash,
  };
  if (event.actor !== undefined) headers["ce-actor"] = encodeAttribute(event.actor);
  if (event.cause !== undefined) headers["ce-cause"] = encodeAttribute(event.cause);
  if (event.generation !== undefined) headers["ce-generation"] = String(event.generation);
  return headers;
}

/** Reads an event as it arrives on the subjects of events or lies in their stream; `undefined` if it is none. */
export function readEvent(message: {
  header(name: string): string | undefined;
  readonly data: Uint8Array;
}): AuditEvent | undefined {
  const attribute = (name: string) => decodeAttribute(message.header(`ce-${name}`) ?? "");
  const [actor, cause, generation] = [attribute("actor"), attribute("cause"), attribute("generation")];
  const event = {
    id: attribute("id"),
    source: attribute("source"),
    type: attribute("type"),
    subject: attribute("subject"),
    time: attribute("time"),
    epoch: Number(attribute("epoch")),
    sequence: Number(attribute("sequence")),
    ...(actor === "" ? {} : { actor }),
    ...(cause === "" ? {} : { cause }),
    ...(generation === "" ? {} : { generation: Number(generation) }),
    previous: attribute("previous"),
    hash: attribute("hash"),
    body: new TextDecoder().decode(message.data),
  };
  const isWhole = event.id !== "" && event.hash !== "" && Number.isInteger(event.epoch) && event.sequence > 0;
  return isWhole ? event : undefined;
}

/**
 * Checks one event after the other, in the order of the stream.
 *
 * @returns a function that says what is wrong with the next event, `undefined` if nothing is. The first is taken as it
 *   comes (the stream drops its oldest), and so is the first of a new ledger
 */
export function chainVerifier(): (event: AuditEvent) => string | undefined {
  let last: AuditEvent | undefined;
  return (event) => {
    const before = last;
    last = event;
    if (hashOf(event) !== event.hash)
      return `event ${event.id} was changed: its hash does not fit its content`;
    const startsLog = event.sequence === 1 && event.previous === emptyChain(ledgerOf(event)).hash;
    if (before === undefined || startsLog) return undefined;
    if (event.previous === before.hash) return undefined;
    return `event ${event.id} does not follow ${before.id}: events between them were removed, added or reordered`;
  };
}

/** The ledger that an event is of: the chain of each begins anew. */
export function ledgerOf(event: AuditEvent): string {
  return event.id.slice(0, event.id.lastIndexOf("-"));
}

const plainAttribute = /^[\x21\x23\x24\x26-\x7E]*$/;

/** CloudEvents: outside the printable ASCII characters, and for space, `"` and `%`, the bytes of UTF-8 as `%XX`. */
function encodeAttribute(value: string): string {
  if (plainAttribute.test(value)) return value;
  return value.replace(/[^\x21\x23\x24\x26-\x7E]/gu, (character) =>
    [...new TextEncoder().encode(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
      .join(""),
  );
}

function decodeAttribute(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
