import type { NatsConnection, Status } from "@nats-io/transport-node";
import { errors } from "@nats-io/transport-node";
import type { Bus, BusMessage, BusStatus, Clock, Log, Subscription } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { isNewEnough } from "../contracts/nats-version.js";
import { HandlerGuard } from "./handler-guard.js";
import { natsHeaders } from "./headers.js";
import type { NatsBusOptions } from "./nats-connect.js";
import { connectToNats } from "./nats-connect.js";
import type { Ask } from "./nats-inbox.js";
import { NatsInbox } from "./nats-inbox.js";
import type { Respond } from "./nats-message.js";
import { NatsMessage } from "./nats-message.js";
import { OutboundMeter } from "./outbound-meter.js";
import { assertPattern, assertSubject } from "./subject-tree.js";

/** What the farewell of a closing connection may take. */
const farewellMs = 2_000;

/**
 * Connects to NATS, and stays connected until closed.
 *
 * @throws RollcallError `NATS_UNREACHABLE`, `NOT_ALLOWED` (wrong credentials), `NATS_TOO_OLD`
 */
export async function connectNatsBus(options: NatsBusOptions): Promise<NatsBus> {
  const { connection, url } = await connectToNats(options);
  return new NatsBus(connection, url, options);
}

/** The bus over NATS, by {@link connectNatsBus}. */
export class NatsBus implements Bus {
  /** For the ledger, which speaks JetStream over the same connection. */
  readonly connection: NatsConnection;
  readonly #url: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #guard: HandlerGuard;
  readonly #inbox: NatsInbox;
  readonly #outbound: OutboundMeter;
  readonly #statusListeners = new Set<(status: BusStatus) => void>();
  readonly #respond: Respond = (reply, data, headers) => this.publish(reply, data, headers);
  #state: "connected" | "disconnected" | "closed" = "connected";
  #lost = 0;

  constructor(connection: NatsConnection, url: string, options: NatsBusOptions) {
    this.connection = connection;
    this.#url = url;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#guard = new HandlerGuard(options.clock, options.log);
    this.#inbox = new NatsInbox({
      connection,
      clock: options.clock,
      prefix: options.inboxPrefix,
      respond: this.#respond,
    });
    this.#outbound = new OutboundMeter(() => connection.flush());
    void this.#follow(connection.status());
  }

  get connected(): boolean {
    return this.#state === "connected";
  }

  /** Handlers that threw, and messages given away while disconnected or behind a server that takes no more. */
  get counts(): { readonly handlerErrors: number; readonly lost: number } {
    return { handlerErrors: this.#guard.errors, lost: this.#lost };
  }

  publish(subject: string, data: Uint8Array | string, headers?: Readonly<Record<string, string>>): void {
    this.#send(subject, data, headers, undefined);
  }

  subscribe(
    subject: string,
    handle: (message: BusMessage) => void,
    options: { queue?: string } = {},
  ): Subscription {
    assertPattern(subject);
    if (this.#state === "closed") return { unsubscribe: () => undefined };
    const subscription = this.connection.subscribe(subject, {
      ...(options.queue === undefined ? {} : { queue: options.queue }),
      callback: (error, message) => {
        if (error === null) this.#guard.run(subject, () => handle(new NatsMessage(message, this.#respond)));
        else this.#guard.failed(subject, refusal("NOT_ALLOWED", { what: `listening to ${subject}` }, error));
      },
    });
    return { unsubscribe: () => subscription.unsubscribe() };
  }

  async request(
    subject: string,
    data: Uint8Array | string,
    options: { timeoutMs: number; headers?: Readonly<Record<string, string>> },
  ): Promise<BusMessage> {
    const answers = await this.#ask(subject, data, { ...options, max: 1 });
    if (answers === "nobody") throw refusal("NO_RESPONDERS", { subject });
    const [first] = answers;
    if (first === undefined) throw refusal("REQUEST_TIMEOUT", { subject, timeoutMs: options.timeoutMs });
    return first;
  }

  async requestMany(
    subject: string,
    data: Uint8Array | string,
    options: { timeoutMs: number; max: number; isLast?: (answer: BusMessage) => boolean },
  ): Promise<BusMessage[]> {
    const answers = await this.#ask(subject, data, options);
    return answers === "nobody" ? [] : answers;
  }

  async flush(): Promise<void> {
    if (!this.connected) throw this.#unreachable();
    try {
      await this.connection.flush();
    } catch (thrown) {
      throw this.#unreachable(thrown);
    }
  }

  onStatus(listener: (status: BusStatus) => void): Subscription {
    this.#statusListeners.add(listener);
    return { unsubscribe: () => void this.#statusListeners.delete(listener) };
  }

  async close(): Promise<void> {
    if (this.connection.isClosed()) return;
    if (this.connected) await this.#sayFarewell();
    await this.connection.close();
  }

  #ask(
    subject: string,
    data: Uint8Array | string,
    options: Ask & { readonly headers?: Readonly<Record<string, string>> },
  ): Promise<BusMessage[] | "nobody"> {
    if (!this.connected) return Promise.reject(this.#unreachable());
    return this.#inbox.ask(subject, options, (reply) => this.#send(subject, data, options.headers, reply));
  }

  #send(
    subject: string,
    data: Uint8Array | string,
    headers: Readonly<Record<string, string>> | undefined,
    reply: string | undefined,
  ): void {
    assertSubject(subject);
    const sizeBytes = typeof data === "string" ? Buffer.byteLength(data) : data.length;
    const maxBytes = this.connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
    if (sizeBytes > maxBytes) throw refusal("PAYLOAD_TOO_LARGE", { sizeBytes, maxBytes });
    if (!this.connected || !this.#outbound.mayTake(sizeBytes)) {
      this.#lost++;
      return;
    }
    this.connection.publish(subject, data, {
      ...(headers === undefined ? {} : { headers: natsHeaders(headers) }),
      ...(reply === undefined ? {} : { reply }),
    });
  }

  async #follow(statuses: AsyncIterable<Status>): Promise<void> {
    for await (const status of statuses) this.#note(status);
  }

  #note(status: Status): void {
    switch (status.type) {
      case "disconnect":
        if (this.#state !== "connected") return;
        this.#log.warn(
          { server: status.server },
          "the connection to the NATS server is lost; trying again until it is back",
        );
        this.#enter("disconnected", "disconnected");
        return;
      case "reconnect":
        if (this.#state !== "disconnected") return;
        this.#reconnected();
        this.#enter("connected", "reconnected");
        return;
      case "close":
        this.#inbox.close(this.#unreachable());
        this.#enter("closed", "closed");
        return;
      case "error":
        this.#refused(status.error);
    }
  }

  #reconnected(): void {
    this.#outbound.reset();
    const version = this.connection.info?.version ?? "?";
    const server = this.connection.getServer();
    this.#log.info({ server, version }, "connected to the NATS server again");
    if (!isNewEnough(version))
      this.#log.error({ server }, refusal("NATS_TOO_OLD", { version, where: server }).message);
  }

  #enter(state: "connected" | "disconnected" | "closed", status: BusStatus): void {
    this.#state = state;
    for (const listener of [...this.#statusListeners]) {
      this.#guard.run(`status ${status}`, () => listener(status));
    }
  }

  #refused(error: Error): void {
    if (error instanceof errors.PermissionViolationError && error.operation === "publish") {
      this.#inbox.refused(error.subject);
      this.#guard.failed(
        error.subject,
        refusal("NOT_ALLOWED", { what: `sending to ${error.subject}` }, error),
      );
    } else if (!(error instanceof errors.PermissionViolationError)) {
      this.#log.warn({ problem: error.message }, "the NATS server reports an error");
    }
  }

  /** Waits, but not for ever, until what was sent has left. */
  #sayFarewell(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(farewellMs, resolve);
      const done = () => {
        timer.cancel();
        resolve();
      };
      this.connection.flush().then(done, done);
    });
  }

  #unreachable(cause?: unknown): Error {
    const problem = this.#state === "closed" ? "the connection is closed" : "disconnected, trying again";
    return refusal("NATS_UNREACHABLE", { url: this.#url, problem }, cause);
  }
}
