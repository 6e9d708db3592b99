import type { AppRecord, DesiredStatus } from "../../../contracts/app.js";
import type { AppView } from "../../../contracts/app-api.js";
import { parseKey } from "../../../contracts/keys.js";
import { type MakeInvariant, Violation } from "../invariant.js";
import type { Commit } from "../ledger-mirror.js";

/** What an app is to be once that was granted; what is set does not change it. */
const statusOf: Readonly<Record<string, DesiredStatus>> = {
  "apps.enable": "enabled",
  "apps.disable": "disabled",
  "apps.uninstall": "uninstalled",
};
/** What an app came to on an instance: that may be said in any batch, and explains no record of an app. */
const ofInstances: ReadonlySet<string> = new Set(["app.status", "app.mismatched", "app.matched"]);
const changes: ReadonlySet<string> = new Set([...Object.keys(statusOf), "apps.add", "apps.set"]);

/** A1. */
export const appsAsked: MakeInvariant = (witness) => {
  const { apps } = witness.ledger;
  /** Of each app, the newest generation that was stored, and that somebody was told is so. */
  const stored = new Map<string, number>();
  const granted = new Map<string, number>();
  const before = new Map<string, AppRecord>();
  /** What of `granted` is in the newest backup. */
  let backedUp: ReadonlyMap<string, number> = new Map();
  let replacedAtMs = Number.NEGATIVE_INFINITY;
  const clearedOnce = new Set<string>();
  /** Those that instances of this ledger were told of. */
  const told = new Set<string>();
  /** Generations by their events: of several in one batch the record is that of the last. */
  const said = new Set<string>();

  const checkChange = (commit: Commit, app: string): void => {
    const record = apps.records.get(app);
    const event = commit.events.find(
      ({ kind, id, type }) => kind === "app" && id === app && !ofInstances.has(type),
    );
    if (event === undefined) throw new Violation(`${app} is written without an event about it`);
    if (record === undefined) {
      if (event.type !== "app.cleared" || before.get(app)?.desiredStatus !== "uninstalled")
        throw new Violation(`${app} is gone, it was ${before.get(app)?.desiredStatus}`);
      before.delete(app);
      clearedOnce.add(app);
      return;
    }
    const { generation } = record;
    const [made] = record.requests;
    if (generation <= (stored.get(app) ?? 0))
      throw new Violation(`${app} is asked in generation ${generation} after ${stored.get(app)}`);
    stored.set(app, generation);
    before.set(app, record);
    if (apps.told.get(app)?.generation !== generation)
      throw new Violation(`${app} is asked in generation ${generation}, and not told in the same batch`);
    const isAsked = witness.asked.some(
      ({ request }) => (request as { requestKey?: string }).requestKey === made?.key,
    );
    if (made?.generation !== generation || !isAsked)
      throw new Violation(`${app} was changed by ${made?.key}, which nobody asked`);
    if (record.requests.slice(1).some(({ key }) => key === made.key))
      throw new Violation(`${app} was changed by ${made.key} twice`);
  };

  /** Of what was not told in this ledger before, only somebody who asks for it may have that told. */
  const checkTold = (commit: Commit, app: string): void => {
    if (!apps.told.has(app)) told.delete(app);
    else if (!told.has(app)) {
      told.add(app);
      const asks = ({ kind, id, type, audit }: Commit["events"][number]) =>
        kind === "app" && id === app && !ofInstances.has(type) && audit.actor?.startsWith("user:");
      if (!commit.events.some(asks))
        throw new Violation(`${app} is told to instances, and nobody has asked for that`);
    }
  };

  return {
    id: "A1",
    says: "what administrators were told an app is to be is in the ledger then and at the end, unless somebody changed it since or it came after the backup that was restored; and a ledger that was replaced tells nobody anything by itself",
    backsUp() {
      const inBackup = new Map(granted);
      return () => {
        backedUp = inBackup;
      };
    },
    ledgerReplaced(how) {
      replacedAtMs = witness.nowMs();
      for (const map of [stored, granted, before]) map.clear();
      said.clear();
      told.clear();
      if (how === "lost") {
        witness.mark("appsLedgerLost");
        return;
      }
      for (const [app, record] of apps.records) {
        stored.set(app, record.generation);
        before.set(app, record);
      }
      for (const [app, generation] of backedUp) {
        const found = apps.records.get(app)?.generation;
        if (found === undefined ? !clearedOnce.has(app) : found < generation)
          throw new Violation(
            `${app} was granted as generation ${generation} before the backup, and is restored as ${found}`,
          );
        if (found !== undefined) granted.set(app, generation);
      }
      if (apps.records.size > 0) witness.mark("appsRestored");
    },
    committed(commit) {
      if (commit.isOfRestore) return;
      for (const { kind, id, audit } of commit.events)
        if (kind === "app" && audit.generation !== undefined) said.add(`${id} ${audit.generation}`);
      for (const { key } of commit.others) {
        const [kind, id] = parseKey(key) ?? [];
        if (kind === "app" && id !== undefined) checkChange(commit, id);
        if (kind === "desired.app" && id !== undefined) checkTold(commit, id);
      }
      if (commit.events.some(({ type }) => type === "app.cleared")) witness.mark("appCleared");
    },
    answered({ endpoint, request, answer, atMs }) {
      if (!changes.has(endpoint) || answer === undefined) return;
      if ("code" in answer) {
        if (answer.code === "GENERATION_MISMATCH") witness.mark("appGenerationMismatch");
        return;
      }
      const { app, generation, desiredStatus } = answer.reply as AppView;
      const wanted = statusOf[endpoint];
      if (wanted !== undefined && desiredStatus !== wanted)
        throw new Violation(`${endpoint} of ${app} was granted, and it is ${desiredStatus}`);
      const record = apps.at(app, generation);
      const isOvertaken = (stored.get(app) ?? 0) > generation && said.has(`${app} ${generation}`);
      if (record === undefined && isOvertaken) return;
      // It may have been granted in the ledger that there was.
      if (atMs <= replacedAtMs && record?.desiredStatus !== desiredStatus) return;
      if (record?.desiredStatus !== desiredStatus)
        throw new Violation(
          `${endpoint} of ${app} was granted as generation ${generation}, ${desiredStatus}, and in the ledger that is ${record?.desiredStatus}: ${JSON.stringify(request)}`,
        );
      granted.set(app, Math.max(granted.get(app) ?? 0, generation));
    },
    atRest() {
      for (const [app, generation] of granted) {
        const now = apps.records.get(app)?.generation ?? stored.get(app) ?? 0;
        if (now < generation)
          throw new Violation(`${app} was granted as generation ${generation}, and is at ${now}`);
      }
    },
  };
};
