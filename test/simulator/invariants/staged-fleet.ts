import type { LedgerEvent } from "../../../src/base/ports.js";
import type { DesiredInstance, Report } from "../../../src/contracts/instance.js";
import { keys } from "../../../src/contracts/keys.js";
import { emptyChain, sealEvents } from "../../../src/ledger/event-chain.js";
import type { StoreWrite } from "../../../src/ledger/store.js";
import type { AgentNode } from "../../../src/simulator/chaos/agent-node.js";
import type { AppNode } from "../../../src/simulator/chaos/app-node.js";
import type { CoordinatorNode } from "../../../src/simulator/chaos/coordinator-node.js";
import { drawPlan } from "../../../src/simulator/chaos/draw-plan.js";
import type { Effect } from "../../../src/simulator/chaos/effect.js";
import type { Invariant, MakeInvariant, Witness } from "../../../src/simulator/chaos/invariant.js";
import { type Commit, LedgerMirror } from "../../../src/simulator/chaos/ledger-mirror.js";
import type { Mark } from "../../../src/simulator/chaos/marks.js";
import type { Asked } from "../../../src/simulator/chaos/people.js";
import { ReportLog } from "../../../src/simulator/chaos/reports.js";
import { release as releaseOf } from "../../agent/agent-kit.js";
import { instanceOf, sightingOf } from "../../machines/samples.js";

interface Writing {
  readonly from?: string;
  /** Of what is written; otherwise that of the newest leader. */
  readonly epoch?: number;
  readonly fenced?: boolean;
  readonly events?: readonly LedgerEvent[];
  readonly puts?: Readonly<Record<string, unknown>>;
  readonly deletes?: readonly string[];
}

/** A fleet of which a test says what is stored, sent and done, shown to one invariant. */
export class StagedFleet {
  readonly witness: Witness;
  readonly invariant: Invariant;
  readonly coordinators = new Map<string, CoordinatorNode>();
  readonly ledger = new LedgerMirror();
  readonly marks = new Set<Mark>();
  readonly agents = new Map<string, AgentNode>();
  readonly gone: AgentNode[] = [];
  readonly apps = new Map<string, AppNode>();
  readonly reports = new Map<string, Report>();
  readonly asked: Asked[] = [];
  readonly hosts: Witness["hosts"][number][] = [];
  readonly heard = new ReportLog(
    { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs, setTimer: () => ({ cancel: () => undefined }) },
    this.agents,
  );
  readonly cutOff = new Set<string>();
  /** When the connection of an agent came back. */
  readonly reconnectedAtMs = new Map<string, number>();
  /** All that was stored. */
  readonly committed: Commit[] = [];
  nowMs = 0;
  readonly #isHeard: boolean;
  #head = emptyChain("m1");
  #leader = "";
  #epoch = 0;
  #epochRevision = 0;
  #revision = 0;

  /** @param isHeard the leader takes what is reported */
  constructor(make: MakeInvariant, isHeard = false) {
    this.#isHeard = isHeard;
    this.witness = {
      plan: drawPlan("1"),
      nowMs: () => this.nowMs,
      ledger: this.ledger,
      coordinators: this.coordinators,
      agents: this.agents,
      gone: this.gone,
      apps: this.apps,
      hosts: this.hosts,
      reports: this.reports,
      asked: this.asked,
      heard: this.heard,
      disturbedAtMs: () => Number.NEGATIVE_INFINITY,
      isCutOff: (bus) => this.cutOff.has(bus),
      reconnectedAtMs: (bus) => this.reconnectedAtMs.get(bus),
      mark: (mark) => void this.marks.add(mark),
    };
    this.invariant = make(this.witness);
  }

  /** A coordinator takes the lead. */
  lead(from: string, epoch = this.#epoch + 1): void {
    const body = JSON.stringify({ holder: from, epoch, claim: "c" });
    const expect = { key: keys.epoch, revision: this.#epochRevision };
    this.#write(from, [
      { key: keys.lease, body },
      { key: keys.epoch, body, expect },
    ]);
    this.#leader = from;
    this.#epoch = epoch;
    this.#epochRevision = this.#revision;
  }

  renew(from = this.#leader): void {
    this.#write(from, [{ key: keys.lease, body: "{}" }]);
  }

  /** The leader writes a batch. */
  write({
    from = this.#leader,
    epoch = this.#epoch,
    fenced = true,
    events = [],
    puts = {},
    deletes = [],
  }: Writing): void {
    const sealing = events.map(({ data, ...event }) => ({ ...event, body: JSON.stringify(data) }));
    const sealed = sealEvents(this.#head, sealing, { fleet: "default", ledgerId: "m1", epoch, nowMs: 0 });
    this.#head = sealed.head;
    const [first, ...rest] = [
      ...sealed.writes,
      ...Object.entries(puts).map(([key, value]) => ({ key, body: JSON.stringify(value) })),
      ...deletes.map((key) => ({ key, body: "", deleted: true })),
      { key: keys.eventHead, body: JSON.stringify(sealed.head) },
    ];
    if (first === undefined) return;
    const expect = { key: keys.epoch, revision: this.#epochRevision };
    this.#write(from, [fenced ? { ...first, expect } : first, ...rest]);
  }

  /** A leader tells an instance to run a release, in a batch of its own. */
  tell(instance: string, generation: number, release: string | null = "v1"): void {
    const desired = desiredOf({
      instance,
      generation,
      ...(release === null ? { run: null } : runOf(release)),
    });
    this.write({
      events: [told(instance, generation)],
      puts: {
        [keys.instance(instance)]: instanceOf({ id: instance, generation }),
        [keys.desiredInstance(instance)]: desired,
      },
    });
  }

  report(changes: Partial<Report>): void {
    const { state } = sightingOf();
    const report: Report = {
      format: 1,
      instance: "i1",
      agent: "a1",
      incarnation: "n1",
      seq: 0,
      observedGeneration: 0,
      ledgerId: "m1",
      digest: "x",
      healthyForMs: 0,
      phaseAgeMs: 0,
      state,
      ...changes,
    };
    this.reports.set(report.instance, report);
    this.invariant.reported?.(report, "agent-i1-1");
    const passing = { from: "agent-i1-1", to: [this.#leader], subject: "", data: new Uint8Array() };
    if (!this.#isHeard) return;
    this.heard.sent(passing, report);
    this.heard.taken(passing, this.#leader);
  }

  do(what: Effect["what"], generation: number, changes: Partial<Effect> = {}): void {
    this.invariant.done?.({
      atMs: 0,
      instance: "i1",
      what,
      release: "v1",
      generation,
      port: null,
      by: "agent-i1-1",
      ...changes,
    });
  }

  /** Somebody has asked for something, and got an answer. */
  answer(asked: Pick<Asked, "endpoint" | "request" | "answer"> & Partial<Asked>): void {
    const whole = { atMs: this.nowMs, ...asked };
    this.asked.push(whole);
    this.invariant.answered?.(whole);
  }

  #write(from: string, writes: readonly StoreWrite[]): void {
    const [first, ...rest] = writes;
    if (first === undefined) return;
    this.#revision += writes.length;
    const seen = { fleet: "default", from, batch: { writes: [first, ...rest] as const } };
    const commit = this.ledger.take(this.nowMs, seen, this.#revision);
    this.committed.push(commit);
    this.invariant.committed?.(commit);
  }
}

export function told(instance: string, generation: number): LedgerEvent {
  return {
    kind: "instance",
    id: instance,
    type: "instance.told",
    data: { generation },
    actor: "rule:convergence",
    cause: "clock:deadline",
    generation,
  };
}

export function desiredOf(changes: Partial<DesiredInstance>): DesiredInstance {
  return {
    format: 1,
    ledgerId: "m1",
    instance: "i1",
    agent: "a1",
    generation: 1,
    epoch: 1,
    deployment: null,
    ...runOf("v1"),
    stable: null,
    minHealthyMs: 0,
    deadlineMs: 1_000,
    ...changes,
  };
}

function runOf(release: string): Pick<DesiredInstance, "run"> {
  return { run: { release: releaseOf(release), config: null } };
}
