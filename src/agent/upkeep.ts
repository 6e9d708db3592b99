import { type UpkeepCommand, upkeepMachine } from "../../machines/upkeep.js";
import { findingsOf } from "../../machines/upkeep-plan.js";
import { messageOf } from "../base/errors.js";
import type { Timer } from "../base/ports.js";
import { type Finding, findingsMax, type Inventory, type Mended } from "../contracts/inventory.js";
import type { Actor } from "../runtime/actor.js";
import type { InstanceRunner } from "./instance-runner.js";
import { removeJournals } from "./journal.js";
import type { AgentParts } from "./parts.js";
import {
  isSettled,
  type Runners,
  surveyHost,
  surveyInstance,
  surveyProcesses,
  surveyStrays,
} from "./upkeep-survey.js";

/** How long a process that nobody owns has to end before it is killed. */
const zombieGraceMs = 5_000;
/** A link and the routes are right again after so long, the reload command included, or will not be. */
const restoreMaxMs = 45_000;
const restoreLookMs = 50;
const looksPerAsk = 40;
/** After the start of the agent, at most, before it looks for the first time. */
const firstLookMs = 10_000;

/** Looks after the host of an agent: does what `machines/upkeep.ts` says, and answers what a leader asks about it. */
export class Upkeep {
  readonly #parts: AgentParts;
  readonly #runners: () => Runners;
  readonly #actor: Actor<typeof upkeepMachine>;
  /** Who waits for what became of a thing, by its key. */
  readonly #askers = new Map<string, (mended: Mended) => void>();
  readonly #first: Timer;

  constructor(parts: AgentParts, runners: () => Runners, everyMs: number) {
    this.#parts = parts;
    this.#runners = runners;
    this.#actor = parts.host.spawn({
      kind: "upkeep",
      id: parts.agentId,
      machine: upkeepMachine,
      input: { everyMs, unit: parts.random.unit() },
      perform: (command) => this.#perform(command),
      publicView: ({ context: { round, mended, failed, todo } }) => ({
        round,
        mended,
        failed,
        todo: todo.length,
      }),
    });
    const inMs = Math.min(firstLookMs, everyMs) * parts.random.unit();
    this.#first = parts.clock.setTimer(inMs, () => this.#actor.send({ type: "look" }));
  }

  close(): void {
    this.#first.cancel();
    for (const answer of this.#askers.values()) answer({ outcome: "left", why: "the agent ends" });
    this.#askers.clear();
    this.#actor.stop();
  }

  /** What would be found of an instance now, and with `host` of what belongs to none; nothing is changed. */
  async inventory(instance: string, host: boolean): Promise<Inventory> {
    const runner = this.#runners().get(instance);
    const processes = await surveyProcesses(this.#parts, this.#runners());
    const found = findingsOf({
      instances: runner === undefined ? [] : [await surveyInstance(this.#parts, runner)],
      strays: host ? await surveyStrays(this.#parts, this.#runners()) : [],
      processes: processes.filter(
        (one) => one.instance === instance || (host && !this.#runners().has(one.instance)),
      ),
    });
    const findings = found.slice(0, findingsMax);
    return { instance, agent: this.#parts.agentId, findings, more: found.length - findings.length };
  }

  /** Puts one thing right, by leave of a leader. */
  mend(key: string): Promise<Mended> {
    if (this.#askers.has(key))
      return Promise.resolve({ outcome: "left", why: "it was asked for a moment ago" });
    return new Promise((resolve) => {
      this.#askers.set(key, resolve);
      if (!this.#actor.send({ type: "ask", key }))
        this.#answer(key, { outcome: "left", why: "the agent ends" });
    });
  }

  #answer(key: string, mended: Mended): void {
    const answer = this.#askers.get(key);
    this.#askers.delete(key);
    answer?.(mended);
  }

  #perform(command: UpkeepCommand): void {
    switch (command.type) {
      case "survey":
        void this.#survey(command.round);
        break;
      case "mend":
        void this.#carryOut(command.finding);
        break;
      case "answer": {
        const { key, outcome, why } = command;
        this.#answer(key, { outcome, why: why.slice(0, 1_024) });
        break;
      }
    }
  }

  async #survey(round: number): Promise<void> {
    try {
      const findings = findingsOf(await surveyHost(this.#parts, this.#runners()));
      this.#actor.send({ type: "surveyed", round, findings, unit: this.#parts.random.unit() });
    } catch (error) {
      const problem = messageOf(error);
      this.#parts.log.warn({ problem }, "this host could not be looked through");
      this.#actor.send({ type: "surveyFailed", round, problem });
    }
  }

  async #carryOut(finding: Finding): Promise<void> {
    const { key, what } = finding;
    const { outcome, why } = await this.#mended(finding).catch(
      (error: unknown): Mended => ({ outcome: "failed", why: messageOf(error) }),
    );
    const level = outcome === "failed" ? "error" : outcome === "done" ? "warn" : "debug";
    this.#parts.log[level]({ key, what, outcome, why }, "upkeep of this host");
    this.#actor.send({ type: "mended", key, outcome, why });
  }

  async #mended(finding: Finding): Promise<Mended> {
    const { instance, kind } = finding;
    const runner = this.#runners().get(instance);
    if (kind === "process") return await this.#endProcess(finding);
    if (kind === "folder") return await this.#removeFolder(instance);
    if (runner === undefined)
      return { outcome: "gone", why: "this agent does not run the instance any more" };
    if (!isSettled(runner)) return { outcome: "left", why: "an update of the instance is under way" };
    if (kind === "release") return await this.#removeRelease(runner, finding.release ?? "");
    if (kind === "files") {
      runner.repair();
      return { outcome: "done", why: "its phases bring the files again" };
    }
    return await this.#restore(runner, kind);
  }

  /** Looked up anew: since it was found it may have ended, and its number may be another's. */
  async #endProcess({ key }: Finding): Promise<Mended> {
    const sighted = await surveyProcesses(this.#parts, this.#runners());
    const it = sighted.find(({ pid, startTime }) => key === `process ${pid} ${startTime}`);
    if (it === undefined) return { outcome: "gone", why: "it has ended" };
    if (it.standing !== "unknown") return { outcome: "left", why: "a record owns it by now" };
    await this.#parts.processes.stop(it.identity, { signal: "SIGTERM", graceMs: zombieGraceMs });
    return { outcome: "done", why: "ended with its whole group" };
  }

  async #removeFolder(instance: string): Promise<Mended> {
    const { files, records } = this.#parts;
    if (this.#runners().has(instance)) return { outcome: "left", why: "this agent runs the instance" };
    await removeJournals(records, instance);
    await files.removeInstance(instance);
    return { outcome: "done", why: "removed, its routes too" };
  }

  async #removeRelease(runner: InstanceRunner, version: string): Promise<Mended> {
    const { keep, releases } = await surveyInstance(this.#parts, runner);
    if (keep.includes(version)) return { outcome: "left", why: "the record of the instance needs it" };
    if (!releases.some((release) => release.version === version))
      return { outcome: "gone", why: "it is not there any more" };
    return (await this.#parts.files.removeRelease(runner.instance, version))
      ? { outcome: "done", why: "removed" }
      : { outcome: "left", why: "a link or an unfinished activation leads to it" };
  }

  /** By way of the instance's own machine, so that it never comes between an activation and its end. */
  async #restore(runner: InstanceRunner, kind: "link" | "routes"): Promise<Mended> {
    const { clock } = this.#parts;
    const untilMs = clock.monotonicMs() + restoreMaxMs;
    for (let looks = 0; ; looks++) {
      // Asked again now and then: whoever made it wrong may do so once more before it is looked at.
      if (looks % looksPerAsk === 0) runner.mend();
      await new Promise<void>((resolve) => clock.setTimer(restoreLookMs, resolve));
      const survey = await surveyInstance(this.#parts, runner);
      if (survey[kind] === "right")
        return { outcome: "done", why: `right again, for ${survey.active ?? "nothing"}` };
      if (clock.monotonicMs() >= untilMs)
        return { outcome: "failed", why: `it is still ${survey[kind]}: the log of the agent says why` };
    }
  }
}
