import type { NatsConnection } from "@nats-io/transport-node";
import type { ConnectedBus } from "./reachable.js";

/** What the ledger needs of the NATS bus: the connection under it, for batches and consumers. */
export interface NatsLink extends ConnectedBus {
  readonly connection: NatsConnection;
}
