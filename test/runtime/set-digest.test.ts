import fc from "fast-check";
import { expect, test } from "vitest";
import { SetDigest } from "../../src/runtime/set-digest.js";

function digestOf(texts: Iterable<string>): string {
  const digest = new SetDigest();
  for (const text of texts) digest.add(text);
  return digest.value;
}

test("equal sets have equal digests whatever happened on the way, others have others", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string()), fc.uniqueArray(fc.string()), (before, after) => {
      const digest = new SetDigest();
      for (const text of before) digest.add(text);
      for (const text of before.filter((text) => !after.includes(text))) digest.remove(text);
      for (const text of after.filter((text) => !before.includes(text)).reverse()) digest.add(text);
      expect(digest.value).toBe(digestOf(after));
      expect(digest.value).toMatch(/^[0-9a-f]{32}$/);
      const areEqual = before.length === after.length && before.every((text) => after.includes(text));
      expect(digestOf(before) === digest.value).toBe(areEqual);
    }),
  );
});
