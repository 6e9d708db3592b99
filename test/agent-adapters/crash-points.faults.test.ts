import { cpSync, existsSync, readdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { PhaseWork, ReleaseFiles } from "../../src/agent/ports.js";
import type { InstanceState } from "../../src/contracts/instance.js";
import type { Manifest } from "../../src/contracts/release.js";
import { eventuallyPasses } from "../kit/eventually.js";
import { makeRamDir, makeTempDir } from "../kit/temp-dir.js";
import { CrashHost, countStarts, startCommand } from "./crashing-agent.js";
import {
  countOperations,
  dyingAfter,
  dyingAt,
  fullFrom,
  installFsFaults,
  type Life,
  live,
} from "./fs-faults.js";
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
  countStarts();
  // Without the program sync every file is synced by itself, and so seen.
  const programs = makeTempDir();
  for (const name of ["sh", "sleep"]) symlinkSync(`/bin/${name}`, join(programs, name));
  process.env.PATH = programs;
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
    content.replace(/tree-\w+/, "tree-x").replace(/,\d{13}\]/g, ",time]"),
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

describe("an agent", () => {
  const service = (version: string, also: Partial<Manifest> = {}) =>
    artifactRelease(objects, version, contents[version === "v1" ? "v1" : "v2"], {
      start: startCommand,
      routes: [{ path: `/${version}` }],
      healthCheck: { ...quick, retries: 1 },
      ...also,
    });
  const quick = { type: "tcp", intervalMs: 60_000, timeoutMs: 60_000, startPeriodMs: 0 } as const;
  const runs = (version: string) => (state: InstanceState) =>
    state.phase === "ACTIVE" && state.health === "HEALTHY" && state.running?.release === version;
  const v1 = service("v1");
  const stories = [
    { name: "first install", before: null, told: v1, isThrough: runs("v1") },
    { name: "update that stops first", before: v1, told: service("v2"), isThrough: runs("v2") },
    {
      name: "update that starts first",
      before: v1,
      told: service("beside", { order: "startFirst" }),
      isThrough: runs("beside"),
    },
    {
      name: "failing update",
      before: v1,
      told: service("bad", { order: "startFirst" }),
      isThrough: (state: InstanceState) => state.phase === "FAILED" && state.running?.release === "v1",
    },
    {
      name: "stop",
      before: v1,
      told: null,
      isThrough: (state: InstanceState) => state.phase === "STOPPED" && state.running === null,
    },
  ] as const;
  type Story = (typeof stories)[number];
  type How = (typeof hows)[number];
  interface Outcome {
    readonly end: unknown;
    readonly starts: Readonly<Record<string, number>>;
  }
  /** Each so manieth operation is an end; all of them with SWEEP=all, which takes ten minutes. */
  const stride = process.env.SWEEP === "all" ? 1 : 8;
  const sweepMaxMs = stride === 1 ? 1_800_000 : 180_000;
  /** Most of the time of a run is waiting. */
  const atOnce = 4;

  /** Hosts as they are before each story: at rest, nothing runs. */
  const seeds = new Map<string, CrashHost>();

  beforeAll(async () => {
    for (const before of [null, v1]) {
      const host = new CrashHost(objects);
      await host.start();
      if (before !== null) {
        host.tell(1, before);
        await host.until(runs("v1"));
      }
      await host.stop();
      await host.endServices();
      seeds.set(before?.version ?? "", host);
    }
  });

  function seedOf({ before }: Story): CrashHost {
    const seed = seeds.get(before?.version ?? "");
    if (seed === undefined) throw new Error("there is no such host");
    return seed;
  }

  /** What happens from the moment in which the agent is told, on a host that has come to rest before. */
  async function play(host: CrashHost, { before, told, isThrough }: Story, begun: () => void): Promise<void> {
    await host.start();
    if (before !== null) {
      host.tell(1, before);
      await host.until(runs("v1"));
    }
    begun();
    host.tell(2, told);
    await host.until((state) => isThrough(state) && host.isAtRest());
  }

  /** A life that goes on as `life` says from the moment on in which it is armed. */
  function armed(life: Life): Life & { arm(): void; count(): number } {
    let count = 0;
    let isArmed = false;
    return {
      ...life,
      arm: () => {
        isArmed = true;
      },
      count: () => count,
      before(operation) {
        if (isArmed) life.before(operation, ++count);
      },
      after(operation) {
        if (isArmed) life.after?.(operation, count);
      },
    };
  }

  /** Ends the agent at an operation, lets its next run go on, and looks what there is in the end. */
  async function crash(story: Story, nth: number, how: How, expected: Outcome): Promise<void> {
    const host = new CrashHost(objects, seedOf(story));
    const kept = how === "killed" ? undefined : makeRamDir();
    const unsynced = kept === undefined ? undefined : new Unsynced(kept);
    const dying = armed(unsynced === undefined ? dyingAt(nth) : dyingAfter(nth));
    await live(unsynced === undefined ? dying : { ...dying, unsynced }, () => play(host, story, dying.arm));
    host.kill();
    if (unsynced !== undefined) await host.loseMachine();
    unsynced?.lose();
    await host.start();
    host.tell(2, story.told);
    const { isThrough } = story;
    await host.until((state) => isThrough(state) && host.isAtRest());
    await eventuallyPasses(() => expect(host.end(), `${how} at operation ${nth}`).toEqual(expected.end), {
      withinMs: 3_000,
    });
    if (how === "killed")
      expect(host.starts(), `started until the end, killed at operation ${nth}`).toEqual(expected.starts);
    await host.stop();
    await host.endServices();
    for (const dir of [host.dataDir, ...(kept === undefined ? [] : [kept])])
      rmSync(dir, { recursive: true, force: true, maxRetries: 10 });
  }

  async function reference(story: Story): Promise<Outcome & { readonly count: number }> {
    const host = new CrashHost(objects, seedOf(story));
    const counting = armed({ before: () => undefined });
    await live(counting, () => play(host, story, counting.arm));
    const outcome = { end: host.end(), starts: host.starts(), count: counting.count() };
    await host.stop();
    await host.endServices();
    return outcome;
  }

  const hows = ["killed", "cut off from its power, with the machine"] as const;
  test.each(stories.flatMap((story) => hows.map((how) => [story.name, how, story] as const)))(
    "in the middle of a %s, %s at any change of the disk, goes on to the same end",
    async (_, how, story) => {
      const { count, ...expected } = await reference(story);
      expect(count).toBeGreaterThan(30);
      const points = Array.from({ length: count }, (_, index) => index + 1).filter(
        (nth) => nth % stride === 0,
      );
      const worker = async () => {
        for (let nth = points.shift(); nth !== undefined; nth = points.shift())
          await crash(story, nth, how, expected);
      };
      await Promise.all(Array.from({ length: atOnce }, worker));
    },
    sweepMaxMs,
  );
});
