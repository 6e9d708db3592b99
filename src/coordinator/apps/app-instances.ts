import { auditingOf, toAskAfter } from "../../../machines/app-audit.js";
import type { AlertBegins, AlertEnds, UnaskedAlert } from "../../../machines/app-look.js";
import { messageOf } from "../../base/errors.js";
import type { AppInstanceRecord } from "../../contracts/app.js";
import { appInstancesMax } from "../../contracts/app-limits.js";
import type { AppChange, AppReport } from "../../contracts/app-report.js";
import { troubleshootingOf } from "../../contracts/app-status.js";
import { refusal } from "../../contracts/errors.js";
import type { FleetEvent } from "../../contracts/event-types.js";
import { keys } from "../../contracts/keys.js";
import { byClock, byReport, type Origin } from "../../contracts/origin.js";
import type { Term } from "../term.js";
import type { Unit } from "../writer.js";
import type { AppCatalog } from "./app-catalog.js";
import type { HeardApps } from "./heard-apps.js";

/** Writes of what one instance has said that may be under way; what it says meanwhile is asked for later. */
const unwrittenMax = 8;

/** An alert with the words that go with it. */
export type RaisedAlert = (AlertBegins | UnaskedAlert) & {
  readonly reason: { readonly code: string; readonly message: string };
};

/** What a leader writes of instances with apps: that they come and go, what became of their apps, and which alerts are raised. */
export class AppInstances {
  readonly #term: Term;
  readonly #catalog: AppCatalog;
  readonly #unwritten = new Map<string, number>();

  constructor(term: Term, catalog: AppCatalog) {
    this.#term = term;
    this.#catalog = catalog;
  }

  /** @returns why there is no room for it; `undefined` if there is */
  join(report: AppReport): string | undefined {
    const { instance, agentVersion } = report;
    if (this.#catalog.instances.has(instance)) return undefined;
    if (this.#catalog.instances.size >= appInstancesMax)
      return `the fleet has ${appInstancesMax} instances with apps already and takes no more`;
    const joinedAtMs = this.#term.nowMs();
    const record: AppInstanceRecord = { format: 1, instance, joinedAtMs, audited: [], alertedAtMs: {} };
    const data = { agentVersion };
    this.#write(record, [
      { kind: "app-instance", id: instance, type: "app-instance.joined", data, ...originOf(report) },
    ]);
    this.#term.log.info({ instance }, "an instance with apps has joined");
    return undefined;
  }

  /** @throws RollcallError `UNKNOWN_INSTANCE`; what the ledger said */
  async leave(instance: string, why: string, origin: Origin): Promise<void> {
    if (!this.#catalog.instances.delete(instance)) throw refusal("UNKNOWN_INSTANCE", { instance });
    await this.#term.writer.add({
      deletes: [keys.appInstance(instance)],
      events: [{ kind: "app-instance", id: instance, type: "app-instance.left", data: { why }, ...origin }],
    });
  }

  /** Writes what changed of an instance's apps, once each. */
  audit(report: AppReport): void {
    const record = this.#catalog.instances.get(report.instance);
    if (record === undefined || this.#isBusy(report.instance)) return;
    const found = auditingOf(record.audited, report);
    if (found === undefined) return;
    const [first, ...rest] = found.changes;
    if (first === undefined) return;
    const origin = originOf(report);
    const missed = found.missed > 0 ? { missed: found.missed } : {};
    this.#write({ ...record, audited: found.audited }, [
      statusEvent(report.instance, first, origin, missed),
      ...rest.map((change) => statusEvent(report.instance, change, origin, {})),
    ]);
  }

  /** Behind which change an instance is to say again what happened; `undefined` if all is known. */
  toAskAfter({ instance, last }: HeardApps): AppReport["changes"] | undefined {
    const record = this.#catalog.instances.get(instance);
    return record === undefined || this.#isBusy(instance)
      ? undefined
      : toAskAfter(record.audited, last.changes);
  }

  /** Writes the alerts that begin and end on one instance. */
  alert(instance: string, begin: readonly RaisedAlert[], end: readonly AlertEnds[]): void {
    const record = this.#catalog.instances.get(instance);
    if (record === undefined) return;
    const nowMs = this.#term.nowMs();
    const over = new Set(end.map(({ app }) => app));
    const alertedAtMs = Object.fromEntries([
      ...Object.entries(record.alertedAtMs).filter(([app]) => !over.has(app)),
      ...begin.map(({ app }) => [app, nowMs] as const),
    ]);
    const origin = byClock("apps", "mismatch");
    const [first, ...rest]: FleetEvent[] = [
      ...begin.map(({ app, sinceMs, standing, reason }): FleetEvent => {
        const data = { instance, standing, sinceMs, reason, link: troubleshootingOf(reason.code) };
        return { kind: "app", id: app, type: "app.mismatched", data, ...origin };
      }),
      ...end.map(({ app, because, alertedAtMs: sinceMs }): FleetEvent => {
        const data = { instance, because, alertedAtMs: sinceMs };
        return { kind: "app", id: app, type: "app.matched", data, ...origin };
      }),
    ];
    if (first !== undefined) this.#write({ ...record, alertedAtMs }, [first, ...rest]);
  }

  #isBusy(instance: string): boolean {
    return (this.#unwritten.get(instance) ?? 0) >= unwrittenMax;
  }

  #write(record: AppInstanceRecord, events: Unit["events"]): void {
    const { instance } = record;
    this.#catalog.instances.set(instance, record);
    this.#unwritten.set(instance, (this.#unwritten.get(instance) ?? 0) + 1);
    this.#term.writer
      .add({ puts: [{ key: keys.appInstance(instance), value: record }], events, instances: 1 })
      // The term ends with a write that failed.
      .catch((error: unknown) =>
        this.#term.log.debug(
          { instance, error: messageOf(error) },
          "what an instance said of its apps was not written",
        ),
      )
      .finally(() => {
        const left = (this.#unwritten.get(instance) ?? 1) - 1;
        if (left > 0) this.#unwritten.set(instance, left);
        else this.#unwritten.delete(instance);
      });
  }
}

function originOf(report: AppReport): Origin {
  return byReport({ ...report, agent: report.instance });
}

function statusEvent(
  instance: string,
  change: AppChange,
  origin: Origin,
  more: { missed?: number },
): FleetEvent {
  const { app, generation, from, to, cause, reason, atMs } = change;
  const data = { instance, generation, from, to, cause, reason, atMs, ...more };
  return { kind: "app", id: app, type: "app.status", data, ...(generation > 0 && { generation }), ...origin };
}
