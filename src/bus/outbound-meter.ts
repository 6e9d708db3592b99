/** Bytes that may be on their way to the server without its word that it read them; the client would buffer without end. */
const unreadMaxBytes = 64 * 1_048_576;
/** How often the server is asked. */
const askEachBytes = 1_048_576;

/** Bounds what a connection buffers for a server that reads slowly or stands still. */
export class OutboundMeter {
  readonly #flush: () => Promise<void>;
  #sentBytes = 0;
  #readBytes = 0;
  #askedBytes = 0;
  #asking = false;

  /** `flush` resolves when the server has read all that was sent before. */
  constructor(flush: () => Promise<void>) {
    this.#flush = flush;
  }

  /** Counts a message, unless too much is unread already. */
  mayTake(sizeBytes: number): boolean {
    if (this.#sentBytes - this.#readBytes > unreadMaxBytes) return false;
    this.#sentBytes += sizeBytes;
    if (!this.#asking && this.#sentBytes - this.#askedBytes >= askEachBytes) this.#ask();
    return true;
  }

  /** A new connection starts with nothing unread. */
  reset(): void {
    this.#readBytes = this.#sentBytes;
    this.#askedBytes = this.#sentBytes;
  }

  #ask(): void {
    const upToBytes = this.#sentBytes;
    this.#askedBytes = upToBytes;
    this.#asking = true;
    const answered = () => {
      this.#asking = false;
      this.#readBytes = Math.max(this.#readBytes, upToBytes);
    };
    // A flush fails only with its connection, whose buffer is gone as well.
    this.#flush().then(answered, answered);
  }
}
