import { jetstreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { connectNatsBus } from "../../src/bus/nats-bus.js";
import { storesOf } from "../../src/contracts/keys.js";
import { createMemoryObjects } from "../../src/ledger/memory-objects.js";
import { openNatsLedger } from "../../src/ledger/nats-ledger.js";
import { openNatsObjects, openObjectsReader } from "../../src/ledger/nats-objects.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { eventuallyPasses } from "../kit/eventually.js";
import { withNats } from "../kit/nats.js";
import { quietLog } from "../kit/quiet-log.js";
import { objectsSuite } from "./objects-suite.js";

objectsSuite("files in memory", async () => {
  const objects = createMemoryObjects();
  return {
    objects,
    reader: objects,
    limit: async (maxBytes) => objects.limit(maxBytes),
    damage: async (name, how) => objects.damage(name, how),
    end: async () => undefined,
  };
});

const clock = createRealClock();
const fleet = "default";

/** Two users: one with all rights, and one with an agent's rights to files. */
const nats = withNats({
  config: `
    authorization { users: [
      { user: all, password: pw }
      { user: agent, password: pw, permissions: {
          publish: ["$JS.API.DIRECT.GET.OBJ_rollcall-default-files", "$JS.API.DIRECT.GET.OBJ_rollcall-default-files.>"], subscribe: ["_INBOX_agent.>"] } }
    ] }`,
});

async function openWorld() {
  const as = (user: string) =>
    connectNatsBus({
      servers: nats().url,
      user,
      pass: "pw",
      name: user,
      inboxPrefix: `_INBOX_${user}`,
      clock,
      log: quietLog,
    });
  const [bus, agent] = [await as("all"), await as("agent")];
  const sizes = { keysBytes: 4 * 1_048_576, eventsBytes: 2 * 1_048_576, filesBytes: 16 * 1_048_576 };
  await openNatsLedger({ fleet, bus, clock, random: createRealRandom(), log: quietLog, sizes });
  const manager = await jetstreamManager(bus.connection);
  const { files } = storesOf(fleet);
  const stream = `OBJ_${files}`;
  return {
    bus,
    stream,
    manager,
    objects: openNatsObjects({ fleet, bus, clock, log: quietLog }),
    reader: openObjectsReader({ fleet, bus: agent, clock }),
    async limit(maxBytes: number) {
      await manager.streams.update(stream, { max_bytes: maxBytes });
    },
    async damage(name: string, how: "changed" | "shortened") {
      const subject = `$O.${files}.M.${Buffer.from(name).toString("base64")}`;
      const entry = (await manager.streams.getMessage(stream, { last_by_subj: subject }))?.json<{
        nuid: string;
        digest: string;
      }>();
      if (entry === undefined) throw new Error(`no file ${name}`);
      if (how === "shortened")
        await manager.streams.purge(stream, { filter: `$O.${files}.C.${entry.nuid}`, keep: 1 });
      else {
        const digest = `SHA-256=${"A".repeat(43)}=`;
        // Answered once it is stored.
        await bus.request(subject, JSON.stringify({ ...entry, digest }), {
          timeoutMs: 10_000,
          headers: { "Nats-Rollup": "sub" },
        });
      }
    },
    async end() {
      for await (const { config } of manager.streams.list()) await manager.streams.delete(config.name);
      await bus.close();
      await agent.close();
    },
  };
}

objectsSuite("files in JetStream, read with an agent's rights", openWorld);

test("an upload that ended in its middle is no file, and is left alone while it may still be under way", async () => {
  const { objects, manager, stream, bus, end } = await openWorld();
  const { files } = storesOf(fleet);
  const messages = async () => (await manager.streams.info(stream)).state.messages;
  bus.publish(`$O.${files}.C.UPLOADUNDERWAY`, "chunk");
  await eventuallyPasses(async () => expect(await messages()).toBe(1));
  expect(await objects.list()).toEqual([]);
  await objects.remove("other");
  expect(await messages()).toBe(1);
  await end();
});

test("what half an upload left is counted, and removed once it is as old as is asked", async () => {
  const { objects, manager, stream, bus, end } = await openWorld();
  const messages = async () => (await manager.streams.info(stream)).state.messages;
  const whole = await objects.put("a", pieces());
  const all = (await messages()) + 1;
  bus.publish(`$O.${storesOf(fleet).files}.C.HALFANUPLOAD`, "chunk");
  await eventuallyPasses(async () => expect(await messages()).toBe(all));
  expect(await objects.sweep({ olderThanMs: 60_000, dryRun: false })).toBe(0);
  expect(await objects.sweep({ olderThanMs: -1, dryRun: true })).toBe(1);
  expect(await messages()).toBe(all);
  expect(await objects.sweep({ olderThanMs: -1, dryRun: false })).toBe(1);
  expect(await messages()).toBe(all - 1);
  expect(await objects.list()).toMatchObject([whole]);
  await end();
});

async function* pieces(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(10);
}
