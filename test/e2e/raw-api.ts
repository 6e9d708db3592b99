import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { EndpointName } from "../../src/contracts/api.js";
import type { World } from "./world.js";

/** An answer of the control plane as any program on NATS sees it. */
export interface RawAnswer {
  /** The header `Nats-Service-Error`. */
  readonly error: string;
  /** The header `Nats-Service-Error-Code`. */
  readonly status: string;
  readonly body: unknown;
}

/** Asks with nothing but a NATS client. */
export class RawApi {
  readonly #connection: NatsConnection;

  private constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  static async connect(world: World): Promise<RawApi> {
    const { url, user, password } = world.context();
    return new RawApi(await connect({ servers: url, user: user ?? "", pass: password ?? "" }));
  }

  async ask(endpoint: EndpointName, request: unknown): Promise<RawAnswer> {
    const subject = `rollcall.v1.default.api.${endpoint}`;
    const answer = await this.#connection.request(subject, JSON.stringify(request), { timeout: 10_000 });
    return {
      error: answer.headers?.get("Nats-Service-Error") ?? "",
      status: answer.headers?.get("Nats-Service-Error-Code") ?? "",
      body: answer.json(),
    };
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }
}
