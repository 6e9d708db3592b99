import { type AppRetries, planRetries } from "../../../machines/app-retries.js";
import { messageOf } from "../../base/errors.js";
import type { ParsedRequestOf } from "../../contracts/api.js";
import { type AppReconciled, appRowsMax } from "../../contracts/app-api.js";
import { appRetryAnswerSchema } from "../../contracts/app-report.js";
import type { FleetEvent } from "../../contracts/event-types.js";
import { byUser, type Origin } from "../../contracts/origin.js";
import { askAsLeader } from "../ask-as-leader.js";
import type { Term } from "../term.js";
import type { AppCommands } from "./app-commands.js";
import type { AppAsk } from "./app-intake.js";
import type { KnownApps } from "./known-apps.js";

/** Instances that are asked at a time, and how long each has to answer; those not asked by the end of all count as unreachable. */
const asksAtOnceMax = 64;
const answerMaxMs = 2_000;
const allMaxMs = 6_000;
/** Events of one batch. */
const eventsMax = 300;
/** Answers that are kept for repeats, by their request keys. */
const answersMax = 100;

export interface AppReconcilingParts {
  readonly term: Term;
  readonly known: KnownApps;
  readonly commands: AppCommands;
  /** An instance is to report, and to read the list if it is behind. */
  readonly askToReport: (instance: string, how: AppAsk) => void;
}

/** What came of the asks. */
interface Asked {
  /** By app: on how many instances it is tried again. */
  readonly retried: Map<string, number>;
  left: number;
  readonly unreachable: string[];
}

/** Has instances do what `planRetries` says: try again, read what they have missed, be told what they never were. */
export class AppReconciling {
  readonly #parts: AppReconcilingParts;
  readonly #answers = new Map<string, Promise<AppReconciled>>();

  constructor(parts: AppReconcilingParts) {
    this.#parts = parts;
  }

  /**
   * Does it, or answers a repeat as the first was or will be.
   * @throws RollcallError `UNKNOWN_APP`, `UNKNOWN_INSTANCE`; what the ledger said
   */
  reconcile(request: ParsedRequestOf<"apps.reconcile">): Promise<AppReconciled> {
    const { requestKey: key } = request;
    if (key === undefined) return this.#reconcile(request);
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const answer = this.#reconcile(request);
    this.#answers.set(key, answer);
    const [oldest = key] = this.#answers.keys();
    if (this.#answers.size > answersMax) this.#answers.delete(oldest);
    // What was refused may be granted another time.
    answer.catch(() => this.#answers.delete(key));
    return answer;
  }

  async #reconcile(request: ParsedRequestOf<"apps.reconcile">): Promise<AppReconciled> {
    const { term, known, commands } = this.#parts;
    const { app, instance, by, reason, requestKey } = request;
    if (app !== null) known.record(app);
    const instances = instance === null ? known.instances() : [known.instance(instance)];
    const plan = planRetries([...known.asked()], instances, { app, instance });
    const origin = byUser(by, requestKey ?? term.random.id());
    const told = await commands.tellAnew(plan.tell, reason, origin);
    const asked = await this.#ask(plan);
    await this.#record(asked, request, origin);
    const retried = [...asked.retried.values()].reduce((sum, count) => sum + count, 0);
    term.counters.appRetries += retried;
    term.counters.appsUnreachable += asked.unreachable.length;
    return {
      found: plan.found,
      told,
      retried,
      left: plan.left + asked.left,
      unreachable: asked.unreachable.slice(0, appRowsMax),
      byCause: Object.fromEntries(plan.byCause),
    };
  }

  async #ask({ read, retry }: AppRetries): Promise<Asked> {
    const { term, known, askToReport } = this.#parts;
    const generation = known.catalog.list?.generation;
    for (const instance of read) askToReport(instance, generation === undefined ? {} : { generation });
    const asked: Asked = { retried: new Map(), left: 0, unreachable: [] };
    const untilMs = term.clock.monotonicMs() + allMaxMs;
    const asks = [...retry];
    const work = async (): Promise<void> => {
      for (let ask = asks.shift(); ask !== undefined; ask = asks.shift())
        await this.#askOne(ask, untilMs, asked);
    };
    await Promise.all(Array.from({ length: asksAtOnceMax }, work));
    return asked;
  }

  async #askOne(
    [instance, apps]: readonly [string, readonly string[]],
    untilMs: number,
    asked: Asked,
  ): Promise<void> {
    const { term } = this.#parts;
    try {
      const leftMs = untilMs - term.clock.monotonicMs();
      if (leftMs <= 0) throw new Error("the others took all the time");
      const subject = term.subjects.appsAsk(instance, "retry");
      const timeoutMs = Math.min(answerMaxMs, leftMs);
      const { retried, left } = appRetryAnswerSchema.parse(
        await askAsLeader(term, subject, { apps }, timeoutMs),
      );
      for (const app of retried) asked.retried.set(app, (asked.retried.get(app) ?? 0) + 1);
      asked.left += left.length;
    } catch (error) {
      term.log.warn({ instance, error: messageOf(error) }, "an instance was not told to try its apps again");
      asked.unreachable.push(instance);
    }
  }

  /** For each app that is tried again, or that somebody has named. */
  async #record(
    { retried }: Asked,
    request: ParsedRequestOf<"apps.reconcile">,
    origin: Origin,
  ): Promise<void> {
    const { reason, app: named } = request;
    const counts = named === null ? retried : new Map([[named, retried.get(named) ?? 0]]);
    const events = [...counts].map(([app, count]): FleetEvent => {
      const data = { retried: count, instance: request.instance, reason };
      return { kind: "app", id: app, type: "app.reconciled", data, ...origin };
    });
    const writes: Promise<void>[] = [];
    for (let at = 0; at < events.length; at += eventsMax) {
      const [first, ...rest] = events.slice(at, at + eventsMax);
      if (first !== undefined) writes.push(this.#parts.term.writer.add({ events: [first, ...rest] }));
    }
    await Promise.all(writes);
  }
}
