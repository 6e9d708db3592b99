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

  /** The server's word that nobody listens on the subject of a request. */
  get saysNobodyListens(): boolean {
    return this.#message.data.length === 0 && this.header("Status") === "503";
  }

  header(name: string): string | undefined {
    return headerOf(this.#message, name);
  }

  respond(data: Uint8Array | string, headers?: Readonly<Record<string, string>>): void {
    const reply = this.#message.reply ?? "";
    if (reply !== "") this.#respond(reply, data, headers);
  }
}

/**
 * The first value of a header; the server's own status line reads as `Status`, as in other clients.
 * (The client throws on headers that it cannot read, which any sender can send.)
 */
function headerOf(message: Msg, name: string): string | undefined {
  try {
    const { headers } = message;
    if (headers === undefined) return undefined;
    if (name === "Status" && headers.code > 0) return String(headers.code);
    return headers.has(name) ? headers.get(name) : undefined;
  } catch {
    return undefined;
  }
}
