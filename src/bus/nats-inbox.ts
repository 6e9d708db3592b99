import type { NatsConnection } from "@nats-io/transport-node";
import { createInbox } from "@nats-io/transport-node";
import { assert } from "../base/assert.js";
import type { BusMessage, Clock } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import type { Respond } from "./nats-message.js";
import { NatsMessage } from "./nats-message.js";

/** Requests that wait at the same time. */
const waitingMax = 50_000;

interface Waiting {
  readonly subject: string;
  readonly take: (answer: NatsMessage) => void;
  readonly refuse: (reason: Error) => void;
}

/** When a request has its answers. */
export interface Ask {
  readonly timeoutMs: number;
  readonly max: number;
  readonly isLast?: (answer: BusMessage) => boolean;
}

/**
 * One subscription for the answers to all requests of a connection. The client's own would do but for one thing: an
 * answer with unreadable headers, which any responder can send, makes it stop reading the connection.
 */
export class NatsInbox {
  readonly #clock: Clock;
  readonly #base: string;
  readonly #waiting = new Map<string, Waiting>();
  #denied: Error | undefined;
  #count = 0;

  constructor(parts: {
    readonly connection: NatsConnection;
    readonly clock: Clock;
    readonly prefix: string | undefined;
    readonly respond: Respond;
  }) {
    const { connection, clock, prefix, respond } = parts;
    this.#clock = clock;
    this.#base = `${createInbox(prefix)}.`;
    connection.subscribe(`${this.#base}*`, {
      callback: (error, answer) => {
        if (error !== null) this.#deny(error);
        else
          this.#waiting.get(answer.subject.slice(this.#base.length))?.take(new NatsMessage(answer, respond));
      },
    });
  }

  /**
   * Calls `send` with the subject for answers and collects them.
   *
   * @returns what came until there were `max`, the last one or no time left; or `nobody`
   * @throws RollcallError `NOT_ALLOWED`, and what `send` or `isLast` throws
   */
  ask(
    subject: string,
    { timeoutMs, max, isLast }: Ask,
    send: (reply: string) => void,
  ): Promise<BusMessage[] | "nobody"> {
    return new Promise((resolve, reject) => {
      assert(this.#waiting.size < waitingMax, `at most ${waitingMax} requests wait at the same time`);
      if (this.#denied !== undefined) throw this.#denied;
      const answers: BusMessage[] = [];
      const token = (++this.#count).toString(36);
      const end = (settle: () => void) => {
        timer.cancel();
        this.#waiting.delete(token);
        settle();
      };
      const refuse = (reason: unknown) => end(() => reject(reason));
      const orRefuse = (work: () => void) => {
        try {
          work();
        } catch (thrown) {
          refuse(thrown);
        }
      };
      const take = (answer: NatsMessage) => {
        if (answers.length === 0 && answer.saysNobodyListens) end(() => resolve("nobody"));
        else if (answers.push(answer) >= max || isLast?.(answer) === true) end(() => resolve(answers));
      };
      const timer = this.#clock.setTimer(timeoutMs, () => end(() => resolve(answers)));
      this.#waiting.set(token, { subject, take: (answer) => orRefuse(() => take(answer)), refuse });
      orRefuse(() => send(this.#base + token));
    });
  }

  /** The server refused to let a request out. */
  refused(subject: string): void {
    for (const waiting of [...this.#waiting.values()]) {
      if (waiting.subject === subject)
        waiting.refuse(refusal("NOT_ALLOWED", { what: `sending to ${subject}` }));
    }
  }

  /** No answer can come any more. */
  close(reason: Error): void {
    for (const waiting of [...this.#waiting.values()]) waiting.refuse(reason);
  }

  #deny(cause: Error): void {
    this.#denied = refusal("NOT_ALLOWED", { what: `hearing answers on ${this.#base}*` }, cause);
    this.close(this.#denied);
  }
}
