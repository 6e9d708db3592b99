import type { Hash } from "node:crypto";
import { createHash } from "node:crypto";
import { assert } from "../base/assert.js";
import { refusal } from "../contracts/errors.js";

/** A name that every client of the object store encodes alike; a client in JavaScript and one in Go differ beyond ASCII. */
export function assertObjectName(name: string): void {
  assert(
    /^[\x20-\x7E]{1,200}$/.test(name),
    `${JSON.stringify(name)} is a name of 1 to 200 printable ASCII characters`,
  );
}

/** Follows the bytes of a file, to tell or check its digest. */
export class ObjectDigest {
  readonly #hash: Hash = createHash("sha256");
  #sizeBytes = 0;

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#sizeBytes += bytes.length;
  }

  /** `sha256:` and 64 hexadecimal digits. To be asked for once, at the end. */
  digest(): string {
    return `sha256:${this.#hash.digest("hex")}`;
  }

  /** @throws RollcallError `CHECKSUM_MISMATCH` */
  check(expected: { readonly name: string; readonly digest: string; readonly sizeBytes: number }): void {
    const found = this.digest();
    if (found === expected.digest && this.#sizeBytes === expected.sizeBytes) return;
    throw refusal("CHECKSUM_MISMATCH", {
      name: expected.name,
      expected: `${expected.digest} (${expected.sizeBytes} bytes)`,
      found: `${found} (${this.#sizeBytes} bytes)`,
    });
  }
}
