import type { Clock, Objects, StoredObject } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { assertObjectName, ObjectDigest } from "./object-digest.js";

/** The chunks in which a file is handed out. */
const chunkBytes = 131_072;

/** Files in memory, for tests and simulation. */
export interface MemoryObjects extends Objects {
  /** Room for all files together; 1 GiB unless told. */
  limit(maxBytes: number): void;
  /** Changes a byte of a stored file, or loses its end, without the store noticing. */
  damage(name: string, how: "changed" | "shortened"): void;
}

interface Kept {
  readonly info: StoredObject;
  readonly storedAtMs: number | undefined;
  bytes: Buffer;
}

export function createMemoryObjects(clock?: Pick<Clock, "nowMs">): MemoryObjects {
  const files = new Map<string, Kept>();
  let maxBytes = 1_073_741_824;

  function usedBytes(): number {
    let sum = 0;
    for (const { bytes } of files.values()) sum += bytes.length;
    return sum;
  }
  function of(name: string): Kept {
    const kept = files.get(name);
    if (kept === undefined) throw refusal("OBJECT_NOT_FOUND", { name });
    return kept;
  }

  return {
    async put(name, chunks) {
      assertObjectName(name);
      const digest = new ObjectDigest();
      const parts: Buffer[] = [];
      for await (const chunk of chunks) {
        digest.update(chunk);
        parts.push(Buffer.from(chunk));
        if (usedBytes() + digest.sizeBytes > maxBytes) throw refusal("OBJECT_STORE_FULL", { name });
      }
      const info = { name, sizeBytes: digest.sizeBytes, digest: digest.digest() };
      files.set(name, { info, bytes: Buffer.concat(parts), storedAtMs: clock?.nowMs() });
      return info;
    },
    async *get(name) {
      const { info, bytes } = of(name);
      const digest = new ObjectDigest();
      for (let at = 0; at < bytes.length; at += chunkBytes) {
        const chunk = Uint8Array.from(bytes.subarray(at, at + chunkBytes));
        digest.update(chunk);
        yield chunk;
      }
      digest.check(info);
    },
    remove(name) {
      files.delete(name);
      return Promise.resolve();
    },
    list() {
      return Promise.resolve(
        [...files.values()].map(({ info, storedAtMs }) =>
          storedAtMs === undefined ? info : { ...info, storedAtMs },
        ),
      );
    },
    sweep: () => Promise.resolve(0),
    limit(bytes) {
      maxBytes = bytes;
    },
    damage(name, how) {
      const kept = of(name);
      if (how === "shortened") kept.bytes = kept.bytes.subarray(0, -1);
      else kept.bytes[0] = ~(kept.bytes[0] ?? 0);
    },
  };
}
