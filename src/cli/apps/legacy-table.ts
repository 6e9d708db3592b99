import { z } from "zod";
import {
  type AppContent,
  appContentSchema,
  type DesiredStatus,
  type InitStatus,
  initStatusSchema,
} from "../../contracts/app.js";
import { desiredOfLegacy, legacyStatusOf } from "../../contracts/app-status.js";
import { idSchema } from "../../contracts/names.js";

/*
 * What the rows of an old table, in which an app had one status, say of the apps that there are to be. Without
 * effects; the command reads the file and adds the apps. A row is of an app, or of an app on an instance or tenant: rows of one app have to agree, and are one app then.
 */

export interface MigratedApp {
  readonly app: string;
  readonly desiredStatus: Exclude<DesiredStatus, "uninstalled">;
  /** What the old status said, of several the one that old clients would have been told. */
  readonly legacyStatus: InitStatus;
  readonly content: AppContent;
  /** Nobody is known to have asked for its desired status. */
  readonly assumed: boolean;
  /** How many rows it was made of. */
  readonly rows: number;
}

export interface UnmappedRow {
  /** From 1. */
  readonly row: number;
  readonly app: string | null;
  readonly why: string;
}

export interface Migration {
  readonly rows: number;
  /** By name. */
  readonly apps: readonly MigratedApp[];
  readonly unmapped: readonly UnmappedRow[];
}

/** A row as it says, one for one. */
interface Mapped {
  readonly row: number;
  readonly status: InitStatus;
  readonly content: AppContent;
  /** Equal for rows that agree on what there is to run. */
  readonly contentText: string;
}

/** Fields as the old tables call them; all others are left alone. */
const rowSchema = z.looseObject({
  app: z.unknown().optional(),
  appId: z.unknown().optional(),
  id: z.unknown().optional(),
  status: z.unknown().optional(),
  version: z.unknown().optional(),
  info: z.looseObject({ version: z.unknown().optional() }).optional().catch(undefined),
  source: z.unknown().optional(),
  settings: z.unknown().optional(),
});

/** Takes the rows of a table in, one after the other, and says in the end what they come to. */
export class LegacyTable {
  readonly #defaultVersion: string | null;
  readonly #byApp = new Map<string, Mapped[]>();
  readonly #unmapped: UnmappedRow[] = [];
  #rows = 0;

  /** @param defaultVersion of rows that name none; `null`: such a row cannot be mapped */
  constructor(defaultVersion: string | null = null) {
    this.#defaultVersion = defaultVersion;
  }

  get rows(): number {
    return this.#rows;
  }

  /** A row, as its JSON says. */
  take(content: unknown): void {
    const row = ++this.#rows;
    const read = rowSchema.safeParse(content).data;
    const name = read?.app ?? read?.appId ?? read?.id;
    const app = idSchema.safeParse(name).data;
    if (read === undefined || app === undefined) {
      const why = read === undefined ? "it is no object" : nameProblem(name);
      this.#unmapped.push({ row, app: null, why });
      return;
    }
    const mapped = this.#map(row, read);
    if (typeof mapped === "string") this.#unmapped.push({ row, app, why: mapped });
    else this.#put(app, mapped);
  }

  /** A row that could not be read. */
  takeUnreadable(why: string): void {
    this.#unmapped.push({ row: ++this.#rows, app: null, why });
  }

  result(): Migration {
    const unmapped = [...this.#unmapped];
    const apps = [...this.#byApp].flatMap(([app, rows]): MigratedApp[] => {
      const conflict = conflictIn(rows);
      if (conflict === undefined) return [merged(app, rows)];
      for (const { row } of rows) unmapped.push({ row, app, why: conflict });
      return [];
    });
    return {
      rows: this.#rows,
      apps: apps.sort((one, other) => (one.app < other.app ? -1 : 1)),
      unmapped: unmapped.sort((one, other) => one.row - other.row),
    };
  }

  /** @returns why it cannot be */
  #map(row: number, read: z.infer<typeof rowSchema>): Mapped | string {
    const status = initStatusSchema.safeParse(lowerCase(read.status)).data;
    if (status === undefined)
      return read.status === undefined
        ? "it has no status"
        : `its status ${shown(read.status)} is none of old`;
    const version = read.version ?? read.info?.version ?? this.#defaultVersion;
    if (version === null) return "it names no version: give one for such rows by --app-version";
    const content = appContentSchema.safeParse({
      version,
      source: read.source ?? null,
      settings: read.settings ?? {},
    });
    if (!content.success) return contentProblem(content.error, read, version);
    return { row, status, content: content.data, contentText: JSON.stringify(content.data) };
  }

  #put(app: string, mapped: Mapped): void {
    const rows = this.#byApp.get(app);
    if (rows === undefined) this.#byApp.set(app, [mapped]);
    else rows.push(mapped);
  }
}

function lowerCase(status: unknown): unknown {
  return typeof status === "string" ? status.trim().toLowerCase() : status;
}

const shownCharactersMax = 64;

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? "undefined").slice(0, shownCharactersMax);
}

function nameProblem(name: unknown): string {
  if (name === undefined) return "it names no app: app, appId or id";
  return `${shown(name)} is no name of an app: 1 to 63 characters out of A-Z a-z 0-9 _ -`;
}

function contentProblem(
  { issues }: z.ZodError,
  { source }: z.infer<typeof rowSchema>,
  version: unknown,
): string {
  const [issue] = issues;
  const field = String(issue?.path[0] ?? "settings");
  if (field === "version") return `${shown(version)} is no version`;
  if (field === "source") return `its source ${shown(source)} is no text of at most 1,024 characters`;
  return `its settings cannot be kept: ${issue?.message ?? "they are no object"}`;
}

/** What is assumed counts only where nobody says more. */
function certainOf(rows: readonly Mapped[]): readonly Mapped[] {
  const certain = rows.filter(({ status }) => !desiredOfLegacy[status].assumed);
  return certain.length === 0 ? rows : certain;
}

/** Why rows of one app are not one app; `undefined` if they agree. */
function conflictIn(rows: readonly Mapped[]): string | undefined {
  const [first] = rows;
  const [leading, ...others] = certainOf(rows);
  if (first === undefined || leading === undefined) return undefined;
  const wanted = ({ status }: Mapped) => desiredOfLegacy[status].desiredStatus;
  const opposed = others.find((other) => wanted(other) !== wanted(leading));
  if (opposed !== undefined)
    return `rows of it disagree: ${leading.status} in row ${leading.row}, ${opposed.status} in row ${opposed.row}; make them agree`;
  const different = rows.find(({ contentText }) => contentText !== first.contentText);
  if (different === undefined) return undefined;
  return `rows of it disagree on version, source or settings: rows ${first.row} and ${different.row}; make them agree`;
}

function merged(app: string, rows: readonly Mapped[]): MigratedApp {
  const [leading] = certainOf(rows);
  if (leading === undefined) throw new Error("an app is made of rows");
  const { desiredStatus, assumed } = desiredOfLegacy[leading.status];
  const statuses = rows.map(({ status }) => status);
  const legacyStatus = legacyStatusOf({ desiredStatus, legacyStatus: null }, statuses);
  return { app, desiredStatus, legacyStatus, content: leading.content, assumed, rows: rows.length };
}
