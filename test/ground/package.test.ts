import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { makeTempDir } from "../kit/temp-dir.js";
import { root } from "./sources.js";

const manifest = z
  .object({
    name: z.string(),
    version: z.string(),
    bin: z.record(z.string(), z.string()),
    files: z.array(z.string()),
  })
  .parse(JSON.parse(readFileSync(join(root, "package.json"), "utf8")));

const packedSchema = z.tuple([
  z.object({ filename: z.string(), files: z.array(z.object({ path: z.string(), size: z.number() })) }),
]);

/** Runs a program to its end; fails with all of its output. */
function run(cwd: string, program: string, ...args: string[]): string {
  return execFileSync(program, args, {
    cwd,
    encoding: "utf8",
    timeout: 55_000,
    stdio: ["ignore", "pipe", "pipe"],
  });
}

describe("the package", () => {
  const packFolder = makeTempDir();
  const userFolder = makeTempDir();
  let paths: string[] = [];

  beforeAll(() => {
    if (!existsSync(join(root, "dist/src/index.js")))
      throw new Error("nothing is built: `npm run build` first");
    // Without scripts: `prepack` would build anew under the feet of the tests that run beside this one.
    const output = run(root, "npm", "pack", "--ignore-scripts", "--json", "--pack-destination", packFolder);
    const [packed] = packedSchema.parse(JSON.parse(output));
    paths = packed.files.map((file) => file.path);

    // Its own package.json, or npm would look for one in the folders above.
    writeFileSync(join(userFolder, "package.json"), '{ "private": true }\n');
    const tarball = join(packFolder, packed.filename);
    run(userFolder, "npm", "install", "--no-audit", "--no-fund", "--prefer-offline", tarball);
  });

  test("holds what package.json declares, and neither tests nor sources", () => {
    for (const declared of manifest.files) {
      expect(
        paths.some((path) => path === declared || path.startsWith(`${declared}/`)),
        declared,
      ).toBe(true);
    }
    expect(paths).toEqual(expect.arrayContaining(["LICENSE", "README.md", ...Object.values(manifest.bin)]));
    expect(paths.filter((path) => /(^|\/)(test|bench|node_modules)\/|(?<!\.d)\.ts$/.test(path))).toEqual([]);
  });

  test("answers `npx rollcall --version` in an empty folder", () => {
    expect(run(userFolder, "npx", "--no-install", manifest.name, "--version").trim()).toBe(manifest.version);
  });

  test("is imported as an SDK", () => {
    const script = `
      import { createAgent, createClient, createCoordinator } from "${manifest.name}";
      console.log([createAgent, createClient, createCoordinator].map((one) => typeof one).join());`;
    const output = run(userFolder, process.execPath, "--input-type=module", "--eval", script);
    expect(output.trim()).toBe("function,function,function");
  });

  test("brings its types", () => {
    writeFileSync(
      join(userFolder, "user.mts"),
      `import { createAgent, createClient, createCoordinator } from "${manifest.name}";
export type All = [typeof createAgent, typeof createClient, typeof createCoordinator];
// @ts-expect-error: not any, so it cannot be called without its options.
createClient();
`,
    );
    const compiler = join(root, "node_modules/typescript/bin/tsc");
    const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2023"];
    run(userFolder, process.execPath, compiler, ...options, "user.mts");
  });
});
