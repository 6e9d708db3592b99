import type { EndpointName, ReplyOf, RequestOf } from "../contracts/api.js";
import type { DeploymentSnapshot, WatchOptions } from "./watch-deployment.js";

type ResourceOf<E extends EndpointName> = E extends `${infer R}.${string}` ? R : never;
type VerbOf<R extends string> = EndpointName extends infer E
  ? E extends `${R}.${infer V}`
    ? V
    : never
  : never;
type NameOf<R extends string, V extends string> = Extract<EndpointName, `${R}.${V}`>;

/** A request may be left out where nothing in it is needed. */
type Arguments<E extends EndpointName> =
  Record<never, never> extends RequestOf<E> ? [request?: RequestOf<E>] : [request: RequestOf<E>];

/** `client.deployments.create({...})` and the rest, from the table of endpoints. */
export type GroupedCalls = {
  readonly [R in ResourceOf<EndpointName>]: {
    readonly [V in VerbOf<R>]: (...request: Arguments<NameOf<R, V>>) => Promise<ReplyOf<NameOf<R, V>>>;
  };
};

/** What a control plane can be asked. Every method throws RollcallError. */
export interface Client extends GroupedCalls {
  readonly fleet: string;
  /**
   * Asks one endpoint, again where that is safe and may help.
   *
   * - Nobody leads or answers, and so nothing was carried out: asked again, reads and writes.
   * - No answer in time: reads are asked again; writes only under a `requestKey`, under which a repeat gets the
   *   first answer. Where an endpoint takes one and none is given, the client mints it.
   * - Every other refusal is thrown at once.
   *
   * @throws RollcallError `NO_CONTROL_PLANE`, `NO_LEADER`, `REQUEST_TIMEOUT` (not known whether it was carried out), and
   *   whatever the control plane refuses with
   */
  call<E extends EndpointName>(endpoint: E, ...request: Arguments<E>): Promise<ReplyOf<E>>;
  /**
   * A deployment and its instances as they change, until it is finished; ending the loop ends the watching
   * only. A control plane that is away for a while is waited for.
   *
   * @example for await (const { deployment } of client.watchDeployment("d1")) console.log(deployment.why.sentence);
   */
  watchDeployment(deployment: string, options?: WatchOptions): AsyncIterable<DeploymentSnapshot>;
}

export type { Arguments };
