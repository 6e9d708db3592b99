import type { Bus, BusMessage, BusStatus, Clock, Log, Subscription } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { HandlerGuard } from "./handler-guard.js";
import { headerValues } from "./headers.js";
import { assertPattern, assertSubject } from "./subject-tree.js";

/** The default of a NATS server. */
const payloadMaxBytes = 1_048_576;
const encoder = new TextEncoder();

export interface Listener {
  readonly bus: MemoryBus;
  readonly pattern: string;
  readonly queue: string | undefined;
  readonly handle: (message: BusMessage) => unknown;
  open: boolean;
}

/** A message as its sender gave it away; nobody changes `data` any more. */
export interface Sent {
  readonly from: MemoryBus;
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly reply: string | undefined;
}

/** What keeps a process from the server: a cut of its own, its slowness, or that there is no server. */
export type CutBy = "itself" | "slowness" | "server";

/** What a connection needs of its hub. */
interface HubPorts {
  readonly name: string;
  readonly isServer: boolean;
  /** What cuts it off from the beginning. */
  readonly cutBy: readonly CutBy[];
  readonly clock: Clock;
  readonly log: Log | undefined;
  readonly latencyMs: number;
  /** `make` is called when somebody listens or looks. */
  readonly send: (from: MemoryBus, subject: string, make: () => Sent) => number;
  readonly listen: (listener: Listener) => Subscription;
  readonly forget: () => void;
}

interface Ask {
  readonly timeoutMs: number;
  readonly max: number;
  readonly isLast?: (answer: BusMessage) => boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One process's connection to the hub of `createMemoryBus`. */
export class MemoryBus implements Bus {
  readonly #ports: HubPorts;
  readonly #guard: HandlerGuard;
  readonly #statusListeners = new Set<(status: BusStatus) => void>();
  readonly #subscriptions = new Set<Subscription>();
  /** What ends each request that waits, with the reason. */
  readonly #waiting = new Set<(reason: Error) => void>();
  /** What cuts it off; none while messages flow. */
  readonly #cuts: Set<CutBy>;
  #connection = 1;
  #closed = false;
  /** For the hub: messages that are on their way to it. */
  pending = 0;
  #inboxes = 0;
  #lost = 0;

  constructor(ports: HubPorts) {
    this.#ports = ports;
    this.#cuts = new Set(ports.cutBy);
    this.#guard = new HandlerGuard(ports.clock, ports.log);
  }

  get name(): string {
    return this.#ports.name;
  }

  /** Of its process. */
  get clock(): Clock {
    return this.#ports.clock;
  }

  get connected(): boolean {
    return this.#cuts.size === 0 && !this.#closed;
  }

  /** Handlers that threw, and messages given away while disconnected. */
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
    if (this.#closed) return { unsubscribe: () => undefined };
    const heard = this.#ports.listen({
      bus: this,
      pattern: subject,
      queue: options.queue,
      handle,
      open: true,
    });
    const subscription = {
      unsubscribe: () => {
        heard.unsubscribe();
        this.#subscriptions.delete(subscription);
      },
    };
    this.#subscriptions.add(subscription);
    return subscription;
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
    await this.#later(this.#ports.latencyMs);
    if (!this.connected) throw this.#unreachable();
  }

  onStatus(listener: (status: BusStatus) => void): Subscription {
    this.#statusListeners.add(listener);
    return { unsubscribe: () => void this.#statusListeners.delete(listener) };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const subscription of [...this.#subscriptions]) subscription.unsubscribe();
    for (const end of [...this.#waiting]) end(this.#unreachable());
    this.#ports.forget();
    this.#announce("closed");
    await this.#later(0);
  }

  /** For the hub. Which connection it is: what was on its way by an earlier one never arrives. */
  get connection(): number {
    return this.#connection;
  }

  /** For the hub: it is part of the server. */
  get isServer(): boolean {
    return this.#ports.isServer;
  }

  /** For the hub. */
  cut(by: CutBy): void {
    if (this.#closed || this.#cuts.has(by)) return;
    this.#cuts.add(by);
    if (this.#cuts.size > 1) return;
    this.#connection++;
    this.pending = 0;
    this.#announce("disconnected");
  }

  /** For the hub. It is connected again when nothing else cuts it off. */
  mend(by: CutBy): void {
    if (this.#closed || !this.#cuts.delete(by) || this.#cuts.size > 0) return;
    this.#announce("reconnected");
  }

  /** For the hub. */
  receive(message: Sent, listener: Listener): void {
    this.#guard.run(listener.pattern, () => listener.handle(this.#received(message)));
  }

  #received({ subject, data, headers, reply }: Sent): BusMessage {
    return {
      subject,
      data,
      header: (name) => (headers !== undefined && Object.hasOwn(headers, name) ? headers[name] : undefined),
      expectsReply: reply !== undefined,
      respond: (answer, answerHeaders) => {
        if (reply !== undefined) this.#send(reply, answer, answerHeaders, undefined);
      },
    };
  }

  #send(
    subject: string,
    data: Uint8Array | string,
    headers: Readonly<Record<string, string>> | undefined,
    reply: string | undefined,
  ): number {
    assertSubject(subject);
    const sizeBytes = typeof data === "string" ? Buffer.byteLength(data) : data.length;
    if (sizeBytes > payloadMaxBytes)
      throw refusal("PAYLOAD_TOO_LARGE", { sizeBytes, maxBytes: payloadMaxBytes });
    if (!this.connected) {
      this.#lost++;
      return 0;
    }
    return this.#ports.send(this, subject, () => ({
      from: this,
      subject,
      data: typeof data === "string" ? encoder.encode(data) : data.slice(),
      headers: headers && headerValues(headers),
      reply,
    }));
  }

  #ask(
    subject: string,
    data: Uint8Array | string,
    { timeoutMs, max, isLast, headers }: Ask,
  ): Promise<BusMessage[] | "nobody"> {
    return new Promise((resolve, reject) => {
      if (!this.connected) throw this.#unreachable();
      const answers: BusMessage[] = [];
      const inbox = `_INBOX.${this.name}.${++this.#inboxes}`;
      const end = (settle: () => void) => {
        inboxed.unsubscribe();
        timer.cancel();
        this.#waiting.delete(refuse);
        settle();
      };
      const refuse = (reason: Error) => end(() => reject(reason));
      const inboxed = this.subscribe(inbox, (answer) => {
        try {
          if (answers.push(answer) >= max || isLast?.(answer) === true) end(() => resolve(answers));
        } catch (thrown) {
          end(() => reject(thrown));
        }
      });
      let timer = this.#ports.clock.setTimer(timeoutMs, () => end(() => resolve(answers)));
      this.#waiting.add(refuse);
      let receivers = 0;
      try {
        receivers = this.#send(subject, data, headers, inbox);
      } catch (thrown) {
        end(() => reject(thrown));
        return;
      }
      if (receivers > 0) return;
      timer.cancel();
      timer = this.#ports.clock.setTimer(this.#ports.latencyMs, () => end(() => resolve("nobody")));
    });
  }

  #announce(status: BusStatus): void {
    for (const listener of this.#statusListeners) {
      this.#ports.clock.setTimer(0, () => this.#guard.run(`status ${status}`, () => listener(status)));
    }
  }

  #later(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#ports.clock.setTimer(delayMs, resolve));
  }

  #unreachable(): Error {
    return refusal("NATS_UNREACHABLE", {
      url: "memory",
      problem: this.#closed ? "the connection is closed" : "disconnected",
    });
  }
}
