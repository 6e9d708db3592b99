import type { InstanceRecord } from "../../src/contracts/deployment.js";
import type { InstanceState, Report } from "../../src/contracts/instance.js";

/** What the invented instances of the benchmarks are, so that those who seed them and those who speak for them agree. */

const version = { release: "v1", config: null };

export function instanceName(index: number): string {
  return `web-${String(index).padStart(6, "0")}`;
}

function agentOf(index: number): string {
  return `host-${String(Math.floor(index / 50)).padStart(5, "0")}`;
}

function labelsOf(index: number): Readonly<Record<string, string>> {
  return { tier: "web", zone: `z${index % 3}` };
}

/** An instance as it stands in the ledger after one completed roll-out. */
export function settledRecord(index: number): InstanceRecord {
  return {
    format: 1,
    id: instanceName(index),
    agent: agentOf(index),
    labels: labelsOf(index),
    joinedAtMs: 1_700_000_000_000,
    generation: 1,
    desired: version,
    stable: version,
    claim: null,
    last: { deployment: "d1", before: null, result: "succeeded" },
    owed: null,
    resetGeneration: 0,
  };
}

/** Of an instance that is well; `seq` counts its reports, and the whole state rides along where asked. */
export function healthyReport(
  index: number,
  options: { readonly seq: number; readonly whole: boolean; readonly note?: string },
): Report {
  const { seq, whole, note = "" } = options;
  return {
    format: 1,
    instance: instanceName(index),
    agent: agentOf(index),
    incarnation: "4tYb2mQnX8sVw0LkRz6HcA",
    seq,
    observedGeneration: 1,
    ledgerId: "9fKd3pLmT7qWx1ZsVb5NjE",
    digest: `q8Zt3nVbYp5RkLw0XsMd2Hc7Jf${note.length % 10}`,
    healthyForMs: 3_600_000 + seq * 2_000,
    phaseAgeMs: 3_600_500 + seq * 2_000,
    ...(whole && { state: healthyState(index, note) }),
  };
}

function healthyState(index: number, note: string): InstanceState {
  return {
    labels: { ...labelsOf(index) },
    health: "HEALTHY",
    reason: null,
    running: version,
    phase: "ACTIVE",
    progress: 100,
    note,
    port: 20_000 + (index % 30_000),
    pid: 1_000 + (index % 30_000),
    restarts: 0,
    agentVersion: "0.1.0",
  };
}

/** Of an instance that was told nothing yet. */
export function stoppedReport(instance: string, labels: Readonly<Record<string, string>>): Report {
  return {
    format: 1,
    instance,
    agent: `host-of-${instance}`,
    incarnation: "bench",
    seq: 0,
    observedGeneration: 0,
    ledgerId: null,
    digest: "stopped",
    healthyForMs: 0,
    phaseAgeMs: 0,
    state: {
      labels: { ...labels },
      health: "UNKNOWN",
      reason: null,
      running: null,
      phase: "STOPPED",
      progress: 0,
      note: "",
      port: null,
      pid: null,
      restarts: 0,
      agentVersion: "0.1.0",
    },
  };
}
