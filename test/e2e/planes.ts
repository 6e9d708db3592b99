import { setTimeout as pause } from "node:timers/promises";
import { expect } from "vitest";
import type { CoordinatorView } from "../../src/contracts/views.js";
import {
  type Client,
  connectNatsBus,
  createClient,
  createRealClock,
  createRealRandom,
  type NatsBus,
  RollcallError,
} from "../../src/index.js";
import { AuditLog } from "../../src/ledger/audit-log.js";
import type { AuditEvent } from "../../src/ledger/event-chain.js";
import { openLedgerReader } from "../../src/ledger/ledger-reader.js";
import { verifyAudit } from "../../src/ledger/verify-audit.js";
import { eventually } from "../kit/eventually.js";
import { type FaultyProxy, startFaultyProxy } from "../kit/faulty-proxy.js";
import { startNats } from "../kit/nats.js";
import type { TestNats } from "../kit/test-nats.js";
import { type Running, World } from "./world.js";

const insistMaxMs = 60_000;
const fleet = "default";
const clock = createRealClock();

/**
 * A NATS server, several coordinators and agents, each a process of its own that reaches the server by a way of its own, on
 * which everything can go wrong. The tests' own client goes straight to the server.
 */
export class Planes {
  readonly world = new World();
  readonly nats: TestNats;
  readonly client: Client;
  readonly coordinators = new Map<string, Running>();
  readonly agents = new Map<string, Running>();
  readonly #ways = new Map<string, FaultyProxy>();
  readonly #bus: NatsBus;

  private constructor(nats: TestNats, bus: NatsBus) {
    this.nats = nats;
    this.#bus = bus;
    // An operator's patience is longer than a program's.
    this.client = createClient({ bus, fleet, clock, random: createRealRandom(), retries: 12 });
  }

  static async start(coordinators: readonly string[]): Promise<Planes> {
    const nats = await startNats();
    const { user, password } = nats.credentials;
    const bus = await connectNatsBus({ servers: nats.url, user, pass: password });
    const planes = new Planes(nats, bus);
    for (const name of coordinators) await planes.startCoordinator(name);
    await planes.leader();
    return planes;
  }

  async end(): Promise<void> {
    await this.#bus.close();
    await this.world.close();
    for (const way of this.#ways.values()) await way.end();
    await this.nats.stop();
  }

  /** The way of a process to the server. */
  way(name: string): FaultyProxy {
    const way = this.#ways.get(name);
    if (way === undefined) throw new Error(`there is no process ${name}`);
    return way;
  }

  async startCoordinator(name: string): Promise<Running> {
    const running = await this.#start(name, ["coordinator", "--name", name]);
    this.coordinators.set(name, running);
    return running;
  }

  /** One agent process for all of these instances, `id` or `id:k=v`; resolves once all have reported. */
  async startAgent(name: string, instances: readonly string[]): Promise<Running> {
    const flags = instances.flatMap((instance) => ["--instance", instance]);
    const running = await this.#start(name, ["agent", "--name", name, "--stop-processes", ...flags]);
    this.agents.set(name, running);
    const ids = new Set(instances.map((instance) => instance.split(":")[0]));
    await eventually(
      async () => {
        const { items } = await this.client.instances.list();
        const heard = items.filter(({ id, reportAgeMs }) => ids.has(id) && reportAgeMs !== null);
        if (heard.length < ids.size) throw new Error(`${heard.length} of ${ids.size} have reported`);
        return true;
      },
      { withinMs: 60_000, everyMs: 200 },
    );
    return running;
  }

  async #start(name: string, args: readonly string[]): Promise<Running> {
    const way = this.#ways.get(name) ?? (await startFaultyProxy(this.nats.url));
    this.#ways.set(name, way);
    const { user, password } = this.nats.credentials;
    const env = { NATS_URL: way.url, NATS_USER: user, NATS_PASSWORD: password, ROLLCALL_LOG_LEVEL: "info" };
    return await this.world.start(args, { env });
  }

  async push(version: string, folder: string): Promise<void> {
    const { user, password } = this.nats.credentials;
    const env = { NATS_URL: this.nats.url, NATS_USER: user, NATS_PASSWORD: password };
    const { code, stderr } = await this.world.run(["releases", "push", version, folder], { env });
    if (code !== 0) throw new Error(`the release was not pushed: ${stderr}`);
  }

  /** Asks again until somebody answers: for longer than a client does by itself. */
  async insist<T>(ask: () => Promise<T>): Promise<T> {
    const untilMs = performance.now() + insistMaxMs;
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        const mayPass = error instanceof RollcallError && error.retry === "later";
        if (!mayPass || performance.now() > untilMs) throw error;
        await pause(250);
      }
    }
  }

  /** Who leads, once somebody does; another one than `not`. */
  async leader(not?: string): Promise<CoordinatorView> {
    return await eventually(
      async () => {
        const { items } = await this.client.coordinators.list();
        return items.find(({ id, role }) => role === "leading" && id !== not);
      },
      { withinMs: 30_000, everyMs: 50 },
    );
  }

  /** The whole audit log, oldest first, up to the end that the ledger knows: none is missing, doubled or changed. */
  async audit(): Promise<AuditEvent[]> {
    const log = new AuditLog({ fleet, bus: this.#bus, clock });
    const verdict = await verifyAudit(log, openLedgerReader(this.#bus, fleet), clock);
    expect(verdict.end).toBe("agrees");
    const events: AuditEvent[] = [];
    for await (const { event } of log.read()) events.push(event);
    return events;
  }

  /** The releases that instances run now, by instance. */
  async running(): Promise<Record<string, string | null>> {
    const { items } = await this.client.instances.list();
    return Object.fromEntries(items.map(({ id, running }) => [id, running?.release ?? null]));
  }

  /** Waits until a deployment is over, and its rollback, if it has one. */
  async outcomes(deployment: string, withinMs = 90_000): Promise<(string | null)[]> {
    const view = await eventually(
      async () => {
        const { deployment: now } = await this.client.deployments.get({ deployment });
        if (now.outcome === null) throw new Error(now.why.sentence);
        return now;
      },
      { withinMs, everyMs: 200 },
    );
    return [view.outcome, ...(view.rolledBackBy === null ? [] : await this.outcomes(view.rolledBackBy))];
  }
}
