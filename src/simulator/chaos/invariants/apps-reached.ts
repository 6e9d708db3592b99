import type { AppRecord } from "../../../contracts/app.js";
import { isEnabled } from "../../../contracts/app-status.js";
import type { AppNode } from "../app-node.js";
import { type MakeInvariant, Violation } from "../invariant.js";

/** Causes that time does not take away. */
const permanent: ReadonlySet<string> = new Set([
  "APP_COMPILER_ERROR",
  "APP_LICENSE_INVALID",
  "APP_SETTINGS_INVALID",
]);

/** A2: what really runs and lies there, whatever anybody says of it. */
export const appsReached: MakeInvariant = (witness) => {
  let isReplaced = false;
  /** By instance: the ledger whose list it has read last. */
  const reportedLedger = new Map<string, string | null>();
  const check = ({ id, agent, engine }: AppNode, { app, desiredStatus, content }: AppRecord): void => {
    const state = agent?.stateOf(app);
    const runs = engine.running.get(app);
    const lies = engine.installed.get(app);
    if (desiredStatus === "uninstalled") {
      if (lies !== undefined) throw new Violation(`${app} is uninstalled, and ${lies} of it is on ${id}`);
      return;
    }
    if (desiredStatus === "disabled") {
      if (runs !== undefined)
        throw new Violation(`${app} is to be disabled, and ${runs} of it runs on ${id}`);
      return;
    }
    if (runs === content.version) return;
    const code = state?.reason?.code ?? "";
    if (state?.stopped !== true || !permanent.has(code))
      throw new Violation(
        `${app} ${content.version} is to be enabled, and on ${id} runs ${runs ?? "nothing"}: ${state?.initStatus} ${code}`,
      );
    witness.mark("appBroken");
  };

  /** Nobody has asked for it in the ledger that there is now: it is kept as it was, and runs if it is said to. */
  const isUnknown = ({ id, agent, engine }: AppNode, app: string): boolean => {
    const state = agent?.stateOf(app);
    const isOfThis = state?.generation !== 0 && reportedLedger.get(id) === witness.ledger.ledgerId;
    if (!isReplaced || state === undefined || isOfThis) return false;
    if (isEnabled(state.initStatus) !== engine.running.has(app))
      throw new Violation(
        `${app}, which the ledger does not know, is said to be ${state.initStatus} on ${id}`,
      );
    witness.mark("appUnknown");
    return true;
  };

  return {
    id: "A2",
    says: "at rest every instance is as administrators want it, or shows a cause that only they can take away",
    ledgerReplaced() {
      isReplaced = true;
    },
    appReported({ instance, ledgerId, recent = [] }) {
      reportedLedger.set(instance, ledgerId);
      if (recent.some(({ to, cause }) => cause === "retried" && to.endsWith("_enabled")))
        witness.mark("appWorkedWhenRetried");
    },
    atRest() {
      const { records } = witness.ledger.apps;
      for (const node of witness.apps.values()) {
        for (const record of records.values()) check(node, record);
        for (const app of node.engine.installed.keys())
          if (!records.has(app) && !isUnknown(node, app))
            throw new Violation(`${app} is forgotten, and on ${node.id} it is still`);
      }
    },
  };
};
