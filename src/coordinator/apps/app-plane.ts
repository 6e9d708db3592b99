import type { AppWish } from "../../../machines/app-change.js";
import type { ControlPlane } from "../../contracts/api.js";
import type { AppRequestMade } from "../../contracts/app.js";
import type { AppView } from "../../contracts/app-api.js";
import { byUser } from "../../contracts/origin.js";
import { onceWritten } from "../once-written.js";
import type { Term } from "../term.js";
import { askWhatToAdopt } from "./app-adopting.js";
import type { AppRequest } from "./app-commands.js";
import { appView } from "./app-reads.js";
import type { LeaderApps } from "./leader-apps.js";

export type AppWrites = Pick<
  ControlPlane,
  | "apps.add"
  | "apps.adopt"
  | "apps.enable"
  | "apps.disable"
  | "apps.set"
  | "apps.uninstall"
  | "apps.forget"
  | "apps.reconcile"
>;

/** What somebody else has changed since is found by the generation, which is that of then. */
function asAnsweredThen(now: AppView, { generation, desiredStatus, version }: AppRequestMade): AppView {
  return { ...now, generation, desiredStatus, content: { ...now.content, version } };
}

/** Answers everything about apps that changes something. */
export function createAppWrites(apps: LeaderApps, term: Term): AppWrites {
  const changed = async (wish: AppWish, request: AppRequest): Promise<AppView> => {
    const { record, repeated } = await apps.commands.change(wish, request);
    const view = appView(apps.known, record, term.nowMs());
    return repeated === undefined ? view : asAnsweredThen(view, repeated);
  };
  return {
    "apps.add": async ({ version, source, settings, desiredStatus, legacyStatus, ...request }) =>
      changed({ type: "add", content: { version, source, settings }, desiredStatus, legacyStatus }, request),
    "apps.adopt": async ({ instance, ...request }) => {
      const { app } = request;
      const record = apps.known.catalog.records.get(app);
      // What there is already is refused, or is what this request has made.
      const found = record ?? (await askWhatToAdopt(term, apps.known, { app, instance }));
      return changed({ type: "adopt", found }, request);
    },
    "apps.enable": async (request) => changed({ type: "enable" }, request),
    "apps.disable": async (request) => changed({ type: "disable" }, request),
    "apps.set": async ({ version, source, settings, ...request }) =>
      changed({ type: "set", change: { version, source, settings } }, request),
    "apps.uninstall": async (request) => changed({ type: "uninstall" }, request),
    "apps.forget": onceWritten(term.writer, async ({ instance, by, reason }) => {
      const why = `removed by ${by}${reason === null ? "" : `: ${reason}`}`;
      await apps.forget(instance, why, byUser(by, term.random.id()));
      return { instance };
    }),
    "apps.reconcile": async (request) => apps.reconciling.reconcile(request),
  };
}
