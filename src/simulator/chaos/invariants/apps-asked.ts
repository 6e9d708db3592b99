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

  return {
    id: "A1",
    says: "what administrators were told an app is to be is in the ledger then and at the end, unless somebody changed it since",
    committed(commit) {
      for (const { kind, id, audit } of commit.events)
        if (kind === "app" && audit.generation !== undefined) said.add(`${id} ${audit.generation}`);
      for (const { key } of commit.others) {
        const [kind, id] = parseKey(key) ?? [];
        if (kind === "app" && id !== undefined) checkChange(commit, id);
      }
      if (commit.events.some(({ type }) => type === "app.cleared")) witness.mark("appCleared");
    },
    answered({ endpoint, request, answer }) {
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
