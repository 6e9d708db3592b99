import { type AlertBegins, alertsThatEnd, type UnaskedAlert } from "../../../machines/app-look.js";
import { messageOf } from "../../base/errors.js";
import { grouped } from "../../base/grouped.js";
import { shortReasonMax } from "../../contracts/app-report.js";
import { appMismatchCode, appUnaskedCode } from "../../contracts/app-status.js";
import type { Term } from "../term.js";
import type { AppCommands } from "./app-commands.js";
import type { AppInstances, RaisedAlert } from "./app-instances.js";
import { AppLooks, type Looked } from "./app-looks.js";
import { whyOnInstance } from "./app-reads.js";
import type { KnownApps } from "./known-apps.js";

/** Tombstones that one batch clears; the others follow with the next round. */
const clearedMax = 300;

export interface AppUpkeepParts {
  readonly term: Term;
  readonly known: KnownApps;
  readonly instances: AppInstances;
  readonly commands: AppCommands;
  /** Between two rounds of looks. */
  readonly everyMs: number;
  /** How long an app is not as asked on an instance before an alert is raised. */
  readonly alertAfterMs: number;
  /** Whether this process hears; while it does not, nothing follows from what it knows. */
  readonly isDeaf: () => boolean;
}

/** Does what a look at the apps says: alerts that begin and end, tombstones that go. */
export class AppUpkeep {
  readonly #parts: AppUpkeepParts;
  readonly #looks: AppLooks;

  constructor(parts: AppUpkeepParts) {
    this.#parts = parts;
    const { term, known } = parts;
    this.#looks = new AppLooks({
      ...parts,
      clock: term.clock,
      nowMs: term.nowMs,
      onLooked: (looked) => this.#looked(looked),
      onUnasked: (begin) => {
        if (!parts.isDeaf()) this.#raiseAll(begin);
      },
      onRound: () => {
        known.sweep();
        if (!parts.isDeaf()) this.#endAlerts();
      },
    });
  }

  start(): void {
    this.#looks.start();
  }

  stop(): void {
    this.#looks.stop();
  }

  #looked({ looks }: Looked): void {
    if (this.#parts.isDeaf()) return;
    this.#raiseAll(looks.flatMap(({ look }) => look.begin));
    const clearable = looks.filter(({ look }) => look.isClearable).map(({ asked }) => asked.record.app);
    this.#clear(clearable.slice(0, clearedMax));
  }

  #raiseAll(begin: readonly (AlertBegins | UnaskedAlert)[]): void {
    const { instances, term } = this.#parts;
    const raised = begin.map((alert) => this.#inWords(alert));
    term.counters.appAlerts += raised.length;
    for (const [instance, alerts] of grouped(raised, (alert) => alert.instance))
      instances.alert(instance, alerts, []);
    for (const alike of grouped(raised, ({ app, reason }) => `${app} ${reason.code}`).values())
      this.#log(alike);
  }

  /** One line for all instances on which an app has the same cause. */
  #log(alike: readonly RaisedAlert[]): void {
    const [first] = alike;
    if (first === undefined) return;
    const { app, instance, reason } = first;
    const where = alike.length === 1 ? instance : `${alike.length} instances, ${instance} among them`;
    this.#parts.term.log.warn(
      { code: appMismatchCode, app, instances: alike.length, reason: reason.code },
      `${app} is not as asked on ${where}: ${reason.message}`,
    );
  }

  #endAlerts(): void {
    const { known, instances } = this.#parts;
    const asked = new Map([...known.asked()].map((one) => [one.record.app, one]));
    for (const [instance, over] of grouped(
      alertsThatEnd(asked, known.instances()),
      (alert) => alert.instance,
    ))
      instances.alert(instance, [], over);
  }

  #inWords(alert: AlertBegins | UnaskedAlert): RaisedAlert {
    const { known, term } = this.#parts;
    const one = known.instance(alert.instance);
    const isAsked = known.catalog.records.has(alert.app);
    const reason = isAsked ? one.states.get(alert.app)?.reason : undefined;
    // What failed says why; when it is tried next is of no matter by the time that somebody reads it.
    if (reason && alert.standing !== "unobserved")
      return { ...alert, reason: { ...reason, message: reason.message.replace(/\.$/, "") } };
    const { sentence } = whyOnInstance(known, alert.app, one, term.nowMs());
    const code = isAsked ? (reason?.code ?? appMismatchCode) : appUnaskedCode;
    return { ...alert, reason: { code, message: sentence.slice(0, 4 * shortReasonMax) } };
  }

  #clear(apps: readonly string[]): void {
    const { commands, known, term } = this.#parts;
    if (apps.length === 0) return;
    term.log.info({ apps }, "uninstalled apps are forgotten: nothing of them is left anywhere");
    commands
      .clear(apps, known.catalog.instances.size)
      // The term ends with a write that failed.
      .catch((error: unknown) => term.log.debug({ error: messageOf(error) }, "tombstones were not cleared"));
  }
}
