import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { RollcallError } from "../../src/base/errors.js";
import { RecordFormats, storedAs } from "../../src/contracts/formats.js";
import { currentFormats, rangesOf } from "../../src/contracts/record-formats.js";

/** A lamp, whose second format named its colour otherwise, and whose third one added how bright it is. */
interface Lamp {
  readonly format: 3;
  readonly name: string;
  readonly colour: string;
  readonly lumen: number;
}
const first = z.strictObject({ format: z.literal(1), name: z.string(), color: z.string() });
const second = z.strictObject({ format: z.literal(2), name: z.string(), colour: z.string() });
const third = z.strictObject({
  format: z.literal(3),
  name: z.string(),
  colour: z.string(),
  lumen: z.int(),
});
const ofFirst = storedAs<Lamp, z.infer<typeof first>>(first, {
  upgrade: ({ name, color }) => ({ format: 3, name, colour: color, lumen: 800 }),
  downgrade: ({ name, colour }) => ({ format: 1, name, color: colour }),
});
const ofSecond = storedAs<Lamp, z.infer<typeof second>>(second, {
  upgrade: (stored) => ({ ...stored, format: 3, lumen: 800 }),
  downgrade: ({ name, colour }) => ({ format: 2, name, colour }),
});
const lamps = new RecordFormats<Lamp>([ofFirst, ofSecond, storedAs(third)]);
const lamp: Lamp = { format: 3, name: "hall", colour: "red", lumen: 800 };

describe("the formats of a kind of record", () => {
  test.each([1, 2, 3])("what is written in format %i is read as what it was", (format) => {
    const stored = lamps.write(lamp, format);
    expect(stored).toMatchObject({ format });
    expect(lamps.read(stored)).toEqual({ record: lamp });
  });

  test("the newest is written unless another is asked for, and stands as the program works with it", () => {
    expect(lamps.write(lamp)).toBe(lamp);
    expect(lamps.range).toEqual([1, 3]);
  });

  test("a newer one is told apart from garbage, and neither is taken", () => {
    expect(lamps.read({ ...lamp, format: 4 })).toEqual({ newer: 4 });
    expect(lamps.read({ ...lamp, format: 2 })).toHaveProperty("problem");
    expect(lamps.read({ ...lamp, extra: 1 })).toHaveProperty("problem");
    expect(new RecordFormats<Lamp>([storedAs(third)], 3).read({ format: 1, name: "", color: "" })).toEqual({
      problem: "its format 1 is none that this Rollcall reads",
    });
  });

  test("under a key of the ledger it is refused by name", () => {
    const place = { fleet: "default", key: "lamp.hall" };
    const codeOf = (found: unknown) => {
      try {
        return lamps.readAt(place, found);
      } catch (thrown) {
        return thrown instanceof RollcallError ? thrown.code : thrown;
      }
    };
    expect(codeOf(lamps.write(lamp, 1))).toEqual(lamp);
    expect(codeOf({ ...lamp, format: 4 })).toBe("LEDGER_NEWER");
    expect(codeOf({ ...lamp, lumen: "bright" })).toBe("LEDGER_CORRUPT");
  });

  test("whatever is found, reading it throws nothing", () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.record({ format: fc.anything() })), (found) => {
        expect(Object.keys(lamps.read(found))).toHaveLength(1);
      }),
    );
  });
});

test("this version reads and writes the first format of every kind", () => {
  expect(new Set(Object.values(rangesOf(currentFormats)).map(String))).toEqual(new Set(["1,1"]));
});
