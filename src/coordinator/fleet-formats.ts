import {
  type FormatsOutlook,
  outlookAt,
  raiseOf,
  unreadableOf,
  writableFor,
} from "../../machines/formats-agreement.js";
import { messageOf } from "../base/errors.js";
import type { Clock, LedgerReader, Log, Timer } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import type { RecordFormats } from "../contracts/formats.js";
import { keys, parseKey } from "../contracts/keys.js";
import type { Origin } from "../contracts/origin.js";
import {
  type FormatRanges,
  type Formats,
  formatsRecordFormats,
  rangesOf,
  type WrittenFormats,
} from "../contracts/record-formats.js";
import type { Writer } from "./writer.js";

/** How often a leader asks what the others read. */
const askEveryMs = 30_000;

/** A coordinator that answers, and what it reads; nothing if that cannot be understood. */
export interface Peer {
  readonly id: string;
  readonly formats: FormatRanges;
}

/** Every coordinator of the fleet that answers now, the one that asks included. */
export type AskPeers = () => Promise<readonly Peer[]>;

/** What is written of each kind, by the ledger. @throws RollcallError `LEDGER_UNAVAILABLE`, `LEDGER_NEWER`, `LEDGER_CORRUPT` */
export async function writtenFormats(fleet: string, ledger: LedgerReader): Promise<WrittenFormats> {
  return writtenIn(fleet, (await ledger.get(keys.formats))?.value);
}

/** The same, by the value of its record; `undefined` if there is none. */
function writtenIn(fleet: string, value: unknown): WrittenFormats {
  return value === undefined ? {} : formatsRecordFormats.readAt({ fleet, key: keys.formats }, value).written;
}

/** @throws RollcallError `LEDGER_NEWER`, `LEDGER_OLDER` this version cannot read what is written, and must not lead */
export function assertReadable(formats: Formats, written: WrittenFormats): void {
  const problem = unreadableOf(rangesOf(formats), written);
  if (problem === undefined) return;
  const { kind, found, known } = problem;
  throw refusal(found > known ? "LEDGER_NEWER" : "LEDGER_OLDER", { key: `${kind}.>`, found, known });
}

export interface FleetFormatsParts {
  readonly id: string;
  readonly formats: Formats;
  readonly askPeers: AskPeers;
  readonly clock: Clock;
  readonly log: Log;
}

/** In which formats a leader writes: as found in the ledger, and newer ones once every coordinator reads them. */
export class FleetFormats {
  readonly known: Formats;
  readonly #parts: FleetFormatsParts;
  #written: WrittenFormats = {};
  #outlook: FormatsOutlook | undefined;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(parts: FleetFormatsParts) {
    this.known = parts.formats;
    this.#parts = parts;
  }

  /** Takes over what is written by the ledger. @throws RollcallError `LEDGER_NEWER`, `LEDGER_OLDER`, `LEDGER_CORRUPT` */
  load(fleet: string, value: unknown): void {
    const written = writtenIn(fleet, value);
    assertReadable(this.known, written);
    this.#written = written;
  }

  /** The format in which a kind is written. */
  writtenOf(kind: keyof Formats): number {
    return this.#written[kind] ?? this.known[kind].oldest;
  }

  /** What to store under a key; a lower format than the fleet's where its reader is older, never a higher one. */
  toStore(key: string, record: unknown, formatMax = Number.POSITIVE_INFINITY): unknown {
    const kind = parseKey(key)?.[0] ?? "";
    if (!isKind(this.known, kind)) return record;
    const formats = this.known[kind] as RecordFormats<unknown>;
    const format = Math.max(formats.oldest, Math.min(this.writtenOf(kind), formatMax));
    return formats.write(record, format);
  }

  /** Begins to ask, now and then, whether more can be written. */
  start(writer: Writer, origin: Origin): void {
    this.#timer = this.#parts.clock.setTimer(askEveryMs, () => {
      this.#look(writer, origin)
        .catch((error: unknown) =>
          this.#parts.log.debug({ error: messageOf(error) }, "the formats were not looked after"),
        )
        .finally(() => {
          if (!this.#stopped) this.start(writer, origin);
        });
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  async #look(writer: Writer, origin: Origin): Promise<void> {
    const { id, clock, log, askPeers } = this.#parts;
    const peers = await askPeers();
    if (this.#stopped) return;
    // Who does not even hear itself knows nothing of the others.
    if (!peers.some((peer) => peer.id === id)) {
      this.#outlook = undefined;
      return;
    }
    const others = peers.filter((peer) => peer.id !== id).map(({ formats }) => formats);
    const writable = writableFor(rangesOf(this.known), others, this.#written);
    this.#outlook = outlookAt(this.#outlook, writable, clock.monotonicMs());
    const written = raiseOf(this.#outlook, this.#written, clock.monotonicMs());
    if (written === undefined) return;
    await writer.add({
      puts: [{ key: keys.formats, value: { format: 1, written } }],
      events: [
        { kind: "ledger", id: "formats", type: "ledger.formats.raised", data: { written }, ...origin },
      ],
    });
    this.#written = written;
    log.info({ written }, "every coordinator reads these formats: they are written from now on");
  }
}

function isKind(formats: Formats, kind: string): kind is keyof Formats {
  return Object.hasOwn(formats, kind);
}
