import type { Msg } from "@nats-io/transport-node";
import type { BusMessage } from "../base/ports.js";

/** Answers through the bus that received the question. */
export type Respond = (
  reply: string,
  data: Uint8Array | string,
  headers?: Readonly<Record<string, string>>,
) => void;

/** A message of the NATS client; nothing of it is decoded until somebody looks. */
export class NatsMessage implements BusMessage {
  readonly #message: Msg;
  readonly #respond: Respond;

  constructor(message: Msg, respond: Respond) {
    this.#message = message;
    this.#respond = respond;
  }

  get subject(): string {
    return this.#message.subject;
  }

  get data(): Uint8Array {
    return this.#message.data;
  }

  get expectsReply(): boolean {
    return (this.#message.reply ?? "") !== "";
  }

  header(name: string): string | undefined {
    return headerOf(this.#message, name);
  }

  respond(data: Uint8Array | string, headers?: Readonly<Record<string, string>>): void {
    const reply = this.#message.reply ?? "";
    if (reply !== "") this.#respond(reply, data, headers);
  }
}

/** The client throws on headers that it cannot read, which any sender can send. */
export function headerOf(message: Msg, name: string): string | undefined {
  try {
    return message.headers?.has(name) === true ? message.headers.get(name) : undefined;
  } catch {
    return undefined;
  }
}

/** The server's word that nobody listens on the subject of a request. */
export function saysNobodyListens(message: Msg): boolean {
  if (message.data.length > 0) return false;
  try {
    return message.headers?.code === 503;
  } catch {
    return false;
  }
}
