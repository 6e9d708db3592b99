import { hostname } from "node:os";
import { CoordinatorsSeen } from "../../api/coordinators-seen.js";
import { formatsOfCoordinators } from "../../api/find-coordinators.js";
import { serveApi } from "../../api/service.js";
import type { Log } from "../../base/ports.js";
import { connectNatsBus } from "../../bus/nats-bus.js";
import { subjectsOf } from "../../contracts/subjects.js";
import { createCoordinator } from "../../coordinator/coordinator.js";
import type { Coordinator, CoordinatorOptions } from "../../coordinator/coordinator-ports.js";
import { AuditLog } from "../../ledger/audit-log.js";
import { openNatsLedger } from "../../ledger/nats-ledger.js";
import { openNatsObjects } from "../../ledger/nats-objects.js";
import { createActorHost } from "../../runtime/actor-host.js";
import type { CliIo } from "../cli-io.js";
import { productVersion } from "../product-version.js";
import { AuditCopy } from "./audit-copy.js";
import { auditPage } from "./audit-pages.js";
import { clusterDefaults } from "./cluster.js";

export interface ControlPlaneOptions {
  readonly url: string;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly fleet: string;
  readonly name: string | undefined;
  readonly leaseMs: number | undefined;
  /** Copies of each stream that is made; `undefined`: 3 on a cluster, else 1. */
  readonly replicas: number | undefined;
  /** Where the audit log is copied to. */
  readonly auditFile: string | undefined;
  readonly reconcileEveryMs: number | undefined;
  /** How it looks after apps. */
  readonly apps: CoordinatorOptions["apps"];
  readonly log: Log;
}

/** A coordinator and its services, connected to NATS. */
export interface RunningControlPlane {
  readonly coordinator: Coordinator;
  readonly name: string;
  /** Hands over and disconnects. */
  stop(): Promise<void>;
}

/**
 * Starts a coordinator in this process.
 * @throws RollcallError `NATS_UNREACHABLE`, `NATS_TOO_OLD`, `NOT_ALLOWED`, `LEDGER_UNAVAILABLE`, `LEDGER_NEWER`
 */
export async function startControlPlane(
  options: ControlPlaneOptions,
  io: CliIo,
): Promise<RunningControlPlane> {
  const { clock, random } = io;
  const { fleet, log } = options;
  const name = options.name ?? defaultName();
  const bus = await connectNatsBus({
    servers: options.url,
    user: options.user,
    pass: options.password,
    name: `rollcall coordinator ${name}`,
    clock,
    log,
  });
  try {
    const defaults = clusterDefaults(bus, options.url);
    const ledger = await openNatsLedger({
      fleet,
      bus,
      clock,
      random,
      log,
      replicas: options.replicas ?? defaults.replicas,
    });
    const host = createActorHost({ node: name, clock, random, log, bus, subjects: subjectsOf(fleet) });
    const version = productVersion();
    const leaseMs = options.leaseMs ?? defaults.leaseMs;
    const auditLog = new AuditLog({ fleet, bus, clock });
    const coordinator = createCoordinator(
      {
        clock,
        random,
        log,
        bus,
        ledger,
        host,
        files: openNatsObjects({ fleet, bus, clock, log }),
        askPeers: () => formatsOfCoordinators(bus, fleet),
        audit: (request) => auditPage(auditLog, request),
      },
      {
        fleet,
        name,
        leaseMs,
        version,
        node: hostname(),
        reconcileEveryMs: options.reconcileEveryMs,
        apps: options.apps,
      },
    );
    const role = () => {
      const { name: leader, epoch } = coordinator.leader();
      const { problem, role: exactly, sinceMs, doing } = coordinator.view();
      const state = { role: exactly, sinceMs, doing };
      return { leading: coordinator.leads(), epoch, leader, problem, state };
    };
    coordinator.start();
    const coordinators = new CoordinatorsSeen({ bus, fleet, clock, log });
    coordinators.start();
    const api = serveApi({
      bus,
      fleet,
      plane: coordinator.plane,
      node: name,
      host: hostname(),
      version,
      role,
      knowledge: coordinator,
      coordinators,
      clock,
      log,
    });
    const { auditFile: path } = options;
    const copy = path && new AuditCopy({ audit: auditLog, path, clock, log });
    return {
      coordinator,
      name,
      stop: async () => {
        api.unsubscribe();
        await coordinator.stop();
        coordinators.stop(name);
        if (copy) await copy.stop();
        host.stop();
        await ledger.close();
        await bus.close();
      },
    };
  } catch (error) {
    await bus.close();
    throw error;
  }
}

/** Of the host and the process, so that several on one host differ. */
function defaultName(): string {
  const host =
    hostname()
      .replace(/[^A-Za-z0-9_-]/g, "-")
      .replace(/^[^A-Za-z0-9]+/, "")
      .slice(0, 40) || "coordinator";
  return `${host}-${process.pid}`;
}
