import { type AppInstance, type AskedApp, isMismatch, standingOf } from "../../../machines/app-standing.js";
import {
  type UnaskedApp,
  unaskedApp,
  unaskedOn,
  unaskedRowOf,
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
    else matrix.addUnasked(unaskedApp(name, instances));
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
    for (const one of instances) {
      const standing = standingOf(asked, one);
      const isWrong = isMismatch(standing);
      this.#counts.total++;
      if (isWrong) this.#counts.mismatched++;
      else if (standing === "inSync") this.#counts.inSync++;
      else this.#counts.unheard++;
      this.#show(isWrong, asked.record.app, one, () => appRowOf(asked, one, this.#nowMs));
    }
  }

  addUnasked(found: readonly UnaskedApp[]): void {
    const asked = this.#known.askedApps();
    for (const each of found) {
      const isWrong = each.one.hearing === "heard";
      if (isWrong) this.#unasked++;
      this.#show(isWrong, each.state.app, each.one, () => unaskedRowOf(each, asked, this.#nowMs));
    }
  }

  get reply(): Pick<ReplyOf<"apps.status">, "items" | "counts" | "unasked" | "next"> {
    const { items, isFull } = this.#page;
    const last = items.at(-1);
    const next = isFull && last !== undefined ? { app: last.app, instance: last.instanceId } : null;
    return { items, counts: this.#counts, unasked: this.#unasked, next };
  }

  #show(isWrong: boolean, app: string, { instance }: AppInstance, rowOf: () => AppRow): void {
    const { all, after } = this.#request;
    if (!(all || isWrong)) return;
    const isAfter = after === null || (byName(app, after.app) || byName(instance, after.instance)) > 0;
    if (isAfter) this.#page.take(rowOf);
  }
}
