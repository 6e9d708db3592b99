import { createHash } from "node:crypto";

const digestBytes = 16;

/**
 * The digest of a set of texts that changes by single members: adding and taking out cost one hash each, however large the set is, and
 * the order does not matter. Equal sets have equal digests, on every host and in every run. A text must be in it at most once.
 */
export class SetDigest {
  readonly #sum = new Uint8Array(digestBytes);

  add(text: string): void {
    this.#toggle(text);
  }

  /** Takes a text out that was added. */
  remove(text: string): void {
    this.#toggle(text);
  }

  /** 32 hexadecimal digits. */
  get value(): string {
    return [...this.#sum].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  #toggle(text: string): void {
    const hash = createHash("sha256").update(text).digest();
    for (let at = 0; at < digestBytes; at++) this.#sum[at] = (this.#sum[at] ?? 0) ^ (hash[at] ?? 0);
  }
}
