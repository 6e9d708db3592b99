import { causeOf } from "../../../machines/app-look.js";
import { type AppInstance, type AskedApp, isMismatch, standingOf } from "../../../machines/app-standing.js";
import {
  type UnaskedApp,
  unaskedApp,
  unaskedOn,
  unaskedRowOf,
  unaskedStanding,
  unknownApp,
} from "../../../machines/app-unasked.js";
import { appRowOf } from "../../../machines/app-why.js";
import { byName } from "../../base/name-order.js";
import type { ParsedRequestOf, ReplyOf } from "../../contracts/api.js";
import type { AppRow } from "../../contracts/app-api.js";
import type { KnownApps } from "./known-apps.js";
import { Page } from "./page.js";

type StatusRequest = ParsedRequestOf<"apps.status">;

/** Apps × instances, a page of it. @throws RollcallError `UNKNOWN_APP`, `UNKNOWN_INSTANCE` */
export function matrixOf(known: KnownApps, request: StatusRequest, nowMs: number) {
  const { app, instance } = request;
  const instances = instance === null ? known.instances() : [known.instance(instance)];
  instances.sort((one, other) => byName(one.instance, other.instance));
  const matrix = new Matrix(known, request, nowMs);
  if (app !== null && !known.has(app)) throw unknownApp(app, []);
  for (const name of app === null ? namesOf(known, instances) : [app]) {
    const record = known.catalog.records.get(name);
    if (record !== undefined) matrix.add(known.askedOf(record), instances);
    else matrix.addUnasked(name, unaskedApp(name, instances));
  }
  return matrix.reply;
}

/** Apps that instances have and no record knows, by name. */
export function unaskedNames(known: KnownApps, instances: readonly AppInstance[]): string[] {
  const asked = known.askedApps();
  const names = new Set(instances.flatMap((one) => unaskedOn(one, asked).map(({ state }) => state.app)));
  return [...names].sort(byName);
}

function namesOf(known: KnownApps, instances: readonly AppInstance[]): string[] {
  return [...known.catalog.records.keys(), ...unaskedNames(known, instances)].sort(byName);
}

/** An app on an instance, and what is to be said of it. */
interface Cell {
  readonly one: AppInstance;
  /** Why it is not as asked; `null` if it is, or is not heard. */
  readonly cause: string | null;
  row(): AppRow;
}

class Matrix {
  readonly #known: KnownApps;
  readonly #request: StatusRequest;
  readonly #nowMs: number;
  readonly #page: Page<AppRow>;
  readonly #counts = { total: 0, inSync: 0, mismatched: 0, unheard: 0 };
  #unasked = 0;

  constructor(known: KnownApps, request: StatusRequest, nowMs: number) {
    this.#known = known;
    this.#request = request;
    this.#nowMs = nowMs;
    this.#page = new Page(request.limit);
  }

  add(asked: AskedApp, instances: readonly AppInstance[]): void {
    const cells: Cell[] = [];
    const { all, after } = this.#request;
    // What is on no page costs no more than being counted.
    const isShown = !this.#page.isFull && (after === null || byName(asked.record.app, after.app) >= 0);
    for (const one of instances) {
      const standing = standingOf(asked, one);
      const cause = isMismatch(standing) ? causeOf(asked, one, standing) : null;
      this.#counts.total++;
      if (cause !== null) this.#counts.mismatched++;
      else if (standing === "inSync") this.#counts.inSync++;
      else this.#counts.unheard++;
      if (isShown && (cause !== null || all))
        cells.push({ one, cause, row: () => appRowOf(asked, one, this.#nowMs) });
    }
    this.#show(asked.record.app, cells);
  }

  addUnasked(app: string, found: readonly UnaskedApp[]): void {
    const asked = this.#known.askedApps();
    const cells = found.map((each): Cell => {
      const cause = each.one.hearing === "heard" ? unaskedStanding(each) : null;
      return { one: each.one, cause, row: () => unaskedRowOf(each, asked, this.#nowMs) };
    });
    const wrong = cells.filter(({ cause }) => cause !== null);
    this.#unasked += wrong.length;
    this.#show(app, this.#request.all ? cells : wrong);
  }

  get reply(): Pick<ReplyOf<"apps.status">, "items" | "counts" | "unasked" | "next"> {
    const { items, isFull } = this.#page;
    const last = items.at(-1);
    const next = isFull && last !== undefined ? { app: last.app, instance: last.instanceId } : null;
    return { items, counts: this.#counts, unasked: this.#unasked, next };
  }

  #show(app: string, cells: readonly Cell[]): void {
    const { after, perCause = cells.length } = this.#request;
    const counts = new Map<string, number>();
    for (const { cause } of cells) if (cause !== null) counts.set(cause, (counts.get(cause) ?? 0) + 1);
    const shown = new Map<string, number>();
    for (const { one, cause, row } of cells) {
      const isAfter = after === null || (byName(app, after.app) || byName(one.instance, after.instance)) > 0;
      if (!isAfter) continue;
      if (cause === null) {
        this.#page.take(row);
        continue;
      }
      const before = shown.get(cause) ?? 0;
      shown.set(cause, before + 1);
      const instances = counts.get(cause) ?? 1;
      if (before < perCause) this.#page.take(() => ({ ...row(), cause: { name: cause, instances } }));
    }
  }
}
