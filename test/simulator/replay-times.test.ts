import { describe, expect, test } from "vitest";
import { ComparedTime } from "../../src/simulator/replay/compared-time.js";
import type { Decision } from "../../src/simulator/replay/decisions.js";
import { compare } from "../../src/simulator/replay/differences.js";

describe("two times are the same", () => {
  const time = new ComparedTime([{ fromMs: 100_000, toMs: 120_000 }], [10_000, 20_000, 130_000]);

  test.each([
    ["within half a second, whatever comes in between", 9_800, 10_200, true],
    ["within five, if nothing came from outside in between", 10_000, 14_900, true],
    ["not if something came that could have been waited for", 16_000, 20_000, false],
    ["not if it is longer", 30_000, 35_100, false],
    ["within a stretch in which times say nothing", 100_100, 119_900, true],
    ["across it, as if it were not there", 99_900, 120_200, true],
    ["but not far across it", 99_000, 130_000, false],
  ])("%s", (_, one, other, same) => {
    expect(time.isSame(one, other)).toBe(same);
    expect(time.isSame(other, one)).toBe(same);
  });
});

describe("an instance that was told something on one side alone", () => {
  const decision = (key: string, atMs: number): Decision => {
    const [, object = ""] = key.split(" ");
    return { key, object, detail: "", atMs, sentence: key };
  };
  const end = decision("d1 deployment/d1 deployment.finished 1", 20_000);
  const told = decision("d1 instance/web-3 instance.told 1", 19_900);

  test("is chance in the moment of the end, if two things came in that moment", () => {
    const time = new ComparedTime([], [19_900, 20_000]);
    expect(compare([end], [told, end], time)).toEqual({ differences: [], close: ["instance/web-3"] });
  });

  test("is a difference if one thing led to the end, or the end is far", () => {
    const one = compare([end], [told, end], new ComparedTime([], [20_000]));
    expect(one).toMatchObject({ differences: [{ kind: "only", object: "instance/web-3" }], close: [] });
    const early = { ...told, atMs: 10_000 };
    const two = compare([early, end], [end], new ComparedTime([], [9_900, 19_900, 20_000]));
    expect(two).toMatchObject({ differences: [{ kind: "only", recorded: { atMs: 10_000 } }], close: [] });
  });
});
