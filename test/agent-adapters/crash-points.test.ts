import { cpSync, existsSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { PhaseWork, ReleaseFiles } from "../../src/agent/ports.js";
import { makeRamDir, makeTempDir } from "../kit/temp-dir.js";
import { countOperations, dyingAfter, dyingAt, fullFrom, installFsFaults, live } from "./fs-faults.js";
import {
  applyRelease,
  artifactRelease,
  codeOf,
  configOf,
  currentOf,
  filesBelow,
  instanceFolder,
  releaseFiles,
  routesOf,
  testObjects,
  workOn,
} from "./kit.js";
import { Unsynced } from "./unsynced.js";

const objects = testObjects();
const contents = { v1: { f: "1", "lib/g": "1" }, v2: { f: "2", "lib/g": "2", "lib/h": "new" } } as const;
const releaseOf = (version: "v1" | "v2") =>
  artifactRelease(objects, version, contents[version], { routes: [{ path: `/${version}` }] });
const config = configOf(objects, "c1", "config");
const work = (version: "v1" | "v2"): PhaseWork => workOn("i1", releaseOf(version), config);
/** A data folder with v1 active, to begin from. */
let withV1 = "";
/** The one with v2 active, as it looks when nothing goes wrong. */
let withV2 = "";

beforeAll(async () => {
  installFsFaults();
  // Without the program sync every file is synced by itself, and so seen.
  process.env.PATH = makeTempDir();
  withV1 = makeRamDir();
  const files = releaseFiles(withV1, objects);
  await applyRelease(files, work("v1"), 8_001);
  withV2 = copyOf(withV1);
  await update(releaseFiles(withV2, objects));
});

function copyOf(dataDir: string): string {
  const copy = makeRamDir();
  cpSync(dataDir, copy, { recursive: true, verbatimSymlinks: true });
  return copy;
}

async function update(files: ReleaseFiles): Promise<void> {
  await applyRelease(files, work("v2"), 8_002);
  await files.prune("i1", ["v2"], 1);
}

/** Everything below a data folder but what is made up anew each time. */
function stateOf(dataDir: string): unknown {
  const files = Object.entries(filesBelow(dataDir)).map(([path, content]) => [
    path.replace(/tree-\w+/, "tree-x"),
    content.replace(/tree-\w+/, "tree-x"),
  ]);
  return { files: files.sort(), current: currentOf(dataDir, "i1"), next: currentOf(dataDir, "i1", "next") };
}

/** What must hold at every moment. */
function expectSound(dataDir: string): void {
  const current = currentOf(dataDir, "i1");
  expect(["v1", "v2"]).toContain(current);
  const link = join(instanceFolder(dataDir, "i1"), "current");
  expect(filesBelow(join(instanceFolder(dataDir, "i1"), readlinkSync(link)))).toEqual(
    contents[current as "v1" | "v2"],
  );
  expect(routesOf(dataDir)).toEqual([
    routesOf(dataDir)[0]?.path === "/v1"
      ? { path: "/v1", instance: "i1", target: "http://127.0.0.1:8001" }
      : { path: "/v2", instance: "i1", target: "http://127.0.0.1:8002" },
  ]);
}

describe("an update", () => {
  test.each(["killed", "cut off from its power"])(
    "that is %s before or after any change of the disk goes on to the same end",
    async (how) => {
      const { count } = await countOperations(() => update(releaseFiles(copyOf(withV1), objects)));
      expect(count).toBeGreaterThan(60);
      for (let nth = 1; nth <= count; nth++) {
        const dataDir = copyOf(withV1);
        const unsynced = how === "killed" ? undefined : new Unsynced(makeRamDir());
        const life = unsynced === undefined ? dyingAt(nth) : { ...dyingAfter(nth), unsynced };
        expect(await live(life, () => update(releaseFiles(dataDir, objects))), `operation ${nth}`).toBe(
          "died",
        );
        unsynced?.lose();
        expectSound(dataDir);
        await update(releaseFiles(dataDir, objects));
        expect(stateOf(dataDir), `killed at operation ${nth}`).toEqual(stateOf(withV2));
      }
    },
    120_000,
  );

  test("that is killed and then abandoned is as if it had not been, unless it was through", async () => {
    const { count } = await countOperations(() =>
      applyRelease(releaseFiles(copyOf(withV1), objects), work("v2"), 8_002),
    );
    const ends = new Set<string | undefined>();
    for (let nth = 1; nth <= count; nth += 1) {
      const dataDir = copyOf(withV1);
      await live(dyingAt(nth), () => applyRelease(releaseFiles(dataDir, objects), work("v2"), 8_002));
      const files = releaseFiles(dataDir, objects);
      await files.abandon("i1");
      expectSound(dataDir);
      ends.add(currentOf(dataDir, "i1"));
      expect(
        routesOf(dataDir).map(({ path }) => path),
        `operation ${nth}`,
      ).toEqual([`/${currentOf(dataDir, "i1")}`]);
      expect(currentOf(dataDir, "i1", "next")).toBeUndefined();
      expect(readdirSync(join(dataDir, "scratch"))).toEqual([]);
      await files.prune("i1", ["v1"], 0);
      expect(existsSync(files.places("i1", "v1", null).cwd)).toBe(true);
    }
    expect(ends).toContain("v1");
  }, 120_000);

  test("for which the disk is full from some moment on is refused as such, and goes on when there is room", async () => {
    const { count } = await countOperations(() =>
      applyRelease(releaseFiles(copyOf(withV1), objects), work("v2"), 8_002),
    );
    for (let nth = 1; nth <= count; nth += 2) {
      const dataDir = copyOf(withV1);
      const files = releaseFiles(dataDir, objects);
      const end = await live(fullFrom(nth), () =>
        applyRelease(files, work("v2"), 8_002).then(
          () => "DONE",
          (thrown: { code?: string }) => thrown.code,
        ),
      );
      if (end !== "DONE") expect(end, `operation ${nth}`).toBe("DISK_FULL");
      expect(["v1", "v2"]).toContain(currentOf(dataDir, "i1"));
      await applyRelease(files, work("v2"), 8_002);
      await files.prune("i1", ["v2"], 1);
      expect(stateOf(dataDir), `full from operation ${nth}`).toEqual(stateOf(withV2));
    }
  }, 120_000);

  test("that runs out of room once is as it was before, or through", async () => {
    const { count } = await countOperations(() =>
      applyRelease(releaseFiles(copyOf(withV1), objects), work("v2"), 8_002),
    );
    for (let nth = 2; nth <= count; nth += 2) {
      const dataDir = copyOf(withV1);
      const files = releaseFiles(dataDir, objects);
      const code = await live(fullFrom(nth, 1), () =>
        codeOf(applyRelease(files, work("v2"), 8_002)).catch(() => "DONE"),
      );
      expect(["DISK_FULL", "DONE"], `operation ${nth}`).toContain(code);
      expectSound(dataDir);
      expect(routesOf(dataDir)[0]?.path, `operation ${nth}`).toBe(`/${currentOf(dataDir, "i1")}`);
    }
  }, 120_000);
});
