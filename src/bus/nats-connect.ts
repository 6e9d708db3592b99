import { connect, errors, type NatsConnection } from "@nats-io/transport-node";
import { messageOf } from "../base/errors.js";
import type { Clock, Log } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { isNewEnough } from "../contracts/nats-version.js";
import { type NatsAddress, parseNatsAddress } from "./nats-address.js";

/** How to reach the NATS servers, and as whom. */
export interface NatsBusOptions {
  /** `nats://host:port`, with `user:password@` if need be; several for a cluster. */
  readonly servers: string | readonly string[];
  readonly user?: string | undefined;
  readonly pass?: string | undefined;
  /** Shown by the server's monitoring. */
  readonly name: string;
  /** Where answers go; a confined agent may hear only its own, `_INBOX_<agent>`. */
  readonly inboxPrefix?: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** For the first connection; later ones are tried for ever. */
  readonly connectTimeoutMs?: number;
}

/** A dead connection is found after three of them. */
const pingIntervalMs = 10_000;
/**
 * Connects to one of the servers and checks that it is new enough.
 *
 * @returns the connection, and its address without credentials
 * @throws RollcallError `NATS_UNREACHABLE`, `NOT_ALLOWED` (wrong credentials), `NATS_TOO_OLD`
 */
export async function connectToNats(
  options: NatsBusOptions,
): Promise<{ readonly connection: NatsConnection; readonly url: string }> {
  const address = parseNatsAddress(options.servers);
  if (address === undefined)
    throw refusal("NATS_UNREACHABLE", {
      url: "?",
      problem: "the address is not of the form nats://host:port",
    });
  const url = address.servers.join(",");
  const connection = await dial(address, url, options);
  const version = connection.info?.version ?? "?";
  if (!isNewEnough(version)) {
    await connection.close();
    throw refusal("NATS_TOO_OLD", { version, where: url });
  }
  return { connection, url };
}

async function dial(address: NatsAddress, url: string, options: NatsBusOptions): Promise<NatsConnection> {
  try {
    return await connect({
      servers: [...address.servers],
      user: options.user ?? address.user,
      pass: options.pass ?? address.pass,
      ...(address.tls ? { tls: {} } : {}),
      name: options.name,
      ...(options.inboxPrefix === undefined ? {} : { inboxPrefix: options.inboxPrefix }),
      timeout: options.connectTimeoutMs ?? 5_000,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
      reconnectJitter: 500,
      pingInterval: pingIntervalMs,
      maxPingOut: 2,
      ignoreAuthErrorAbort: true,
      noAsyncTraces: true,
    });
  } catch (thrown) {
    if (thrown instanceof errors.AuthorizationError)
      throw refusal("NOT_ALLOWED", { what: `connecting to ${url}` }, thrown);
    throw refusal("NATS_UNREACHABLE", { url, problem: messageOf(thrown) }, thrown);
  }
}
