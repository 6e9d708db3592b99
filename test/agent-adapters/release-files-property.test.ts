import { existsSync, lstatSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import type { ReleaseFiles } from "../../src/agent/ports.js";
import { RollcallError } from "../../src/base/errors.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { Death, installFsFaults, type Life, live } from "./fs-faults.js";
import {
  artifactRelease,
  configOf,
  filesBelow,
  instanceFolder,
  releaseFiles,
  routesOf,
  type TestWork,
  testObjects,
  workOn,
} from "./kit.js";

const instances = ["i1", "i2"] as const;
const versions = ["v1", "v2", "v3"] as const;
type Instance = (typeof instances)[number];
type Version = (typeof versions)[number];

interface Fault {
  readonly kind: "crash" | "abort" | "full";
  /** The operation on the disk at which it happens. */
  readonly at: number;
}
interface Step {
  readonly instance: Instance;
  readonly version: Version;
  readonly what:
    | "pull"
    | "build"
    | "copy"
    | "prepareNext"
    | "stageRoutes"
    | "activate"
    | "abandon"
    | "withdrawRoutes"
    | "prune"
    | "all";
  readonly fault: Fault | undefined;
}

const objects = testObjects();
const contents = (version: Version) => ({ f: version, "lib/g": `${version} g` });
const releases = Object.fromEntries(
  versions.map((version) => [
    version,
    artifactRelease(objects, version, contents(version), { routes: [{ path: `/${version}` }] }),
  ]),
);
const config = configOf(objects, "c1", "config");

beforeAll(installFsFaults);

async function perform(
  files: ReleaseFiles,
  { instance, version, what }: Step,
  work: TestWork,
): Promise<void> {
  const stage = () =>
    files.stageRoutes(work, { instance, port: 8_000, routes: work.release.manifest.routes });
  if (what === "abandon" || what === "withdrawRoutes") await files[what](instance);
  else if (what === "prune") await files.prune(instance, [version], 0);
  else if (what === "stageRoutes") await stage();
  else if (what === "all") {
    for (const phase of ["pull", "build", "copy", "prepareNext"] as const) await files[phase](work);
    await stage();
    await files.activate(work);
  } else await files[what](work);
}

function lifeOf(fault: Fault | undefined, work: TestWork): Life {
  return {
    before(operation, count) {
      if (fault === undefined || count < fault.at) return;
      if (fault.kind === "crash") throw new Death("ended by the test");
      if (fault.kind === "abort") work.abort.abort();
      else if (!["rm", "handle.sync", "utimes"].includes(operation))
        throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    },
  };
}

/** Where traffic goes is one of the routes that were ever staged for that instance, and current is a complete release or not there. */
function expectSound(dataDir: string): void {
  for (const instance of instances) {
    const folder = instanceFolder(dataDir, instance);
    for (const link of ["current", "next"]) {
      if (!lstatSync(join(folder, link), { throwIfNoEntry: false })?.isSymbolicLink()) continue;
      const version = readlinkSync(join(folder, link)).replace("releases/", "") as Version;
      expect(filesBelow(join(folder, "releases", version)), `${link} of ${instance}`).toEqual(
        contents(version),
      );
      expect(existsSync(join(folder, "copies", `${version}.json`))).toBe(true);
    }
    for (const version of versions) {
      // What is listed as complete is complete.
      if (
        existsSync(join(folder, "copies", `${version}.json`)) &&
        existsSync(join(folder, "releases", version))
      )
        expect(filesBelow(join(folder, "releases", version))).toEqual(contents(version));
    }
    const configFile = join(folder, "configs", "c1");
    if (existsSync(configFile)) expect(readFileSync(configFile, "utf8")).toBe("config");
  }
  for (const route of routesOf(dataDir))
    expect(versions.map((version) => `/${version}`)).toContain(route.path);
}

const expectedCodes = ["CANCELLED", "DISK_FULL", "INTERNAL"];

const stepArbitrary: fc.Arbitrary<Step> = fc.record({
  instance: fc.constantFrom(...instances),
  version: fc.constantFrom(...versions),
  what: fc.constantFrom(
    "pull",
    "build",
    "copy",
    "prepareNext",
    "stageRoutes",
    "activate",
    "abandon",
    "withdrawRoutes",
    "prune",
    "all",
    "all",
  ),
  fault: fc.option(
    fc.record({ kind: fc.constantFrom("crash", "abort", "full"), at: fc.integer({ min: 1, max: 70 }) }),
    { nil: undefined, freq: 3 },
  ),
});

test("whatever is done, cancelled, killed or out of room, in whatever order, current is a complete release or absent", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(stepArbitrary, { minLength: 1, maxLength: 10 }), async (steps) => {
      const dataDir = makeTempDir();
      let files = releaseFiles(dataDir, objects);
      for (const step of steps) {
        const work = workOn(step.instance, releases[step.version]!, config);
        const end = await live(lifeOf(step.fault, work), async () => {
          try {
            await perform(files, step, work);
          } catch (thrown) {
            if (!(thrown instanceof RollcallError) || !expectedCodes.includes(thrown.code)) throw thrown;
          }
        });
        expectSound(dataDir);
        if (end === "died") files = releaseFiles(dataDir, objects);
      }
      // However it went, a whole update without faults succeeds.
      for (const instance of instances) {
        const work = workOn(instance, releases.v3!, config);
        await perform(files, { instance, version: "v3", what: "all", fault: undefined }, work);
        expect(readlinkSync(join(instanceFolder(dataDir, instance), "current"))).toBe("releases/v3");
      }
      expectSound(dataDir);
      expect(routesOf(dataDir).map(({ path, instance }) => `${instance}${path}`)).toEqual(["i1/v3", "i2/v3"]);
    }),
    { numRuns: 60, verbose: 1 },
  );
}, 180_000);
