import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Objects, StoredObject } from "../../src/base/ports.js";
import { connectNatsBus } from "../../src/bus/nats-bus.js";
import type { ControlPlane } from "../../src/contracts/api.js";
import { refusal } from "../../src/contracts/errors.js";
import { openNatsLedger } from "../../src/ledger/nats-ledger.js";
import { openNatsObjects } from "../../src/ledger/nats-objects.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { withNats } from "../kit/nats.js";
import { quietLog } from "../kit/quiet-log.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { startFakeFleet } from "./fake-fleet.js";
import { envOf } from "./run-cli.js";
import { runHere } from "./run-here.js";

const nats = withNats();
const sizes = { keysBytes: 8_388_608, eventsBytes: 8_388_608, filesBytes: 8_388_608 };
const pushed = { by: "ann", atMs: 1, reason: null };
const config = '{"greeting":"hello"}\n';
const configDigest = `sha256:${createHash("sha256").update(config).digest("hex")}`;
const manifest = { start: "node server.js", healthCheck: { type: "tcp" } };

/** A fleet with real stores, whose control plane notes what is registered. */
async function startStore(answers: Partial<ControlPlane> = {}) {
  const registered: unknown[] = [];
  const fleet = await startFakeFleet(nats(), {
    "releases.push": async (request) => {
      registered.push(request);
      const { source, version } = request.release;
      const sizeBytes = source.kind === "artifact" ? source.object.sizeBytes : null;
      return {
        version,
        source: source.kind,
        digest: request.digest,
        sizeBytes,
        pushed,
        running: 0,
        stable: 0,
      };
    },
    "configs.push": async (request) => {
      registered.push(request);
      const { version, object } = request.config;
      return { version, digest: object.digest, sizeBytes: object.sizeBytes, pushed, running: 0, stable: 0 };
    },
    ...answers,
  });
  const { user, password: pass } = nats().credentials;
  const [clock, random, log] = [createRealClock(), createRealRandom(), quietLog];
  const bus = await connectNatsBus({ servers: nats().url, user, pass, name: "test", clock, log });
  onTestFinished(() => bus.close());
  const ledger = await openNatsLedger({ fleet, bus, clock, random, log, sizes });
  onTestFinished(() => ledger.close());
  const objects = openNatsObjects({ fleet, bus, clock, log });
  const run = (args: string[], cwd: string) =>
    runHere(args, { cwd, env: envOf(nats(), { ROLLCALL_FLEET: fleet, ROLLCALL_USER: "ann" }) });
  return { registered, objects, run };
}

function makeRelease(): string {
  const folder = makeTempDir();
  mkdirSync(join(folder, "build"));
  writeFileSync(join(folder, "build/rollcall.json"), JSON.stringify(manifest));
  writeFileSync(join(folder, "build/server.js"), "// serves\n");
  writeFileSync(join(folder, "shop.json"), config);
  return folder;
}

/** What is stored, without the time at which it was. */
async function storedIn(objects: Pick<Objects, "list">): Promise<StoredObject[]> {
  return (await objects.list()).map(({ name, digest, sizeBytes }) => ({ name, digest, sizeBytes }));
}

test("a folder is packed, stored by its digest and registered with its manifest", async () => {
  const { registered, objects, run } = await startStore();
  const { code, stdout, stderr } = await run(["releases", "push", "v1", "./build"], makeRelease());
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(
    /^v1 is stored \(\d+ B\)\. Roll it out by rollcall deploy --release v1 --all --wait\n$/,
  );
  const [stored] = await storedIn(objects);
  expect(registered).toEqual([
    {
      release: {
        version: "v1",
        source: { kind: "artifact", object: stored },
        manifest: expect.objectContaining({ start: "node server.js", order: "stopFirst" }),
      },
      digest: stored?.digest,
      by: "ann",
    },
  ]);
  expect(stored?.name).toBe(stored?.digest);
});

test("the same content under another version is not sent again", async () => {
  const { registered, objects, run } = await startStore();
  const folder = makeRelease();
  for (const version of ["v1", "v2"])
    expect((await run(["releases", "push", version, "./build"], folder)).code).toBe(0);
  expect(registered).toHaveLength(2);
  expect(await objects.list()).toHaveLength(1);
});

test("content that was lost from the store is sent again by the next push", async () => {
  const { objects, run } = await startStore();
  const folder = makeRelease();
  await run(["releases", "push", "v1", "./build"], folder);
  const [stored] = await storedIn(objects);
  await objects.remove(stored?.name ?? "");
  expect((await run(["releases", "push", "v1", "./build"], folder)).code).toBe(0);
  expect(await storedIn(objects)).toEqual([stored]);
});

test("a configuration is stored as it is and registered", async () => {
  const { registered, objects, run } = await startStore();
  const { code, stdout } = await run(["configs", "push", "c1", "shop.json", "--json"], makeRelease());
  const object = { name: configDigest, digest: configDigest, sizeBytes: config.length };
  expect([code, JSON.parse(stdout).digest]).toEqual([0, configDigest]);
  expect(registered).toEqual([{ config: { version: "c1", object }, by: "ann" }]);
  expect(await storedIn(objects)).toEqual([object]);
  const chunks: Uint8Array[] = [];
  for await (const chunk of objects.get(configDigest)) chunks.push(chunk);
  expect(Buffer.concat(chunks).toString()).toBe(config);
});

test.each(["docker://nginx:1.27", "docker:nginx", "image:nginx", "oci://nginx"])(
  "the image %s answers NO_CONTAINER_ENGINE",
  async (source) => {
    const { registered, run } = await startStore();
    const { code, stdout } = await run(["releases", "push", "v1", source, "--json"], makeTempDir());
    expect([code, JSON.parse(stdout).error.code]).toEqual([3, "NO_CONTAINER_ENGINE"]);
    expect(registered).toEqual([]);
  },
);

test("what is no release is refused before anything is stored", async () => {
  const { registered, objects, run } = await startStore();
  const folder = makeRelease();
  const nothing = await run(["releases", "push", "v1", "./nowhere"], folder);
  expect(nothing.code).toBe(3);
  expect(nothing.stderr).toContain("is no release: give a directory, a .tar.gz file, or git+URL#REF.");
  writeFileSync(join(folder, "build/rollcall.json"), "{}");
  const bad = await run(["releases", "push", "v1", "./build", "--json"], folder);
  expect([bad.code, JSON.parse(bad.stdout).error.code]).toEqual([3, "BAD_MANIFEST"]);
  const config = await run(["configs", "push", "c1", "./nowhere.json"], folder);
  expect([config.code, config.stderr]).toEqual([2, expect.stringContaining("nowhere.json cannot be read")]);
  writeFileSync(join(folder, "large.json"), "x".repeat(1_048_577));
  const large = await run(["configs", "push", "c1", "./large.json"], folder);
  expect([large.code, large.stderr]).toEqual([
    2,
    expect.stringContaining("put what is large into the release"),
  ]);
  expect([registered, await objects.list()]).toEqual([[], []]);
});

test("a version that is there with other content is refused by name", async () => {
  const { run } = await startStore({
    "releases.push": async ({ release: { version } }) => {
      throw refusal("VERSION_EXISTS", { what: "Release", version });
    },
  });
  const { code, stderr } = await run(["releases", "push", "v1", "./build"], makeRelease());
  expect(code).toBe(3);
  expect(stderr).toContain("Release v1 is there already with other content");
});
