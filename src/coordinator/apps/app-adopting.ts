import type { Adoptable } from "../../../machines/app-change.js";
import { holderToAdopt, unaskedApp } from "../../../machines/app-unasked.js";
import { messageOf } from "../../base/errors.js";
import { appExplanationSchema } from "../../contracts/app-report.js";
import { refusal } from "../../contracts/errors.js";
import { askAsLeader } from "../ask-as-leader.js";
import type { Term } from "../term.js";
import type { KnownApps } from "./known-apps.js";

const answerMaxMs = 2_000;

/**
 * Asks an instance what it has of an app that nobody asked for.
 *
 * @param instance `null`: whichever, if all have the same version
 * @throws RollcallError `UNKNOWN_APP`, `UNKNOWN_INSTANCE`, `APP_VERSIONS_DIFFER`, `APP_UNINSTALLED`, `APP_NOT_EXPLAINED`
 */
export async function askWhatToAdopt(
  term: Term,
  known: KnownApps,
  { app, instance }: { readonly app: string; readonly instance: string | null },
): Promise<Adoptable> {
  const instances = instance === null ? known.instances() : [known.instance(instance)];
  const holder = holderToAdopt(app, unaskedApp(app, instances), instance);
  const asked = await explained(term, holder, app);
  if (asked === null)
    throw refusal("APP_NOT_EXPLAINED", { app, instance: holder, problem: "it does not say" });
  return { instance: holder, ...asked };
}

async function explained(term: Term, instance: string, app: string) {
  try {
    const answer = await askAsLeader(term, term.subjects.appsAsk(instance, "explain"), { app }, answerMaxMs);
    return appExplanationSchema.parse(answer).asked;
  } catch (error) {
    throw refusal("APP_NOT_EXPLAINED", { app, instance, problem: messageOf(error) }, error);
  }
}
