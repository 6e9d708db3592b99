import { defaultAlertAfterMs } from "../../../machines/app-look.js";
import { isOtherInterval } from "../../../machines/liveness.js";
import { messageOf } from "../../base/errors.js";
import type { AppReport } from "../../contracts/app-report.js";
import { byClock } from "../../contracts/origin.js";
import type { FleetAppRecord } from "../fleet-records.js";
import { SilenceWatch } from "../silence-watch.js";
import type { Term } from "../term.js";
import { AppCommands } from "./app-commands.js";
import { AppInstances } from "./app-instances.js";
import { type AppAsk, AppIntake } from "./app-intake.js";
import { AppReconciling } from "./app-reconciling.js";
import { AppUpkeep } from "./app-upkeep.js";
import type { HeardApps } from "./heard-apps.js";
import { KnownApps } from "./known-apps.js";

/** How a leader looks after apps; each has a default. */
export interface AppsOptions {
  /** Between two looks at all apps, milliseconds. Default: 30,000. */
  readonly everyMs?: number | undefined;
  /** How long an app is not as asked on an instance before an alert is raised. Default: 10 minutes. */
  readonly alertAfterMs?: number | undefined;
}

const everyDefaultMs = 30_000;
/** Reports in a row that are behind what was asked: the message that told it has got lost. */
const behindMax = 2;

/** Everything about apps that a coordinator knows and does while it leads. */
export class LeaderApps {
  readonly known: KnownApps;
  readonly instances: AppInstances;
  readonly commands: AppCommands;
  readonly reconciling: AppReconciling;
  readonly intake: AppIntake;
  readonly #term: Term;
  readonly #watch: SilenceWatch;
  readonly #upkeep: AppUpkeep;
  #isDeaf = false;

  constructor(term: Term, { everyMs, alertAfterMs }: AppsOptions) {
    this.#term = term;
    this.known = new KnownApps(term, () => this.intake);
    const { catalog } = this.known;
    this.instances = new AppInstances(term, catalog);
    this.commands = new AppCommands(term, this.known, () => this.#desiredFormat());
    this.#watch = new SilenceWatch(term.clock, {
      onGone: (instance) => this.#forgetGone(instance),
    });
    const askToReport = (instance: string, how: AppAsk) => this.#askToReport(instance, how);
    this.intake = new AppIntake(term, {
      watch: this.#watch,
      patienceMs: 0,
      join: (report) => {
        this.#watch.start();
        return this.instances.join(report);
      },
      onNews: (_, report) => {
        this.instances.audit(report);
        this.#tellReadably(report);
      },
      wants: (heard) => this.#wants(heard),
      ask: askToReport,
    });
    this.reconciling = new AppReconciling({ term, known: this.known, commands: this.commands, askToReport });
    this.#upkeep = new AppUpkeep({
      term,
      known: this.known,
      instances: this.instances,
      commands: this.commands,
      everyMs: everyMs ?? everyDefaultMs,
      alertAfterMs: alertAfterMs ?? defaultAlertAfterMs,
      isDeaf: () => this.#isDeaf,
    });
  }

  /** Takes over what the ledger knows. */
  load(found: FleetAppRecord): void {
    this.known.catalog.put(found);
    if (found.kind === "app-instance") this.#watch.hear(found.record.instance);
  }

  lead(): void {
    this.known.listen();
    // A fleet without apps costs nothing.
    if (this.known.catalog.instances.size > 0) this.#watch.start();
    this.intake.start();
    this.#upkeep.start();
  }

  stop(): void {
    this.#watch.stop();
    this.intake.stop();
    this.#upkeep.stop();
  }

  /** After a reconnect or a stall nobody is silent for what was not heard. */
  listenAfresh(): void {
    this.#isDeaf = false;
    this.#watch.startAfresh();
  }

  goDeaf(): void {
    this.#isDeaf = true;
    this.#watch.goDeaf();
  }

  /** Takes an instance out of the fleet. @throws RollcallError `UNKNOWN_INSTANCE`; what the ledger said */
  async forget(instance: string, why: string, origin: Parameters<AppInstances["leave"]>[2]): Promise<void> {
    const left = this.instances.leave(instance, why, origin);
    this.intake.forget(instance);
    await left;
  }

  #forgetGone(instance: string): void {
    this.#term.log.warn(
      { instance },
      "an instance with apps was not heard for a day and is taken out of the fleet",
    );
    this.forget(instance, "it was not heard for a day", byClock("gone", "silence")).catch((error: unknown) =>
      this.#term.log.debug({ instance, error: messageOf(error) }, "its leaving was not written"),
    );
  }

  #wants(heard: HeardApps): AppAsk | undefined {
    const { ledgerId, formats } = this.#term;
    const { last } = heard;
    const generation = this.known.catalog.list?.generation ?? 0;
    const isBehind = generation > 0 && (last.ledgerId !== ledgerId || last.generation < generation);
    heard.behind = isBehind ? heard.behind + 1 : 0;
    const changesAfter = this.instances.toAskAfter(heard);
    const { intervalMs } = this.#watch;
    const reportFormat = formats.writtenOf("app-report");
    const mustRead = heard.behind >= behindMax;
    const isFine = !mustRead && changesAfter === undefined && heard.format >= reportFormat;
    if (isFine && !isOtherInterval(intervalMs, heard.intervalMs)) return undefined;
    return {
      intervalMs,
      reportFormat,
      ...(mustRead && { generation }),
      ...(changesAfter && { changesAfter }),
    };
  }

  #askToReport(instance: string, how: AppAsk): void {
    const { bus, subjects, leadership, ledgerId } = this.#term;
    const ask = { epoch: leadership.epoch, ledgerId, intervalMs: this.#watch.intervalMs, ...how };
    bus.publish(subjects.appsAsk(instance, "report"), JSON.stringify(ask));
  }

  #tellReadably(report: AppReport): void {
    const { instance } = report;
    this.commands
      .tellReadably(report)
      // The term ends with a write that failed.
      .catch((error: unknown) =>
        this.#term.log.debug({ instance, error: messageOf(error) }, "what it can read was not written"),
      );
  }

  /** What is written, or less where an instance reads less, or has not said yet what it reads. */
  #desiredFormat(): number {
    const { formats } = this.#term;
    const { oldest } = formats.known["desired.app"];
    let max = formats.writtenOf("desired.app");
    for (const instance of this.known.catalog.instances.keys())
      max = Math.min(max, this.intake.find(instance)?.last.desiredFormat ?? oldest);
    return Math.max(oldest, max);
  }
}
