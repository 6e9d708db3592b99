import { type ClientOptions as ClientParts, createClient as createClientOf } from "./api/client.js";
import type { Client } from "./api/client-types.js";
import type { Clock, Log, Random } from "./base/ports.js";
import { connectNatsBus as connectNatsBusWith, type NatsBus } from "./bus/nats-bus.js";
import type { NatsBusOptions as NatsBusParts } from "./bus/nats-connect.js";
import { createRealRandom } from "./runtime/random.js";
import { createRealClock } from "./runtime/real-clock.js";
import { silentLog } from "./sdk/silent-log.js";

/** What other programs may build on. What is not listed here may change at any time. */

export {
  type Agent,
  type AgentOptions,
  type AgentStats,
  type AgentStop,
  createAgent,
} from "./agent/agent.js";
export { type AppEngine, AppError, type AppToRun } from "./agent/app-engine.js";
export {
  type AppAgent,
  type AppAgentOptions,
  type AppAgentStats,
  createAppAgent,
} from "./agent/apps/app-agent.js";
export type { AppAgentPorts } from "./agent/apps/app-parts.js";
export type { AgentPorts, InstanceOptions } from "./agent/parts.js";
export type { Probes, Processes, ProcessIdentity, ReleaseFiles } from "./agent/ports.js";
export type { Client } from "./api/client-types.js";
export { type ApiOptions, type ApiRole, serveApi } from "./api/service.js";
export type { DeploymentSnapshot, WatchOptions } from "./api/watch-deployment.js";
export { type Retry, RollcallError } from "./base/errors.js";
export type {
  Bus,
  BusMessage,
  BusStatus,
  Clock,
  Leadership,
  Ledger,
  LedgerEntry,
  LedgerReader,
  Log,
  Objects,
  Random,
  RecordStore,
  Subscription,
  Timer,
} from "./base/ports.js";
export type { NatsBus } from "./bus/nats-bus.js";
export {
  type ControlPlane,
  type EndpointName,
  endpoints,
  type ParsedRequestOf,
  type ReplyOf,
  type RequestOf,
} from "./contracts/api.js";
export type { AppContent, AppSettings, DesiredStatus, InitStatus } from "./contracts/app.js";
export type { AppHistoryItem, AppReconciled, AppRow, AppView } from "./contracts/app-api.js";
export type { AppState } from "./contracts/app-report.js";
export type { FailureCause } from "./contracts/app-status.js";
export type { Amount, ClaimState, Counts, DeploymentSpec, Mark, Outcome } from "./contracts/deployment.js";
export { errorCodes } from "./contracts/error-codes.js";
export { type ErrorCode, isErrorCode, statusOf } from "./contracts/errors.js";
export type { Health, Labels, Phase, Reason } from "./contracts/instance.js";
export type { Config, HealthCheck, Manifest, Release, ReleaseSource } from "./contracts/release.js";
export { type EndpointSchemas, jsonSchemasOf } from "./contracts/schemas-json.js";
export { subjectsOf } from "./contracts/subjects.js";
export type { VersionPair } from "./contracts/version.js";
export type {
  ConfigView,
  CoordinatorView,
  DeploymentView,
  EventView,
  FleetStatus,
  InstanceView,
  ReleaseView,
  UpdateState,
  Why,
} from "./contracts/views.js";
export { createCoordinator } from "./coordinator/coordinator.js";
export type { Coordinator, CoordinatorOptions, CoordinatorPorts } from "./coordinator/coordinator-ports.js";
export { openLedgerReader } from "./ledger/ledger-reader.js";
export { openNatsLedger } from "./ledger/nats-ledger.js";
export { openNatsObjects, openObjectsReader } from "./ledger/nats-objects.js";
export type {
  Actor,
  ActorHost,
  ActorSpec,
  ArmedTimer,
  DeadLetter,
  Durable,
  HostStats,
  MailboxRule,
  RestoredState,
  Supervision,
} from "./runtime/actor.js";
export { type ActorHostOptions, createActorHost, type InspectableHost } from "./runtime/actor-host.js";
export { plainStateOf } from "./runtime/machine-runner.js";
export { createRealRandom, createSeededRandom } from "./runtime/random.js";
export { createRealClock } from "./runtime/real-clock.js";
export { createVirtualClock, type VirtualClock } from "./runtime/virtual-clock.js";
export { type EmbeddedApps, embedApps } from "./sdk/embed-apps.js";
export type { EmbedAppsOptions } from "./sdk/embed-options.js";
export {
  createModuleEngine,
  createProcessEngine,
  type ModuleEngineOptions,
  type ProcessEngineOptions,
} from "./sdk/engines.js";

export interface NatsBusOptions extends Omit<NatsBusParts, "clock" | "log" | "name"> {
  /** Shown by the server's monitoring. Default: `rollcall client`. */
  readonly name?: string;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Default: nobody reads it. */
  readonly log?: Log;
}

/**
 * Connects to NATS, and stays connected until closed.
 *
 * @throws RollcallError `NATS_UNREACHABLE`, `NOT_ALLOWED` (wrong credentials), `NATS_TOO_OLD`
 * @example const bus = await connectNatsBus({ servers: "nats://127.0.0.1:4222" });
 */
export function connectNatsBus(options: NatsBusOptions): Promise<NatsBus> {
  return connectNatsBusWith({
    name: "rollcall client",
    clock: createRealClock(),
    log: silentLog,
    ...options,
  });
}

export interface ClientOptions extends Omit<ClientParts, "fleet" | "clock" | "random"> {
  /** Default: `default`. */
  readonly fleet?: string;
  /** Default: the machine's. */
  readonly clock?: Clock;
  readonly random?: Random;
}

/**
 * A typed client of a fleet's control plane. The bus stays the caller's: close it when done.
 *
 * @example
 * const client = createClient({ bus });
 * const { id } = await client.deployments.create({ release: "v2", selector: "tier=web", batch: 2 });
 * for await (const { deployment } of client.watchDeployment(id)) console.log(deployment.why.sentence);
 */
export function createClient(options: ClientOptions): Client {
  return createClientOf({
    fleet: "default",
    clock: createRealClock(),
    random: createRealRandom(),
    ...options,
  });
}
