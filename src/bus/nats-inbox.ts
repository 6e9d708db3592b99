import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { createInbox } from "@nats-io/transport-node";
import { assert } from "../base/assert.js";
import type { Clock } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { saysNobodyListens } from "./nats-message.js";

/** Requests that wait at the same time. */
const waitingMax = 50_000;

interface Waiting {
  readonly subject: string;
  readonly take: (answer: Msg) => void;
  readonly refuse: (reason: Error) => void;
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

  constructor(connection: NatsConnection, clock: Clock, prefix: string | undefined) {
    this.#clock = clock;
    this.#base = `${createInbox(prefix)}.`;
    connection.subscribe(`${this.#base}*`, {
      callback: (error, answer) => {
        if (error === null) this.#waiting.get(answer.subject.slice(this.#base.length))?.take(answer);
        else this.#deny(error);
      },
    });
  }

  /**
   * Calls `send` with the subject for answers and collects up to `max` of them.
   *
   * @returns what came until `timeoutMs`, or `nobody`
   * @throws RollcallError `NOT_ALLOWED`, and what `send` throws
   */
  ask(
    subject: string,
    { timeoutMs, max }: { timeoutMs: number; max: number },
    send: (reply: string) => void,
  ): Promise<Msg[] | "nobody"> {
    return new Promise((resolve, reject) => {
      assert(this.#waiting.size < waitingMax, `at most ${waitingMax} requests wait at the same time`);
      if (this.#denied !== undefined) throw this.#denied;
      const answers: Msg[] = [];
      const token = (++this.#count).toString(36);
      const end = () => {
        timer.cancel();
        this.#waiting.delete(token);
      };
      const settle = (result: Msg[] | "nobody") => {
        end();
        resolve(result);
      };
      const refuse = (reason: unknown) => {
        end();
        reject(reason);
      };
      const take = (answer: Msg) => {
        if (answers.length === 0 && saysNobodyListens(answer)) settle("nobody");
        else if (answers.push(answer) >= max) settle(answers);
      };
      const timer = this.#clock.setTimer(timeoutMs, () => settle(answers));
      this.#waiting.set(token, { subject, take, refuse });
      try {
        send(this.#base + token);
      } catch (thrown) {
        refuse(thrown);
      }
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
