import { type FileHandle, mkdir, open, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readJsonFile, syncFolder, writeFileAtomic } from "../../base-node/atomic-file.js";
import { type FolderLock, lockFolder } from "../../base-node/folder-lock.js";
import { eventOfLine, lineOf } from "../../ledger/cloud-event.js";
import { type AuditEvent, ledgerOf } from "../../ledger/event-chain.js";

/** Which event is the last one in a file. */
export interface LastEvent {
  readonly ledgerId: string;
  readonly sequence: number;
}

const lineBegin = '{"specversion":"1.0"';
/** An event and its headers fit a message of NATS, of 1 MB unless configured otherwise. */
const lineMaxBytes = 64 * 1_048_576;
const tailBytes = 65_536;
const newline = 0x0a;

/**
 * A file to which events are appended, a line of JSON each, synced. Beside it stands the folder `FILE.state`: a lock, for one process writes at a time, and
 * which event was the last, for a file that has been rotated away cannot say it.
 */
export class AuditFile {
  readonly #path: string;
  readonly #positionPath: string;
  #lock: FolderLock | undefined;
  #handle: FileHandle | undefined;
  #last: LastEvent | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#positionPath = join(`${path}.state`, "last.json");
  }

  /**
   * Opens it, and repairs a last line that was not written to its end.
   *
   * @returns the last event that was appended, be it to a file that is rotated away by now
   * @throws RollcallError `FOLDER_LOCKED` while another process writes it; Error if it holds something else; what the file system says
   */
  async open(): Promise<LastEvent | undefined> {
    await mkdir(dirname(this.#path), { recursive: true });
    this.#lock ??= await lockFolder(`${this.#path}.state`);
    if (this.#handle === undefined) {
      this.#last ??= lastEventIn(await readJsonFile(this.#positionPath));
      await this.#openFile();
    }
    return this.#last;
  }

  /**
   * Appends what is not in it yet, all or nothing as far as the file system lets it.
   *
   * @returns whether events are missing between what is in it and these
   */
  async append(events: readonly AuditEvent[]): Promise<{ readonly hasGap: boolean }> {
    await this.open();
    if (await this.#isRotated()) {
      await this.#closeFile();
      await this.#openFile();
    }
    const fresh = events.filter((event) => !isIn(event, this.#last));
    const [first] = fresh;
    const newest = fresh.at(-1);
    if (first === undefined || newest === undefined) return { hasGap: false };
    const hasGap = this.#last?.ledgerId === ledgerOf(first) && first.sequence > this.#last.sequence + 1;
    await this.#write(fresh.map((event) => `${lineOf(event)}\n`).join(""));
    this.#last = { ledgerId: ledgerOf(newest), sequence: newest.sequence };
    await writeFileAtomic(this.#positionPath, JSON.stringify(this.#last));
    return { hasGap };
  }

  async close(): Promise<void> {
    await this.#closeFile();
    await this.#lock?.release();
    this.#lock = undefined;
  }

  async #write(text: string): Promise<void> {
    const handle = this.#handle;
    if (handle === undefined) throw new Error(`${this.#path} is not open`);
    const { size } = await handle.stat();
    try {
      await handle.appendFile(text);
      await handle.datasync();
    } catch (thrown) {
      // What is there of it is repaired when the file is opened again, if it cannot be taken back now.
      await handle.truncate(size).catch(() => undefined);
      await this.#closeFile();
      throw thrown;
    }
  }

  async #openFile(): Promise<void> {
    const handle = await open(this.#path, "a+", 0o640);
    try {
      const { size } = await handle.stat();
      if (size === 0) await syncFolder(dirname(this.#path));
      else this.#last = (await repaired(handle, size, this.#path)) ?? this.#last;
      this.#handle = handle;
    } catch (thrown) {
      await handle.close();
      throw thrown;
    }
  }

  async #closeFile(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  /** Another file has its name by now, or none. */
  async #isRotated(): Promise<boolean> {
    const own = await this.#handle?.stat();
    const named = await stat(this.#path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    return own?.ino !== named?.ino || own?.dev !== named?.dev;
  }
}

function isIn(event: AuditEvent, last: LastEvent | undefined): boolean {
  return last !== undefined && ledgerOf(event) === last.ledgerId && event.sequence <= last.sequence;
}

function lastEventIn(content: unknown): LastEvent | undefined {
  const { ledgerId, sequence } = (content ?? {}) as Partial<Record<keyof LastEvent, unknown>>;
  return typeof ledgerId === "string" && typeof sequence === "number" ? { ledgerId, sequence } : undefined;
}

/**
 * The last event of a file, whose last line is ended or taken away.
 *
 * @throws Error if it is no audit file: nothing of it is touched
 */
async function repaired(handle: FileHandle, size: number, path: string): Promise<LastEvent | undefined> {
  const { whole, rest, restAt } = await tailOf(handle, size);
  const last = whole === undefined ? undefined : eventOfLine(whole);
  const isOurs =
    whole === undefined ? rest.startsWith(lineBegin) || lineBegin.startsWith(rest) : last !== undefined;
  if (!isOurs) throw new Error(`${path} holds something else than events: nothing is written there`);
  const ended = eventOfLine(rest);
  if (ended !== undefined) await handle.appendFile("\n");
  else if (restAt < size) await handle.truncate(restAt);
  await handle.datasync();
  const newest = ended ?? last;
  return newest && { ledgerId: ledgerOf(newest), sequence: newest.sequence };
}

/** The last line that was ended, if there is one, and what stands behind it, and where in the file that begins. */
async function tailOf(
  handle: FileHandle,
  size: number,
): Promise<{ readonly whole: string | undefined; readonly rest: string; readonly restAt: number }> {
  for (let length = tailBytes; ; length *= 4) {
    const start = Math.max(0, size - length);
    const bytes = Buffer.alloc(size - start);
    await handle.read(bytes, 0, bytes.length, start);
    const end = bytes.lastIndexOf(newline);
    const before = end <= 0 ? -1 : bytes.lastIndexOf(newline, end - 1);
    if (before >= 0 || start === 0) {
      const whole = end < 0 ? undefined : bytes.subarray(before + 1, end).toString();
      return { whole, rest: bytes.subarray(end + 1).toString(), restAt: start + end + 1 };
    }
    if (length > lineMaxBytes) throw new Error("its last line is too long for an event");
  }
}
