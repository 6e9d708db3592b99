import { createClient } from "../../src/api/client.js";
import type { Client } from "../../src/api/client-types.js";
import { type ApiRole, serveApi } from "../../src/api/service.js";
import type { Log } from "../../src/base/ports.js";
import { createMemoryBus } from "../../src/bus/memory-bus.js";
import type { ControlPlane } from "../../src/contracts/api.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";
import { fakePlane } from "./fake-plane.js";

/** A log line as a test looks at it. */
export interface LogLine {
  readonly level: string;
  readonly facts: object;
  readonly sentence: string;
}

function memoryLog(lines: LogLine[]): Log {
  const at = (level: string) => (facts: object, sentence: string) =>
    void lines.push({ level, facts, sentence });
  const log: Log = {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: () => log,
  };
  return log;
}

/** A memory bus in virtual time, on which a test starts coordinators and clients. */
export function createWorld() {
  const clock = createVirtualClock();
  const hub = createMemoryBus(clock);
  const lines: LogLine[] = [];
  const log = memoryLog(lines);

  /** Lets time pass until the promise has settled, at most a virtual minute or two. */
  async function settled<T>(promise: Promise<T>): Promise<T> {
    let done = false;
    const noted = promise.finally(() => {
      done = true;
    });
    noted.catch(() => undefined);
    await clock.runUntil(() => done, { limitMs: 120_000 });
    return noted;
  }

  function coordinator(
    node: string,
    role: ApiRole | (() => ApiRole),
    answers: Partial<ControlPlane>,
    fleet = "default",
  ) {
    const bus = hub.connect(node, { log });
    const api = serveApi({
      bus,
      fleet,
      plane: fakePlane(answers),
      node,
      version: "1.2.3",
      role: typeof role === "function" ? role : () => role,
      clock,
      log,
    });
    return { bus, stop: () => api.unsubscribe() };
  }

  function client(options: { retries?: number; timeoutMs?: number; fleet?: string } = {}): Client {
    const name = `client-${++clients}`;
    return createClient({
      bus: hub.connect(name),
      fleet: "default",
      clock,
      random: createSeededRandom(name),
      log,
      ...options,
    });
  }
  let clients = 0;

  /** The error code and sentence with which a call is refused. */
  async function refusalOf(promise: Promise<unknown>) {
    const outcome = await settled(
      promise.then(
        (value) => ({ value }),
        (thrown: unknown) => ({ thrown }),
      ),
    );
    if (!("thrown" in outcome)) throw new Error(`not refused, but answered ${JSON.stringify(outcome.value)}`);
    const { code, message, retry, details } = outcome.thrown as {
      code: string;
      message: string;
      retry: string;
      details: object;
    };
    return { code, message, retry, details };
  }

  return { clock, hub, lines, log, settled, coordinator, client, refusalOf };
}

export const leading: ApiRole = { leading: true, epoch: 7, leader: "c1" };
export const following: ApiRole = { leading: false, epoch: 7, leader: "c1" };
export const leaderless: ApiRole = { leading: false, epoch: 7, leader: null };
