import { RollcallError } from "../base/errors.js";
import type { EndpointName, ReplyOf } from "../contracts/api.js";
import type { Client } from "./client-types.js";

type Asked = Readonly<Record<string, unknown>>;

/** What a refusal says of a request that was sent before, and the answer that got lost then. */
type Recognise = (
  request: Asked,
  refused: RollcallError,
  client: Client["call"],
) => Promise<object | undefined>;

const deploymentNow = async ({ deployment }: Asked, client: Client["call"]) =>
  (await client("deployments.get", { deployment: String(deployment) })).deployment;

const done: Partial<Record<EndpointName, Recognise>> = {
  "deployments.abort": async (request, { code, details }, client) =>
    code === "ALREADY_FINISHED" && details.outcome === "aborted" ? deploymentNow(request, client) : undefined,
  "deployments.resume": async (request, { code }, client) =>
    code === "NOT_PAUSED" ? deploymentNow(request, client) : undefined,
  "deployments.rollback": async (request, { code, details }, client) => {
    if (code !== "ROLLOUT_IN_PROGRESS") return undefined;
    const other = await deploymentNow({ deployment: details.other }, client);
    return other.rollbackOf === request.deployment ? other : undefined;
  },
  "instances.reset": async ({ instance }, { code }, client) =>
    code === "INSTANCE_NOT_FAILED" ? client("instances.get", { instance: String(instance) }) : undefined,
  "instances.remove": async ({ instance }, { code }) =>
    code === "UNKNOWN_INSTANCE" ? { instance } : undefined,
  "apps.forget": async ({ instance }, { code }) => (code === "UNKNOWN_INSTANCE" ? { instance } : undefined),
  "releases.remove": async ({ version }, { code }) => (code === "UNKNOWN_RELEASE" ? { version } : undefined),
  "configs.remove": async ({ version }, { code }) => (code === "UNKNOWN_CONFIG" ? { version } : undefined),
};

/**
 * The answer to a write that was sent more than once because nobody answered, and is refused because it is done: the leader that
 * did it died before it could say so.
 *
 * @returns `undefined` if the refusal says something else
 */
export async function answerIfDone<E extends EndpointName>(
  endpoint: E,
  request: object,
  refused: unknown,
  client: Client["call"],
): Promise<ReplyOf<E> | undefined> {
  if (!(refused instanceof RollcallError)) return undefined;
  return (await done[endpoint]?.(request as Asked, refused, client)) as ReplyOf<E> | undefined;
}
