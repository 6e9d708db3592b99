import { createHash, randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Objects } from "../../src/base/ports.js";

/** The same suite runs over every store of files. */
export interface ObjectsWorld {
  readonly objects: Objects;
  /** With an agent's rights. */
  readonly reader: Pick<Objects, "get">;
  /** Leaves room for so many bytes in all. */
  limit(maxBytes: number): Promise<void>;
  damage(name: string, how: "changed" | "shortened"): Promise<void>;
  end(): Promise<void>;
}

async function* inPieces(bytes: Uint8Array, pieceBytes = 50_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function all(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

const digestOf = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

export function objectsSuite(name: string, openWorld: () => Promise<ObjectsWorld>): void {
  describe(name, () => {
    let world: ObjectsWorld;
    beforeEach(async () => {
      world = await openWorld();
    });
    afterEach(() => world.end());

    test.each([0, 1, 131_072, 131_073, 3_000_000])(
      "a file of %i bytes comes back as it was",
      async (sizeBytes) => {
        const bytes = randomBytes(sizeBytes);
        const stored = await world.objects.put("release/v1.0+x ~", inPieces(bytes));
        expect(stored).toEqual({ name: "release/v1.0+x ~", sizeBytes, digest: digestOf(bytes) });
        expect((await all(world.reader.get(stored.name))).equals(bytes)).toBe(true);
        expect((await all(world.objects.get(stored.name))).equals(bytes)).toBe(true);
        expect(await world.objects.list()).toMatchObject([stored]);
      },
    );

    test("files are listed, replaced and removed", async () => {
      await world.objects.put("a", inPieces(randomBytes(10)));
      const b = await world.objects.put("b", inPieces(randomBytes(20)));
      const bytes = randomBytes(200_000);
      const a = await world.objects.put("a", inPieces(bytes));
      expect((await world.objects.list()).sort((x, y) => (x.name < y.name ? -1 : 1))).toMatchObject([a, b]);
      expect((await all(world.reader.get("a"))).equals(bytes)).toBe(true);
      await world.objects.remove("a");
      expect(await world.objects.list()).toMatchObject([b]);
      await expect(all(world.reader.get("a"))).rejects.toMatchObject({ code: "OBJECT_NOT_FOUND" });
      await world.objects.remove("a");
      await world.objects.remove("never.was");
    });

    test("a name that clients encode differently is a defect of the caller", async () => {
      for (const name of ["", "é", "a\n", "x".repeat(201)]) {
        await expect(world.objects.put(name, inPieces(randomBytes(1)))).rejects.toThrow("assertion failed");
      }
    });

    test("a file that is not there is named", async () => {
      await expect(all(world.reader.get("none"))).rejects.toMatchObject({
        code: "OBJECT_NOT_FOUND",
        message: expect.stringContaining("none"),
      });
    });

    test("a file that was changed in the store is found out", async () => {
      await world.objects.put("a", inPieces(randomBytes(300_000)));
      await world.damage("a", "changed");
      await expect(all(world.reader.get("a"))).rejects.toMatchObject({
        code: "CHECKSUM_MISMATCH",
        details: { name: "a" },
      });
    });

    test("a file of which a part is missing is found out", async () => {
      await world.objects.put("a", inPieces(randomBytes(300_000)));
      await world.damage("a", "shortened");
      await expect(all(world.reader.get("a"))).rejects.toMatchObject({
        code: expect.stringMatching(/CHECKSUM_MISMATCH|OBJECT_NOT_FOUND/),
      });
    });

    test("a full store refuses a file, keeps the others and leaves nothing of it behind", async () => {
      await world.limit(1_500_000);
      const bytes = randomBytes(700_000);
      await world.objects.put("fits", inPieces(bytes));
      for (let tries = 0; tries < 4; tries++) {
        await expect(world.objects.put("too-large", inPieces(randomBytes(1_000_000)))).rejects.toMatchObject({
          code: "OBJECT_STORE_FULL",
          retry: "later",
        });
      }
      expect((await world.objects.list()).map(({ name }) => name)).toEqual(["fits"]);
      await world.objects.put("fits-too", inPieces(randomBytes(500_000)));
      expect((await all(world.reader.get("fits"))).equals(bytes)).toBe(true);
    });

    test("what the reader of a file throws comes out, and nothing is stored", async () => {
      async function* broken() {
        yield randomBytes(200_000);
        throw new Error("the disk is broken");
      }
      await expect(world.objects.put("a", broken())).rejects.toThrow("the disk is broken");
      expect(await world.objects.list()).toEqual([]);
      await expect(all(world.reader.get("a"))).rejects.toMatchObject({ code: "OBJECT_NOT_FOUND" });
    });

    test("a download that is not wanted any more can be left", async () => {
      await world.objects.put("a", inPieces(randomBytes(3_000_000)));
      for await (const chunk of world.reader.get("a")) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
      expect(await all(world.reader.get("a"))).toHaveLength(3_000_000);
    });
  });
}
