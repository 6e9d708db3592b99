import { execFile } from "node:child_process";
import { cpSync, existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { makeTempDir } from "../../kit/temp-dir.js";
import { type Mutant, mutants } from "./mutants.js";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "../../..");
const instancesMax = 8;
const seeds = Array.from({ length: 16 }, (_, at) => String(at + 1));
const lives = z.array(
  z.object({ seed: z.string(), failure: z.object({ id: z.string(), sentence: z.string() }).nullable() }),
);

beforeAll(() => {
  if (!existsSync(join(root, "dist/machines")))
    throw new Error("build first: npm run build, or npm run test:faults");
});

/** A copy of the build with one line changed. */
function buildOf({ name, file, line, instead }: Mutant): string {
  const folder = join(makeTempDir(), name.replaceAll(" ", "-"));
  cpSync(join(root, "dist"), folder, { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  const text = readFileSync(join(folder, file), "utf8");
  expect(text.split(line), `the line stands once in ${file}`).toHaveLength(2);
  writeFileSync(
    join(folder, file),
    text.replace(line, () => instead),
  );
  return folder;
}

async function liveWith(folder: string) {
  const script = join(import.meta.dirname, "live-seeds.mjs");
  const { stdout } = await run(process.execPath, [script, folder, String(instancesMax), ...seeds]);
  return lives.parse(
    stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
  );
}

describe("a broken line is found by random lives", () => {
  test("without one, nothing is found", async () => {
    const found = (await liveWith(join(root, "dist"))).filter(({ failure }) => failure !== null);
    expect(found).toEqual([]);
  });

  test.concurrent.each(mutants)(
    "$name",
    async (mutant) => {
      const found = (await liveWith(buildOf(mutant))).flatMap(({ failure }) => failure ?? []);
      const by = [...new Set(found.map(({ id }) => id))].sort();
      process.stdout.write(
        `  ${mutant.name}: found in ${found.length} of ${seeds.length + 1} lives, by ${by.join(", ") || "nothing"}\n`,
      );
      expect(by.filter((id) => mutant.foundBy.includes(id))).not.toEqual([]);
    },
    600_000,
  );
});
