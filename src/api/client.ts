import { RollcallError } from "../base/errors.js";
import type { Bus, Clock, Log, Random } from "../base/ports.js";
import {
  type LedgerPlace,
  newerPlace,
  placeIn,
  placeText,
  requestHeader,
  revisionHeader,
} from "../contracts/answer-source.js";
import { type EndpointName, endpoints, type ReplyOf, type RequestOf } from "../contracts/api.js";
import { refusal } from "../contracts/errors.js";
import { subjectsOf } from "../contracts/subjects.js";
import { askPatiently, type Sending } from "./ask-patiently.js";
import type { Arguments, Client, GroupedCalls } from "./client-types.js";
import { answerIfDone } from "./done-already.js";
import { readReply } from "./reply.js";
import { retrying } from "./retry.js";
import { type Answer, watchDeployment } from "./watch-deployment.js";

const readTimeoutMs = 2_000;
/** A write waits for a durable commit, on a cluster for several servers. */
const writeTimeoutMs = 10_000;
/** When a read that nobody answered goes to all coordinators: long for an answer, short for a person. */
const readAgainAfterMs = 300;
/** When a write that nobody answered is sent again: its leader may have died, or sleep, with it. */
const writeAgainAfterMs: readonly number[] = [1_000, 2_500, 5_000];
/** Writes without a request key of which a repeat changes nothing, whoever carried the first out. */
const repeatable: ReadonlySet<EndpointName> = new Set(["releases.push", "configs.push"]);
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
  let seen: LedgerPlace | undefined;

  /** An answer, and where in the history of the ledger it stands. */
  async function answerTo<E extends EndpointName>(
    endpoint: E,
    given: RequestOf<E> | undefined,
  ): Promise<Answer<E>> {
    const { kind } = endpoints[endpoint];
    const takesKey = "requestKey" in endpoints[endpoint].request.shape;
    const request = takesKey ? withKey(given as { requestKey?: string } | undefined, random) : (given ?? {});
    const body = JSON.stringify(request);
    const id = random.id();
    const timeoutMs = options.timeoutMs ?? (kind === "read" ? readTimeoutMs : writeTimeoutMs);
    const sendings = sendingsOf(subjects, endpoint).filter(({ afterMs }) => afterMs < timeoutMs);
    const attempt = async () => {
      const headers = {
        ...(kind === "write" ? { [requestHeader]: id } : {}),
        // Nobody is shown something older than what was seen already, whichever coordinator answers.
        ...(seen === undefined ? {} : { [revisionHeader]: placeText(seen) }),
      };
      const { answer, sent } = await ask(
        fleet,
        askPatiently({ bus, clock }, sendings, { body, headers }, timeoutMs),
      );
      const place = placeIn(answer.header(revisionHeader));
      if (place !== undefined) seen = newerPlace(seen, place);
      try {
        return { reply: readReply(endpoint, answer), place };
      } catch (refused) {
        const reply = sent > 1 ? await answerIfDone(endpoint, request, refused, call) : undefined;
        if (reply === undefined) throw refused;
        return { reply, place };
      }
    };
    return retrying(attempt, {
      repeatable: kind === "read" || takesKey || repeatable.has(endpoint),
      retries,
      clock,
      random,
      log,
      what: endpoint,
    });
  }
  async function call<E extends EndpointName>(endpoint: E, ...[given]: Arguments<E>): Promise<ReplyOf<E>> {
    return (await answerTo(endpoint, given)).reply;
  }

  return {
    fleet,
    call,
    watchDeployment: (deployment, watch) =>
      watchDeployment((request) => answerTo("deployments.get", request), clock, deployment, watch),
    ...grouped(call),
  };
}

/** Minted once a call, so that all of its tries are the same request. */
function withKey(given: { requestKey?: string | undefined } | undefined, random: Random): object {
  return { ...given, requestKey: given?.requestKey ?? random.id() };
}

function sendingsOf(subjects: ReturnType<typeof subjectsOf>, endpoint: EndpointName): Sending[] {
  const [resource = "", verb = ""] = endpoint.split(".");
  const first = { subject: subjects.api(resource, verb), afterMs: 0 };
  return endpoints[endpoint].kind === "read"
    ? [first, { subject: subjects.apiOfAny(resource, verb), afterMs: readAgainAfterMs }]
    : [first, ...writeAgainAfterMs.map((afterMs) => ({ ...first, afterMs }))];
}

async function ask<T>(fleet: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
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
