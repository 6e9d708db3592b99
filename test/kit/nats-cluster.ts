import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { findFreePort } from "../../src/base-node/free-port.js";
import { connectNatsBus, type NatsBus } from "../../src/bus/nats-bus.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { eventually } from "./eventually.js";
import { startNats } from "./nats.js";
import { quietLog } from "./quiet-log.js";
import { newCredentials, type TestNats } from "./test-nats.js";

const serversMax = 3;
const electionMaxMs = 60_000;

/** Three NATS servers that are one. */
export interface TestCluster {
  readonly servers: readonly TestNats[];
  /** All addresses, joined by commas. */
  readonly url: string;
  readonly credentials: TestNats["credentials"];
  /** A connection of the test's own, and JetStream over it. */
  readonly bus: NatsBus;
  readonly manager: JetStreamManager;
  /** The server that leads a stream. */
  leaderOf(stream: string): Promise<TestNats>;
  stop(): Promise<void>;
}

/** Starts three servers with JetStream on loopback and waits until they have elected a leader of it. Whoever starts them stops them. */
export async function startNatsCluster(): Promise<TestCluster> {
  const credentials = newCredentials();
  const ports: number[] = [];
  for (let n = 0; n < serversMax; n++) ports.push(await findFreePort());
  const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(", ");
  const servers: TestNats[] = [];
  for (const [index, port] of ports.entries()) {
    const config = [
      `server_name: "n${index + 1}"`,
      `cluster { name: "test", listen: "127.0.0.1:${port}", routes: [${routes}] }`,
      `authorization { user: "${credentials.user}", password: "${credentials.password}" }`,
    ];
    servers.push(await startNats({ config: config.join("\n") }));
  }
  const url = servers.map((server) => server.url).join(",");
  const { user, password } = credentials;
  const clock = createRealClock();
  const bus = await connectNatsBus({
    servers: url,
    user,
    pass: password,
    name: "test",
    clock,
    log: quietLog,
  });
  const manager = await eventually(() => jetstreamManager(bus.connection), { withinMs: electionMaxMs });
  await eventually(() => bus.connection.info?.connect_urls?.length === serversMax, {
    withinMs: electionMaxMs,
  });
  return {
    servers,
    url,
    credentials,
    bus,
    manager,
    async leaderOf(stream) {
      const leader = await eventually(async () => (await manager.streams.info(stream)).cluster?.leader);
      const found = servers[Number(leader.slice(1)) - 1];
      if (found === undefined) throw new Error(`no server is called ${leader}`);
      return found;
    },
    async stop() {
      await bus.close();
      await Promise.all(servers.map((server) => server.stop()));
    },
  };
}
