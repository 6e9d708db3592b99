import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsBus } from "../../src/bus/nats-bus.js";
import { connectNatsBus } from "../../src/bus/nats-bus.js";
import { storesOf } from "../../src/contracts/keys.js";
import { AuditLog } from "../../src/ledger/audit-log.js";
import type { AuditEvent } from "../../src/ledger/event-chain.js";
import { openLedgerReader, streamOf } from "../../src/ledger/ledger-reader.js";
import { openNatsLedger } from "../../src/ledger/nats-ledger.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { eventually } from "../kit/eventually.js";
import type { FaultyProxy } from "../kit/faulty-proxy.js";
import { startFaultyProxy } from "../kit/faulty-proxy.js";
import { quietLog } from "../kit/quiet-log.js";
import type { TestNats } from "../kit/test-nats.js";
import type { LedgerWorld } from "./ledger-world.js";

const clock = createRealClock();
const random = createRealRandom();
const sizes = { keysBytes: 16 * 1_048_576, eventsBytes: 8 * 1_048_576, filesBytes: 4 * 1_048_576 };
let fleets = 0;

/** A ledger in JetStream; every process reaches the server by a way of its own that can be cut. */
export async function openNatsWorld(nats: TestNats): Promise<LedgerWorld> {
  const fleet = `f${++fleets}`;
  const proxies = new Map<string, FaultyProxy>();
  const buses = new Map<string, NatsBus>();

  async function connect(name: string, url: string): Promise<NatsBus> {
    const { user, password } = nats.credentials;
    const bus = await connectNatsBus({ servers: url, user, pass: password, name, clock, log: quietLog });
    buses.set(name, bus);
    return bus;
  }
  async function connectByProxy(name: string): Promise<NatsBus> {
    const proxy = await startFaultyProxy(nats.url);
    proxies.set(name, proxy);
    return await connect(name, proxy.url);
  }
  function proxyOf(name: string): FaultyProxy {
    const proxy = proxies.get(name);
    if (proxy === undefined) throw new Error(`no process ${name}`);
    return proxy;
  }
  const observer = await connect("observer", nats.url);
  const manager = await jetstreamManager(observer.connection);
  const stream = streamOf(fleet);

  return {
    fleet,
    clock,
    async open(name) {
      const bus = await connectByProxy(name);
      return {
        bus,
        ledger: await openNatsLedger({
          fleet,
          bus,
          clock,
          random,
          log: quietLog,
          sizes,
          commitTimeoutMs: 6_000,
        }),
      };
    },
    async reader(name) {
      const bus = await connectByProxy(name);
      return { bus, ...openLedgerReader(bus, fleet) };
    },
    async events() {
      const events: AuditEvent[] = [];
      for await (const { event } of new AuditLog({ fleet, bus: observer, clock }).read()) events.push(event);
      return events;
    },
    async cutOff(name) {
      proxyOf(name).cut();
      await eventually(() => buses.get(name)?.connected === false);
    },
    heal: async (name) => proxyOf(name).heal(),
    stop: () => nats.kill9(),
    start: () => nats.restart(),
    async loseNextAnswer(name) {
      const before = (await manager.streams.info(stream)).state.last_seq;
      proxyOf(name).lose("toClient");
      return {
        async healed() {
          await eventually(async () => (await manager.streams.info(stream)).state.last_seq > before);
          proxyOf(name).cut();
          proxyOf(name).heal();
        },
      };
    },
    async refuseNextCommit() {
      await manager.streams.update(stream, { allow_atomic: false });
      return {
        async healed() {
          await manager.streams.update(stream, { allow_atomic: true });
        },
      };
    },
    async leaveRoom(bytes) {
      const { state } = await manager.streams.info(stream);
      await manager.streams.update(stream, { max_bytes: state.bytes + bytes });
    },
    async end() {
      await Promise.all([...buses.values()].map((bus) => bus.close()));
      await Promise.all([...proxies.values()].map((proxy) => proxy.end()));
      await eventually(async () => {
        const cleaner = await connect("cleaner", nats.url);
        const streams = (await jetstreamManager(cleaner.connection)).streams;
        for (const name of [storesOf(fleet).eventStream, stream, `OBJ_${storesOf(fleet).files}`])
          await streams.delete(name);
        await cleaner.close();
        return true;
      });
    },
  };
}
