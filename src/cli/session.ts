import { createClient } from "../api/client.js";
import type { Client } from "../api/client-types.js";
import type { Log } from "../base/ports.js";
import { createLog } from "../base-node/log.js";
import { connectNatsBus, type NatsBus } from "../bus/nats-bus.js";
import { refusal } from "../contracts/errors.js";
import type { CliIo } from "./cli-io.js";
import { type GlobalOptions, logLevelOf } from "./global-options.js";
import { findTarget, type Target } from "./target.js";

/** A connection to a fleet's control plane, for one command. */
export interface Session {
  readonly bus: NatsBus;
  readonly client: Client;
  readonly target: Target;
  readonly log: Log;
}

const connectTimeoutMs = 3_000;

/**
 * Connects, does the work, and disconnects whatever happened.
 * @throws RollcallError `NO_CONTROL_PLANE` if nothing says where NATS is, `NATS_UNREACHABLE`, and what the work throws
 */
export async function withSession<T>(
  options: GlobalOptions,
  io: CliIo,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const log = createLog({ level: logLevelOf(options, io, "error"), name: "rollcall" });
  const target = await findTarget(options, io);
  const bus = await connect(target, io, log);
  try {
    const client = createClient({ bus, fleet: target.fleet, clock: io.clock, random: io.random, log });
    return await work({ bus, client, target, log });
  } finally {
    await bus.close();
  }
}

async function connect(
  { url, user, password, inboxPrefix, fleet }: Target,
  { clock }: CliIo,
  log: Log,
): Promise<NatsBus> {
  if (url === undefined) throw refusal("NO_CONTROL_PLANE", { fleet });
  return connectNatsBus({
    servers: url,
    user,
    pass: password,
    inboxPrefix,
    name: "rollcall command",
    connectTimeoutMs,
    clock,
    log,
  });
}
