import type {
  AppContent,
  AppList,
  AppRecord,
  AppRequestMade,
  DesiredApp,
  DesiredStatus,
  InitStatus,
} from "../src/contracts/app.js";
import { appRequestsMax, appsMax } from "../src/contracts/app-limits.js";
import type { Mark } from "../src/contracts/deployment.js";
import { refusal } from "../src/contracts/errors.js";
import { contentToRemove, type UnaskedApp, unknownApp } from "./app-unasked.js";

/*
 * What becomes of what administrators ask of an app: a new generation of its record, nothing because it is so already, or a refusal; and what the
 * instances are told then. Pure; the coordinator writes it.
 */

/** What somebody asks of an app. */
export type AppWish =
  | {
      readonly type: "add";
      readonly content: AppContent;
      readonly desiredStatus: Exclude<DesiredStatus, "uninstalled">;
      readonly legacyStatus: InitStatus | null;
    }
  /** An app that an instance has and nobody asked for is asked for as it is there. */
  | { readonly type: "adopt"; readonly found: Adoptable }
  | { readonly type: "enable" | "disable" | "uninstall" }
  /** What is left out stays. */
  | {
      readonly type: "set";
      readonly change: { readonly [Part in keyof AppContent]?: AppContent[Part] | undefined };
    };

/** What an instance was asked of an app before this ledger was there. */
export interface Adoptable extends Pick<AppRecord, "desiredStatus" | "content"> {
  readonly instance?: string;
}

/** Of which app, by whom, and on what knowledge of it. */
export interface AppAsking {
  readonly app: string;
  readonly mark: Mark;
  readonly requestKey: string | null;
  /** Whatever it is at, if left out. */
  readonly expectedGeneration?: number | undefined;
  /** Where it is though no record knows it. */
  readonly found?: readonly UnaskedApp[] | undefined;
}

/** The apps of a fleet as they stand. */
export interface AppsNow {
  readonly records: ReadonlyMap<string, AppRecord>;
  /** What this ledger's instances were told; `undefined` if nothing yet. */
  readonly list: AppList | undefined;
}

/** A change as the audit log tells it. */
export interface AppHappening {
  readonly type: "app.added" | "app.enabled" | "app.disabled" | "app.changed" | "app.uninstalled";
  readonly data: Readonly<Record<string, unknown>>;
}

export type AppChangeOutcome =
  /**
   * It is so already, and was told (`same`), or this ledger's instances were never told (`untold`).
   * `repeated`: the request was carried out before, whatever has become of the app since.
   */
  | {
      readonly kind: "same" | "untold";
      readonly record: AppRecord;
      readonly repeated: AppRequestMade | undefined;
    }
  | { readonly kind: "changed"; readonly record: AppRecord; readonly happening: AppHappening };

type Field = keyof AppRecord["changedIn"];
const fields = ["desiredStatus", "version", "source", "settings"] as const satisfies readonly Field[];
/** Longer values are cut in events: a page of them must fit a message. */
const toldCharactersMax = 300;

/**
 * What becomes of a wish.
 *
 * @throws RollcallError `UNKNOWN_APP`, `APP_UNASKED`, `APP_EXISTS`, `APP_UNINSTALLED`, `GENERATION_MISMATCH`, `TOO_MANY_APPS`
 */
export function changeOf(now: AppsNow, wish: AppWish, asking: AppAsking): AppChangeOutcome {
  const { app, requestKey, found = [] } = asking;
  const record = now.records.get(app);
  if (record === undefined) {
    refuseUnknown(wish, app, found);
    if (now.records.size >= appsMax) throw refusal("TOO_MANY_APPS", { max: appsMax });
    return changed(undefined, wish, asking, nextListGeneration(now));
  }
  const repeated = record.requests.find(({ key }) => key === requestKey);
  if (repeated !== undefined || isSo(record, wish))
    return { kind: isTold(now, app) ? "same" : "untold", record, repeated };
  refuseStale(record, asking);
  refuseImpossible(record, wish);
  return changed(record, wish, asking, record.generation + 1);
}

/** Whether the instances of this ledger were told of an app. */
export function isTold({ list }: Pick<AppsNow, "list">, app: string): boolean {
  return list !== undefined && Object.hasOwn(list.apps, app);
}

/** Who tells, in which ledger. */
export interface AppTeller {
  readonly ledgerId: string;
  readonly epoch: number;
}

/** What instances are told of an app, and the list that has it. */
export function tellingOf(
  now: AppsNow,
  record: AppRecord,
  { ledgerId, epoch }: AppTeller,
): { readonly desired: DesiredApp; readonly list: AppList } {
  const { app, generation, desiredStatus, content } = record;
  const appsGeneration = nextListGeneration(now);
  return {
    desired: { format: 1, ledgerId, epoch, app, generation, desiredStatus, content, appsGeneration },
    list: {
      format: 1,
      ledgerId,
      epoch,
      generation: appsGeneration,
      apps: { ...now.list?.apps, [app]: generation },
    },
  };
}

/** The list once tombstones are cleared. */
export function listWithout(
  now: AppsNow,
  cleared: readonly string[],
  { ledgerId, epoch }: AppTeller,
): AppList {
  const gone = new Set(cleared);
  const apps = Object.entries(now.list?.apps ?? {}).filter(([app]) => !gone.has(app));
  return { format: 1, ledgerId, epoch, generation: nextListGeneration(now), apps: Object.fromEntries(apps) };
}

/**
 * Never below the generation of any app: a new app begins with it, and so no generation comes twice of one that was cleared and is
 * added again.
 */
function nextListGeneration({ records, list }: AppsNow): number {
  if (list !== undefined) return list.generation + 1;
  let highest = 0;
  for (const { generation } of records.values()) highest = Math.max(highest, generation);
  return highest + 1;
}

function isSo({ desiredStatus, content }: AppRecord, wish: AppWish): boolean {
  switch (wish.type) {
    case "add":
      return false;
    case "set":
      return desiredStatus !== "uninstalled" && sameContent(content, { ...content, ...given(wish.change) });
    case "adopt":
      return false;
    default:
      return desiredStatus === statusOf[wish.type];
  }
}

const statusOf = { enable: "enabled", disable: "disabled", uninstall: "uninstalled" } as const;
const typeOf = { enable: "app.enabled", disable: "app.disabled", uninstall: "app.uninstalled" } as const;

function refuseStale(record: AppRecord, { app, expectedGeneration: expected }: AppAsking): void {
  if (expected === undefined || expected === record.generation) return;
  const { generation: found, changed: mark, changedIn } = record;
  // Whoever names one that is still to come knows nothing of it.
  const since = fields.filter((field) => expected > found || changedIn[field] > expected);
  throw refusal("GENERATION_MISMATCH", {
    app,
    found,
    expected,
    by: mark.by,
    atMs: mark.atMs,
    changed: since.join(", "),
    reason: mark.reason ?? "no reason given",
    desiredStatus: record.desiredStatus,
    version: record.content.version,
  });
}

/** Of what no record knows: it can be added; where it is all the same, it can be adopted and uninstalled. */
function refuseUnknown(wish: AppWish, app: string, found: readonly UnaskedApp[]): void {
  const isPossible =
    wish.type === "add" || wish.type === "adopt" || (wish.type === "uninstall" && found.length > 0);
  if (!isPossible) throw unknownApp(app, found);
  if (wish.type === "adopt" && wish.found.desiredStatus === "uninstalled")
    throw refusal("APP_UNINSTALLED", { app });
}

function refuseImpossible({ app, desiredStatus }: AppRecord, wish: AppWish): void {
  if ((wish.type === "add" || wish.type === "adopt") && desiredStatus !== "uninstalled")
    throw refusal("APP_EXISTS", { app, desiredStatus });
  if (wish.type !== "add" && desiredStatus === "uninstalled") throw refusal("APP_UNINSTALLED", { app });
}

function changed(
  before: AppRecord | undefined,
  wish: AppWish,
  { app, mark, requestKey, found = [] }: AppAsking,
  generation: number,
): AppChangeOutcome {
  const asked = askedBy(wish, before, found);
  const different = fields.filter(
    (field) => before === undefined || textOf(partOf(before, field)) !== textOf(partOf(asked, field)),
  );
  const now = Object.fromEntries(different.map((field) => [field, generation]));
  const fresh = { desiredStatus: generation, version: generation, source: generation, settings: generation };
  const record: AppRecord = {
    format: 1,
    app,
    generation,
    ...asked,
    added: before === undefined || wish.type === "add" ? mark : before.added,
    changed: mark,
    changedIn: { ...(before?.changedIn ?? fresh), ...now },
    requests: requestsWith(before?.requests ?? [], requestKey, { generation, ...asked }),
    legacyStatus: wish.type === "add" ? wish.legacyStatus : (before?.legacyStatus ?? null),
  };
  return { kind: "changed", record, happening: happeningIn(before, record, wish, different) };
}

function requestsWith(
  earlier: AppRecord["requests"],
  key: string | null,
  { generation, desiredStatus, content }: Pick<AppRecord, "generation" | "desiredStatus" | "content">,
): AppRecord["requests"] {
  if (key === null) return earlier;
  return [{ key, generation, desiredStatus, version: content.version }, ...earlier].slice(0, appRequestsMax);
}

function askedBy(
  wish: AppWish,
  before: AppRecord | undefined,
  found: readonly UnaskedApp[],
): Pick<AppRecord, "desiredStatus" | "content"> {
  if (wish.type === "add") return { desiredStatus: wish.desiredStatus, content: wish.content };
  if (wish.type === "adopt") return { desiredStatus: wish.found.desiredStatus, content: wish.found.content };
  const { desiredStatus, content } = before ?? {
    desiredStatus: "uninstalled" as const,
    content: contentToRemove(found),
  };
  if (wish.type === "set") return { desiredStatus, content: { ...content, ...given(wish.change) } };
  return { desiredStatus: statusOf[wish.type], content };
}

function happeningIn(
  before: AppRecord | undefined,
  record: AppRecord,
  wish: AppWish,
  different: readonly Field[],
): AppHappening {
  const { reason } = record.changed;
  if (wish.type === "set") {
    const data = {
      changed: different.join(", "),
      from: toldOf(before, different),
      to: toldOf(record, different),
      reason,
    };
    return { type: "app.changed", data };
  }
  const { desiredStatus: to, content } = record;
  const from = before?.desiredStatus ?? null;
  if (wish.type === "add" || wish.type === "adopt") {
    const adopted = wish.type === "adopt" ? { instance: wish.found.instance } : {};
    return { type: "app.added", data: { from, to, version: content.version, ...adopted, reason } };
  }
  return { type: typeOf[wish.type], data: { from: from ?? "asked for by nobody", to, reason } };
}

/** Fields of an app for an event. */
function toldOf(record: AppRecord | undefined, told: readonly Field[]): Record<string, unknown> {
  if (record === undefined) return {};
  return Object.fromEntries(
    told.map((field) => {
      const value = partOf(record, field);
      const text = textOf(value);
      return [field, text.length <= toldCharactersMax ? value : `${text.slice(0, toldCharactersMax)}…`];
    }),
  );
}

function partOf(
  { desiredStatus, content }: Pick<AppRecord, "desiredStatus" | "content">,
  field: Field,
): unknown {
  return field === "desiredStatus" ? desiredStatus : content[field];
}

function given(change: Extract<AppWish, { type: "set" }>["change"]): Partial<AppContent> {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
}

function sameContent(one: AppContent, other: AppContent): boolean {
  return (
    textOf([one.version, one.source, one.settings]) === textOf([other.version, other.source, other.settings])
  );
}

function textOf(value: unknown): string {
  return JSON.stringify(value);
}
