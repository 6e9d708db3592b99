import type { EventObject } from "xstate";
import type { MailboxRule } from "./actor.js";
import { RingQueue } from "./ring-queue.js";

export const defaultMailbox: MailboxRule = { max: 1_000, overflow: "refuse" };

/** Events that wait for an actor; delayed ones do not stand here, so a full mailbox loses no deadline. */
export class Mailbox {
  readonly #events = new RingQueue<EventObject>();

  get size(): number {
    return this.#events.size;
  }

  /** Takes an event in and returns the one that there was no room for: none, an older one, or the event itself. */
  put(event: EventObject, { max, overflow }: MailboxRule): EventObject | undefined {
    const full = this.#events.size >= max;
    if (full && overflow === "refuse") return event;
    const dropped = full ? this.#events.shift() : undefined;
    this.#events.push(event);
    return dropped;
  }

  take(): EventObject | undefined {
    return this.#events.shift();
  }
}
