import type { AppList, DesiredApp } from "../contracts/app.js";
import type { DeploymentRecord, InstanceRecord } from "../contracts/deployment.js";
import type { DesiredInstance } from "../contracts/instance.js";
import { parseKey } from "../contracts/keys.js";

/**
 * What a coordinator never does, whatever goes wrong around it; if it finds that it does, that is a defect of Rollcall, or its ledger was
 * put back to an earlier state behind its back.
 */
export const rules = {
  outcomeStands: "a deployment that is over has one outcome, for ever",
  batchHolds: "no more instances are in flight than the batch allows",
  generationGrows: "what is asked of an instance has ever higher generations",
  epochGrows: "every leadership has a higher epoch than the one before",
  ledgerGrows: "a ledger holds what it said that it holds",
} as const satisfies Readonly<Record<string, string>>;
export type Rule = keyof typeof rules;

/** A rule that was found broken. */
export interface BrokenRule {
  readonly rule: Rule;
  readonly sentence: string;
}

/** What of a batch is looked at. */
interface Writing {
  readonly puts: readonly { readonly key: string; readonly value: unknown }[];
  readonly deletes: readonly string[];
  /** Instances that a deployment has in flight now. */
  inFlightOf(deployment: string): number;
}

/**
 * Watches over a coordinator itself, in production too: cheap looks at what is about to be written and at what was read. It ends nothing by itself: a roll-out
 * that goes wrong is not helped by a fleet without a leader. What it finds is logged, counted and shown, for people to act on.
 */
export class SelfWatch {
  readonly #onBroken: (broken: BrokenRule, times: number) => void;
  readonly #found = new Map<Rule, { times: number; sentence: string }>();
  readonly #outcomes = new Map<string, string>();
  readonly #generations = new Map<string, number>();
  #ledgerId = "";
  #epoch = 0;
  #revision = 0;

  constructor(onBroken: (broken: BrokenRule, times: number) => void) {
    this.#onBroken = onBroken;
  }

  /** What was found broken since this process runs, by rule, with the last instance of it. */
  get found(): ReadonlyMap<Rule, { readonly times: number; readonly sentence: string }> {
    return this.#found;
  }

  /** The first of it, in a sentence; `null` while there is none. */
  get problem(): string | null {
    for (const [rule, { times, sentence }] of this.#found)
      return `RULE_BROKEN ${rule}, ${times === 1 ? "once" : `${times} times`}: ${sentence}`;
    return null;
  }

  /** A leadership has read the ledger. @param revision the newest in it */
  loaded(
    {
      ledgerId,
      epoch,
      revision,
    }: { readonly ledgerId: string; readonly epoch: number; readonly revision: number },
    deployments: readonly DeploymentRecord[],
    instances: readonly InstanceRecord[],
  ): void {
    if (ledgerId === this.#ledgerId) {
      if (epoch <= this.#epoch) this.#broken("epochGrows", `epoch ${epoch} came after ${this.#epoch}`);
      if (revision < this.#revision)
        this.#broken(
          "ledgerGrows",
          `the ledger ends with revision ${revision}, it has confirmed ${this.#revision}`,
        );
    }
    this.#ledgerId = ledgerId;
    this.#epoch = epoch;
    this.#revision = revision;
    this.#outcomes.clear();
    this.#generations.clear();
    for (const { id, outcome } of deployments) if (outcome !== null) this.#outcomes.set(id, outcome);
    for (const { id, generation } of instances) this.#generations.set(id, generation);
  }

  /** A batch is about to be written, its records as the program works with them. */
  writing({ puts, deletes, inFlightOf }: Writing): void {
    for (const key of deletes) {
      const [kind, id] = parseKey(key) ?? [];
      if (id === undefined) continue;
      // Who comes back goes on from what it acts on itself.
      if (kind === "instance") this.#generations.delete(id);
      if (kind === "deployment") this.#outcomes.delete(id);
    }
    for (const { key, value } of puts) {
      const [kind] = parseKey(key) ?? [];
      if (kind === "deployment") this.#writingDeployment(value as DeploymentRecord, inFlightOf);
      if (kind === "desired.instance") {
        const { instance, generation } = value as DesiredInstance;
        this.#writingDesired(instance, generation);
      }
      if (kind === "desired.app") {
        const { app, generation } = value as DesiredApp;
        this.#writingDesired(`app ${app}`, generation);
      }
      if (kind === "desired") this.#writingDesired("the list of apps", (value as AppList).generation);
    }
  }

  /** A batch was written. @param revision of its newest message */
  written(revision: number): void {
    if (revision <= this.#revision)
      this.#broken("ledgerGrows", `a batch got revision ${revision}, the one before it ${this.#revision}`);
    this.#revision = Math.max(this.#revision, revision);
  }

  #writingDeployment(record: DeploymentRecord, inFlightOf: Writing["inFlightOf"]): void {
    const { id, outcome, batch, rollbackOf, stage } = record;
    const stands = this.#outcomes.get(id);
    if (stands !== undefined && outcome !== stands)
      this.#broken("outcomeStands", `${id} was ${stands} and would become ${outcome ?? "unfinished"}`);
    if (outcome !== null) this.#outcomes.set(id, stands ?? outcome);
    // What a rollback tells at once is outside of its batch.
    if (rollbackOf !== null || stage !== "running") return;
    const inFlight = inFlightOf(id);
    if (inFlight > batch)
      this.#broken("batchHolds", `${id} has ${inFlight} in flight, its batch is ${batch}`);
  }

  /** @param what an instance by its name, which has no space, or another thing */
  #writingDesired(what: string, generation: number): void {
    const before = this.#generations.get(what) ?? 0;
    if (generation < before)
      this.#broken("generationGrows", `${what} would be told generation ${generation} after ${before}`);
    this.#generations.set(what, Math.max(generation, before));
  }

  #broken(rule: Rule, sentence: string): void {
    const times = (this.#found.get(rule)?.times ?? 0) + 1;
    this.#found.set(rule, { times, sentence });
    this.#onBroken({ rule, sentence }, times);
  }
}
