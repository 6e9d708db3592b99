import { resolve } from "node:path";
import { checkName } from "../api/request.js";
import { parseNatsAddress } from "../bus/nats-address.js";
import type { CliIo } from "./cli-io.js";
import { readContext } from "./context.js";
import type { GlobalOptions } from "./global-options.js";

/** Where a command goes, and as whom. */
export interface Target {
  /** `undefined`: nothing says where NATS is. */
  readonly url: string | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /**
   * Where answers go. A confined user may hear only `_INBOX_<user>`, as in `nats.conf`; whoever is confined differently says so
   * by `--inbox-prefix`. `undefined`: the common `_INBOX`.
   */
  readonly inboxPrefix: string | undefined;
  readonly fleet: string;
  readonly dataDir: string;
  /** Where the address comes from, for people. */
  readonly source: "--nats" | "NATS_URL" | "context.json" | "nowhere";
}

/** The folder of state: `--data`, else `ROLLCALL_DATA`, else `./.rollcall`. */
function dataDirOf({ data }: GlobalOptions, io: CliIo): string {
  return resolve(io.cwd, data ?? nonEmpty(io.env.ROLLCALL_DATA) ?? ".rollcall");
}

/**
 * Flag beats environment beats context. The credentials of the context go only to the server of the context.
 * @throws RollcallError `BAD_NAME` for the fleet, `USAGE` for a context that cannot be read
 */
export async function findTarget(options: GlobalOptions, io: CliIo): Promise<Target> {
  const dataDir = dataDirOf(options, io);
  const envUrl = nonEmpty(io.env.NATS_URL);
  const context = await readContext(dataDir);
  const url = options.nats ?? envUrl ?? context?.url;
  const own = context?.url === url ? context : undefined;
  const fleet = options.fleet ?? nonEmpty(io.env.ROLLCALL_FLEET) ?? context?.fleet ?? "default";
  const user = options.user ?? nonEmpty(io.env.NATS_USER) ?? own?.user ?? userIn(url);
  return {
    url,
    user,
    inboxPrefix: options.inboxPrefix ?? nonEmpty(io.env.NATS_INBOX_PREFIX) ?? inboxOf(user),
    password: options.password ?? nonEmpty(io.env.NATS_PASSWORD) ?? own?.password ?? undefined,
    fleet: checkName("name", "The fleet", fleet),
    dataDir,
    source: sourceOf(options.nats, envUrl, url),
  };
}

function sourceOf(
  flag: string | undefined,
  envUrl: string | undefined,
  url: string | undefined,
): Target["source"] {
  if (flag !== undefined) return "--nats";
  if (envUrl !== undefined) return "NATS_URL";
  return url === undefined ? "nowhere" : "context.json";
}

/** The user that an address carries, `nats://user:password@host`. */
function userIn(url: string | undefined): string | undefined {
  return url === undefined ? undefined : parseNatsAddress(url)?.user;
}

function inboxOf(user: string | undefined): string | undefined {
  return user !== undefined && /^[A-Za-z0-9_-]+$/.test(user) ? `_INBOX_${user}` : undefined;
}

/** An empty variable counts as none. */
function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
