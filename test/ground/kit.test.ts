import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { eventually, eventuallyPasses } from "../kit/eventually.js";
import { makeTempDir } from "../kit/temp-dir.js";

const soon = { withinMs: 50, everyMs: 5 };

describe("waiting in a test", () => {
  test("ends with the first value that is there, whatever came before", async () => {
    const answers = [undefined, 0, new Error("not connected"), "ready", "too late"];
    const found = await eventually(() => {
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    });
    expect(found).toBe("ready");
  });

  test("ends when the assertions hold", async () => {
    let tries = 0;
    await eventuallyPasses(() => expect(++tries).toBe(3));
    expect(tries).toBe(3);
  });

  test("gives up with what was seen last", async () => {
    await expect(eventually(() => Promise.resolve(null), soon)).rejects.toThrow(/last seen: null/);
    await expect(eventuallyPasses(() => expect("v1").toBe("v2"), soon)).rejects.toThrow(
      /last it threw: expected 'v1' to be 'v2'/,
    );
  });
});

describe("a folder for a test", () => {
  let goneAfterwards = "";
  describe("while the tests of the file run", () => {
    test("is there, may be made within a test, and holds what is written", () => {
      goneAfterwards = makeTempDir();
      writeFileSync(join(goneAfterwards, "file"), "content");
      expect(makeTempDir()).not.toBe(goneAfterwards);
    });
    afterAll(() => expect(existsSync(goneAfterwards)).toBe(true));
  });
});
