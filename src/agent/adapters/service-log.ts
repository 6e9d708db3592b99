import { constants, createReadStream, createWriteStream } from "node:fs";
import { type FileHandle, mkdir, open, rename, stat, truncate } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { ifThere } from "./disk-errors.js";
import { tailBytesMax } from "./limits.js";
import { tailText } from "./output-tail.js";

/** Begins the line that separates the output of one start from that of the one before. */
const separator = "--- rollcall: ";

/** The file that a service's output is appended to, with one older file, `<path>.1`. Together at most about twice `bytesMax`. */
export class ServiceLog {
  readonly #path: string;
  readonly #bytesMax: number;

  constructor(path: string, bytesMax: number) {
    this.#path = path;
    this.#bytesMax = bytesMax;
  }

  /** Opens the file for a process that is about to start; it is the caller's to close. A file that is full becomes the older one. */
  async openFor(what: string): Promise<FileHandle> {
    await mkdir(dirname(this.#path), { recursive: true });
    if ((await this.#sizeBytes()) > this.#bytesMax) await rename(this.#path, this.#older);
    const file = await open(this.#path, "a", 0o640);
    try {
      await file.appendFile(`${separator}${what} ---\n`);
      return file;
    } catch (thrown) {
      await file.close();
      throw thrown;
    }
  }

  /**
   * Makes room while the service runs: what there is becomes the older file, by copying, since the service goes on with the same
   * open file. What it writes in the moment between the copy and the cut is lost.
   */
  async trim(): Promise<void> {
    if ((await this.#sizeBytes()) <= this.#bytesMax) return;
    await pipeline(
      createReadStream(this.#path, { start: Math.max(0, (await this.#sizeBytes()) - this.#bytesMax) }),
      createWriteStream(this.#older, { mode: 0o640 }),
    );
    await truncate(this.#path, 0);
  }

  /** The last lines since the last start, at most 2 KiB. */
  async tail(): Promise<string> {
    const file = await ifThere(open(this.#path, constants.O_RDONLY));
    if (file === undefined) return "";
    try {
      const { size } = await file.stat();
      const length = Math.min(size, 2 * tailBytesMax);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
      const end = buffer.subarray(0, bytesRead);
      const start = end.lastIndexOf(separator);
      return tailText(start < 0 ? end : end.subarray(lineAfter(end, start)));
    } finally {
      await file.close();
    }
  }

  get #older(): string {
    return `${this.#path}.1`;
  }

  async #sizeBytes(): Promise<number> {
    return (await ifThere(stat(this.#path)))?.size ?? 0;
  }
}

function lineAfter(text: Buffer, at: number): number {
  const lineBreak = text.indexOf("\n", at);
  return lineBreak < 0 ? text.length : lineBreak + 1;
}
