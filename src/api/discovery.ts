import type { Bus, BusMessage, Subscription } from "../base/ports.js";
import type { EndpointNumbers } from "./endpoint-stats.js";

/** The name under which every control plane is found: `$SRV.PING.rollcall`. */
export const serviceName = "rollcall";
const serviceDescription =
  "Rollcall's control plane: roll-outs, instances, releases and configurations of a fleet";

/** One endpoint as `$SRV.INFO` and `$SRV.STATS` describe it. */
export interface ServedEndpoint {
  /** Letters, digits, dash and underscore: `deployments-create`. */
  readonly name: string;
  readonly subject: string;
  /** Empty for an endpoint without one. */
  readonly queueGroup: string;
  readonly metadata: Readonly<Record<string, string>>;
  numbers(): EndpointNumbers;
}

/** What the answers to discovery are made of. */
export interface DiscoveredService {
  /** Of this process, unique among all that answer. */
  readonly id: string;
  readonly version: string;
  readonly startedAtMs: number;
  /** Asked at each answer, so that it may tell who leads now. */
  metadata(): Readonly<Record<string, string>>;
  readonly endpoints: readonly ServedEndpoint[];
}

type Verb = "PING" | "INFO" | "STATS";

/**
 * Answers `$SRV.PING|INFO|STATS[.<name>[.<id>]]` as the NATS service protocol (ADR-32) says, whatever
 * the request holds.
 */
export function serveDiscovery(bus: Bus, service: DiscoveredService): Subscription {
  const answers = {
    PING: () => standardFields("ping", service),
    INFO: () => info(service),
    STATS: () => stats(service),
  } satisfies Record<Verb, () => object>;
  const subscriptions = (["PING", "INFO", "STATS"] as const).flatMap((verb) =>
    [`$SRV.${verb}`, `$SRV.${verb}.${serviceName}`, `$SRV.${verb}.${serviceName}.${service.id}`].map(
      (subject) =>
        bus.subscribe(subject, (message: BusMessage) => message.respond(JSON.stringify(answers[verb]()))),
    ),
  );
  return { unsubscribe: () => subscriptions.forEach((subscription) => void subscription.unsubscribe()) };
}

function standardFields(kind: "ping" | "info" | "stats", { id, version, metadata }: DiscoveredService) {
  return { type: `io.nats.micro.v1.${kind}_response`, name: serviceName, id, version, metadata: metadata() };
}

function info(service: DiscoveredService) {
  return {
    ...standardFields("info", service),
    description: serviceDescription,
    endpoints: service.endpoints.map(({ name, subject, queueGroup, metadata }) => ({
      name,
      subject,
      queue_group: queueGroup,
      metadata,
    })),
  };
}

function stats(service: DiscoveredService) {
  return {
    ...standardFields("stats", service),
    started: new Date(service.startedAtMs).toISOString(),
    endpoints: service.endpoints.map(({ name, subject, queueGroup, numbers }) => ({
      name,
      subject,
      queue_group: queueGroup,
      ...numbers(),
    })),
  };
}
