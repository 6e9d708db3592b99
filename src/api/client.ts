import { RollcallError } from "../base/errors.js";
import type { Bus, BusMessage, Clock, Log, Random } from "../base/ports.js";
import { type EndpointName, endpoints, type ReplyOf } from "../contracts/api.js";
import { refusal } from "../contracts/errors.js";
import { subjectsOf } from "../contracts/subjects.js";
import type { Arguments, Client, GroupedCalls } from "./client-types.js";
import { readReply } from "./reply.js";
import { retrying } from "./retry.js";
import { watchDeployment } from "./watch-deployment.js";

/** A read that a paused coordinator swallowed is soon asked again. */
const readTimeoutMs = 2_000;
/** A write waits for a durable commit, on a cluster for several servers. */
const writeTimeoutMs = 10_000;
const retriesDefault = 5;

export interface ClientOptions {
  readonly bus: Bus;
  readonly fleet: string;
  /** Time for one try. Default: 2 s for a read, 10 s for a write. */
  readonly timeoutMs?: number;
  /** Tries after the first, with pauses from 0.25 s to 4 s. Default: 5. */
  readonly retries?: number;
  readonly clock: Clock;
  /** For request keys, and to spread repeats. */
  readonly random: Random;
  readonly log?: Log;
}

/**
 * A typed client of a fleet's control plane. The bus stays the caller's: close it when done.
 *
 * @example
 * const client = createClient({ bus, fleet: "default", clock, random });
 * const deployment = await client.deployments.create({ release: "v2", selector: "tier=web", batch: 2 });
 */
export function createClient(options: ClientOptions): Client {
  const { bus, fleet, retries = retriesDefault, clock, random, log } = options;
  const subjects = subjectsOf(fleet);

  async function call<E extends EndpointName>(endpoint: E, ...[given]: Arguments<E>): Promise<ReplyOf<E>> {
    const { kind } = endpoints[endpoint];
    const takesKey = "requestKey" in endpoints[endpoint].request.shape;
    const request = takesKey ? withKey(given as { requestKey?: string } | undefined, random) : (given ?? {});
    const subject = subjects.api(...(endpoint.split(".") as [string, string]));
    const timeoutMs = options.timeoutMs ?? (kind === "read" ? readTimeoutMs : writeTimeoutMs);
    const body = JSON.stringify(request);
    const attempt = async () => readReply(endpoint, await ask(bus, fleet, subject, body, timeoutMs));
    return retrying(attempt, {
      repeatable: kind === "read" || takesKey,
      retries,
      clock,
      random,
      log,
      what: endpoint,
    });
  }

  return {
    fleet,
    call,
    watchDeployment: (deployment, watch) =>
      watchDeployment((request) => call("deployments.get", request), clock, deployment, watch),
    ...grouped(call),
  };
}

/** Minted once a call, so that all of its tries are the same request. */
function withKey(given: { requestKey?: string | undefined } | undefined, random: Random): object {
  return { ...given, requestKey: given?.requestKey ?? random.id() };
}

async function ask(
  bus: Bus,
  fleet: string,
  subject: string,
  body: string,
  timeoutMs: number,
): Promise<BusMessage> {
  try {
    return await bus.request(subject, body, { timeoutMs });
  } catch (thrown) {
    if (thrown instanceof RollcallError && thrown.code === "NO_RESPONDERS")
      throw refusal("NO_CONTROL_PLANE", { fleet }, thrown);
    throw thrown;
  }
}

function grouped(call: Client["call"]): GroupedCalls {
  const groups: Record<string, Record<string, unknown>> = {};
  for (const endpoint of Object.keys(endpoints) as EndpointName[]) {
    const [resource = "", verb = ""] = endpoint.split(".");
    const calls = groups[resource] ?? {};
    groups[resource] = calls;
    calls[verb] = (...request: Arguments<typeof endpoint>) => call(endpoint, ...request);
  }
  return groups as GroupedCalls;
}
