import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

/** Whom to ask: an address and who asks. */
export interface ProbeTarget {
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

/** What a server says of itself to somebody whom it lets in. */
export interface ProbeAnswer {
  readonly serverName: string;
  readonly version: string;
}

/**
 * Logs in to a server and asks its JetStream, once.
 *
 * @throws Error of the client when it cannot be reached, refuses the credentials, has no JetStream or takes longer
 */
export async function probeServer(target: ProbeTarget, timeoutMs: number): Promise<ProbeAnswer> {
  const connection = await connect({
    servers: target.url,
    user: target.user,
    pass: target.password,
    name: "rollcall-probe",
    reconnect: false,
    timeout: timeoutMs,
  });
  try {
    const manager = await jetstreamManager(connection, { timeout: timeoutMs });
    await manager.getAccountInfo();
    return { serverName: connection.info?.server_name ?? "", version: connection.info?.version ?? "" };
  } finally {
    await connection.close();
  }
}
