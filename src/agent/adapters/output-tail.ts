import { tailBytesMax } from "./limits.js";
import { printable } from "./printable.js";

/** Keeps the end of what a program prints. */
export class OutputTail {
  readonly #bytesMax: number;
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** More than is shown, so that what is shown begins with a whole line. */
  constructor(bytesMax = 2 * tailBytesMax) {
    this.#bytesMax = bytesMax;
  }

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > 4 * this.#bytesMax || this.#chunks.length > 1_024) this.#trim();
  }

  /** The last bytes as they came. */
  bytes(): Buffer {
    this.#trim();
    return this.#chunks[0] ?? Buffer.alloc(0);
  }

  /** The same for people, see {@link tailText}. */
  text(): string {
    return tailText(this.bytes());
  }

  #trim(): void {
    const last = Buffer.concat(this.#chunks).subarray(-this.#bytesMax);
    this.#chunks = [Buffer.from(last)];
    this.#bytes = last.length;
  }
}

/** The last whole lines of what a program printed, printable, at most 2 KiB; the end of the last line if that one is longer. */
export function tailText(output: Buffer): string {
  const end = output.subarray(-tailBytesMax);
  // A byte of the form 10xxxxxx is the inside of a character that begins before the cut.
  let from = 0;
  while (from < Math.min(3, end.length) && ((end[from] ?? 0) & 0xc0) === 0x80) from++;
  const text = printable(end.subarray(from).toString("utf8")).trimEnd();
  const lineBreak = text.indexOf("\n");
  const isCut = output.length > tailBytesMax && lineBreak >= 0;
  return isCut ? text.slice(lineBreak + 1) : text;
}
