import type { EndpointName, RequestOf } from "../../contracts/api.js";
import type { LedgerMirror } from "./ledger-mirror.js";
import type { HappeningOf, LifePlan } from "./life-plan.js";

type Ask = <E extends EndpointName>(endpoint: E, request: RequestOf<E>) => void;

/** Those who switch apps on and off; each goes by what they saw last, which may be old. */
export class Administrators {
  readonly #plan: LifePlan;
  readonly #ledger: LedgerMirror;
  readonly #ask: Ask;
  /** The generation of each app that each of them saw last. */
  readonly #seen = new Map<string, number>();
  #requests = 0;

  constructor(plan: LifePlan, ledger: LedgerMirror, ask: Ask) {
    this.#plan = plan;
    this.#ledger = ledger;
    this.#ask = ask;
  }

  /** Takes a process with apps in it out of the fleet, of those that the ledger knows. */
  forget({ instance: nth, by }: HappeningOf<"appForget">): void {
    const known = [...this.#ledger.apps.instances];
    const instance = known[nth % Math.max(1, known.length)];
    if (instance !== undefined) this.#ask("apps.forget", { instance, by });
  }

  /** Has instances told of what they were told in an earlier ledger only. */
  tellAnew(): void {
    const { records, told } = this.#ledger.apps;
    if ([...records.keys()].every((app) => told.has(app))) return;
    this.#ask("apps.reconcile", { app: null, by: "anna", requestKey: `app-wish-${++this.#requests}` });
  }

  wish({ verb, app: nth, version, careful, by }: HappeningOf<"app">): void {
    const { apps } = this.#plan;
    const app = apps[nth % Math.max(1, apps.length)]?.app;
    if (app === undefined) return;
    const seen = this.#seen.get(`${by} ${app}`);
    const requestKey = `app-wish-${++this.#requests}`;
    const common = { app, by, requestKey };
    const change = careful && seen !== undefined ? { ...common, expectedGeneration: seen } : common;
    const content = { version: `1.${version}.0`, settings: { step: version } };
    switch (verb) {
      case "add":
        this.#ask("apps.add", { ...common, ...content, desiredStatus: version % 2 ? "enabled" : "disabled" });
        break;
      case "set":
        this.#ask("apps.set", { ...change, ...content });
        break;
      case "reconcile":
        this.#ask("apps.reconcile", { app: null, by, requestKey });
        break;
      default:
        this.#ask(`apps.${verb}`, change);
        break;
    }
    const generation = this.#ledger.apps.records.get(app)?.generation;
    if (generation !== undefined) this.#seen.set(`${by} ${app}`, generation);
  }
}
