import { messageOf, RollcallError } from "../base/errors.js";
import type { Clock, Log, Subscription, Timer } from "../base/ports.js";
import { isAlive } from "../base-node/process-identity.js";
import { refusal } from "../contracts/errors.js";
import type { OpenedServer } from "./open-server.js";
import { startServer, targetOf } from "./open-server.js";
import type { RestartLimit } from "./restart-limit.js";
import { createRestartCounter } from "./restart-limit.js";
import type { RunningNats } from "./running-nats.js";
import type { ServerPlaces } from "./server-config.js";
import type { ServerProcess } from "./server-process.js";
import { endServer, pause } from "./server-process.js";
import type { ServerRecord } from "./server-record.js";
import { writeServerRecord } from "./server-record.js";

/** How often an adopted server is looked at: the end of another's child is told to nobody. */
const lookEveryMs = 250;

/** Keeps a server running: starts it again whenever it ends, until it is stopped or ends too often. */
export class ServerKeeper implements RunningNats {
  readonly adopted: boolean;
  readonly #binary: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #places: ServerPlaces;
  readonly #nextWaitMs: (nowMs: number) => number | undefined;
  readonly #listeners = new Set<(why: RollcallError) => void>();
  #record: ServerRecord;
  #server: ServerProcess;
  #restarts = 0;
  #stopping: Promise<void> | undefined;
  #revival: Promise<void> | undefined;
  #look: Timer | undefined;

  constructor(
    options: OpenedServer & { binary: string; clock: Clock; log: Log; restartLimit: RestartLimit },
  ) {
    this.#binary = options.binary;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#places = options.places;
    this.#record = options.record;
    this.#server = options.server;
    this.#nextWaitMs = createRestartCounter(options.restartLimit);
    this.adopted = options.server.child === undefined;
  }

  get url(): string {
    return targetOf(this.#record).url;
  }

  get user(): string {
    return this.#record.user;
  }

  get password(): string {
    return this.#record.password;
  }

  get pid(): number {
    return this.#server.identity.pid;
  }

  get restarts(): number {
    return this.#restarts;
  }

  onExit(listener: (why: RollcallError) => void): Subscription {
    this.#listeners.add(listener);
    return { unsubscribe: () => void this.#listeners.delete(listener) };
  }

  async stop(): Promise<void> {
    this.#stopping ??= this.#end();
    await this.#stopping;
  }

  /** Begins to watch the server that runs now. */
  watch(): void {
    const { child, identity } = this.#server;
    if (child === undefined) {
      this.#look = this.#clock.setTimer(lookEveryMs, () => {
        if (isAlive(identity)) this.watch();
        else this.#onEnd("it was adopted, so how is not known");
      });
      return;
    }
    const how = () =>
      child.signalCode === null ? `exit code ${child.exitCode}` : `signal ${child.signalCode}`;
    if (child.exitCode !== null || child.signalCode !== null) this.#onEnd(how());
    else child.once("exit", () => this.#onEnd(how()));
  }

  #onEnd(how: string): void {
    if (this.#stopping !== undefined || this.#revival !== undefined) return;
    this.#log.error({ pid: this.pid, how }, "the NATS server ended");
    this.#revival = this.#revive(how).then(
      () => {
        this.#revival = undefined;
        if (this.#stopping === undefined) this.watch();
      },
      (error: unknown) => {
        this.#revival = undefined;
        this.#giveUp(error);
      },
    );
  }

  /** Starts it again on its port, with its store, until that succeeds or was tried too often. */
  async #revive(how: string): Promise<void> {
    let problem = `it ended with ${how}`;
    for (;;) {
      const waitMs = this.#nextWaitMs(this.#clock.monotonicMs());
      if (waitMs === undefined) {
        throw refusal("NATS_START_FAILED", {
          problem: `${problem}, and not for the first time`,
          log: this.#places.log,
        });
      }
      await pause(this.#clock, waitMs);
      if (this.#stopping !== undefined) return;
      try {
        const opened = await startServer(this.#record, this.#places, {
          binary: this.#binary,
          clock: this.#clock,
        });
        this.#record = opened.record;
        this.#server = opened.server;
        this.#restarts++;
        this.#log.warn({ pid: this.pid, restarts: this.#restarts }, "the NATS server was started again");
        return;
      } catch (error) {
        problem = messageOf(error);
        this.#log.error({ problem }, "the NATS server could not be started again");
      }
    }
  }

  #giveUp(error: unknown): void {
    const why =
      error instanceof RollcallError
        ? error
        : refusal("NATS_START_FAILED", { problem: messageOf(error), log: this.#places.log }, error);
    this.#log.error({ problem: why.message }, "the NATS server is not started again");
    for (const listener of this.#listeners) listener(why);
    this.#listeners.clear();
  }

  async #end(): Promise<void> {
    this.#look?.cancel();
    await this.#revival;
    await endServer(this.#server.identity, this.#clock);
    this.#record = { ...this.#record, server: null };
    await writeServerRecord(this.#places.record, this.#record);
  }
}
