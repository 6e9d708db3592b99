import { type FileHandle, open } from "node:fs/promises";
import { OutputTail } from "./output-tail.js";

/** The end of a long output that is kept besides its beginning. */
const endBytesMax = 64 * 1_024;

/** Keeps what a build prints in a file: all of it, or the beginning and the end if it is more than `bytesMax`. */
export class BuildLog {
  readonly #file: FileHandle;
  readonly #beginBytesMax: number;
  readonly #end = new OutputTail(endBytesMax);
  #bytes = 0;
  #written = 0;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(file: FileHandle, bytesMax: number) {
    this.#file = file;
    this.#beginBytesMax = Math.max(0, bytesMax - endBytesMax);
  }

  static async open(path: string, bytesMax: number): Promise<BuildLog> {
    return new BuildLog(await open(path, "w", 0o600), bytesMax);
  }

  /** Never throws: what the disk refuses is thrown by `close`. */
  add(chunk: Buffer): void {
    this.#bytes += chunk.length;
    const begin = chunk.subarray(0, Math.max(0, this.#beginBytesMax - this.#written));
    this.#written += begin.length;
    if (begin.length > 0) this.#write(Buffer.from(begin));
    if (begin.length < chunk.length) this.#end.add(chunk.subarray(begin.length));
  }

  async close(): Promise<void> {
    const end = this.#end.bytes();
    const left = this.#bytes - this.#written - end.length;
    if (left > 0) this.#write(Buffer.from(`\n--- ${left} bytes left out ---\n`));
    if (end.length > 0) this.#write(end);
    try {
      await this.#writing;
    } finally {
      await this.#file.close();
    }
  }

  #write(data: Buffer): void {
    this.#writing = this.#writing.then(() => this.#file.appendFile(data));
    // Thrown by close().
    this.#writing.catch(() => undefined);
  }
}
