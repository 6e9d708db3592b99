import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { doesNotAnswer } from "../../src/contracts/views.js";
import { createSeededRandom } from "../../src/index.js";
import { eventually, eventuallyPasses } from "../kit/eventually.js";
import { makeIdleService } from "./idle-service.js";
import { Planes } from "./planes.js";
import { eventsOf, Written } from "./written.js";

const coordinators = ["c1", "c2", "c3"];
const near = ["web-1", "web-2", "web-3"];
const far = ["web-4", "web-5", "web-6", "web-7"];
const all = [...near, ...far];
const leaseMs = 3_000;
const testMaxMs = 120_000;

let planes: Planes;
const written = new Written();

beforeAll(async () => {
  planes = await Planes.start(coordinators);
  const journal = join(planes.world.dir, "starts");
  await Promise.all([planes.startAgent("near", near), planes.startAgent("far", far)]);
  for (const version of ["v1", "v2", "v3", "v4", "v5"])
    await planes.push(version, makeIdleService({ journal }));
  await planes.push("slow", makeIdleService({ journal, build: "sleep 30" }));
  await expectCompleted(await deploy("v1", 6));
}, testMaxMs);

afterEach(() => {
  for (const name of [...coordinators, "near", "far"]) planes.way(name).heal();
});

afterAll(() => planes.end());

async function deploy(release: string, batch: number): Promise<string> {
  const { id } = await written.attempt((by) =>
    planes.insist(() =>
      planes.client.deployments.create({ release, selector: null, batch, by, requestKey: by }),
    ),
  );
  return id;
}

async function succeeded(id: string): Promise<number> {
  return (await planes.client.deployments.get({ deployment: id })).deployment.counts.succeeded;
}

async function expectCompleted(id: string): Promise<void> {
  expect(await planes.outcomes(id)).toEqual(["completed"]);
  const { deployment } = await planes.client.deployments.get({ deployment: id });
  expect(deployment.counts).toMatchObject({ succeeded: all.length, failed: 0 });
}

async function expectAllOn(release: string): Promise<void> {
  await eventuallyPasses(async () =>
    expect(await planes.running()).toEqual(Object.fromEntries(all.map((id) => [id, release]))),
  );
}

/** It answers, and another one leads. */
async function follows(name: string): Promise<boolean> {
  const { items } = await planes.client.coordinators.list();
  const { role, doing = "" } = items.find(({ id }) => id === name) ?? {};
  return role === "following" && !doing.startsWith(doesNotAnswer);
}

describe("a leader in the middle of a roll-out", () => {
  test.each([
    { what: "is cut off", release: "v2", cut: (name: string) => planes.way(name).cut() },
    { what: "is not heard by NATS", release: "v3", cut: (name: string) => planes.way(name).lose("toServer") },
    { what: "does not hear NATS", release: "v4", cut: (name: string) => planes.way(name).lose("toClient") },
  ])(
    "that $what is followed by another one, and follows it once it is healed",
    async ({ release, cut }) => {
      const id = await deploy(release, 2);
      await eventually(async () => (await succeeded(id)) >= 1);
      const old = await planes.leader();
      cut(old.id);
      const cutAtMs = performance.now();
      const next = await planes.leader(old.id);
      expect(performance.now() - cutAtMs).toBeLessThan(3 * leaseMs);
      expect(next.epoch).toBeGreaterThan(old.epoch ?? 0);
      await expectCompleted(id);
      planes.way(old.id).heal();
      await eventually(() => follows(old.id));
      expect((await planes.leader()).id).toBe(next.id);
      const audit = await planes.audit();
      expect(eventsOf(audit, `deployment/${id}`).filter((event) => event === "finished")).toHaveLength(1);
      const told = audit.filter(
        ({ type, cause }) => type.includes("instance.told.") && cause?.startsWith(`deployment:${id}/`),
      );
      expect(told).toHaveLength(all.length);
      await expectAllOn(release);
    },
    testMaxMs,
  );
});

describe("agents in the middle of a roll-out", () => {
  test(
    "that were cut off when they were told do not start what was aborted meanwhile",
    async () => {
      await eventuallyPasses(() => expectAllOn("v4"));
      planes.way("far").cut();
      const id = await deploy("slow", all.length);
      await eventually(
        async () => (await planes.client.instances.get({ instance: "web-1" })).phase === "BUILDING",
      );
      await written.attempt((by) => planes.client.deployments.abort({ deployment: id, by }));
      planes.way("far").heal();
      await expectAllOn("v4");
      // They have read what they are to run, and that was not it.
      await eventuallyPasses(async () => {
        const { items } = await planes.client.instances.list();
        for (const { observedGeneration, generation, status } of items)
          expect([observedGeneration, status]).toEqual([generation, "HEALTHY"]);
      });
      for (const instance of far) expect(releasesOf("far", instance)).not.toContain("slow");
    },
    testMaxMs,
  );

  test(
    "of which half are cut off hold it; it goes on by itself when they are back, and nothing was stopped",
    async () => {
      const id = await deploy("v5", 1);
      await eventually(async () => (await succeeded(id)) >= 1);
      planes.way("far").cut();
      const held = await eventually(
        async () => {
          const { deployment } = await planes.client.deployments.get({ deployment: id });
          return deployment.state === "held" && deployment;
        },
        { withinMs: 30_000 },
      );
      expect(held.counts.failed).toBe(0);
      planes.way("far").heal();
      await expectCompleted(id);
      await expectAllOn("v5");
      const silent = (await planes.audit()).filter(({ body }) => body.includes("SILENT"));
      expect(silent.filter(({ type }) => type.includes(".failed."))).toEqual([]);
    },
    testMaxMs,
  );
});

test(
  "with half a second on the way there and back, and each third connection ended again and again, a roll-out completes",
  async () => {
    const random = createSeededRandom(3);
    for (const name of [...coordinators, "near", "far"]) {
      planes.way(name).delay(250);
      planes.way(name).reset({ share: 0.3, everyMs: 4_000, random });
    }
    const id = await deploy("v2", 3);
    expect(await planes.outcomes(id)).toEqual(["completed"]);
    for (const name of [...coordinators, "near", "far"]) planes.way(name).heal();
    await expectAllOn("v2");
  },
  testMaxMs,
);

test("what was acknowledged is in the audit log, and nothing else", async () => {
  expect(written.attempts).toBeGreaterThan(7);
  written.expectAllIn(await planes.audit());
});

function releasesOf(agent: string, instance: string): string[] {
  return readdirSync(join(planes.world.dataDir, "agents", agent, "instances", instance, "releases"));
}
