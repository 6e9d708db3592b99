import { type HeardEpoch, isOver } from "../../../machines/accepted.js";
import type { Subscription } from "../../base/ports.js";
import {
  type AppExplanation,
  type AppReportAsk,
  type AppRetryAnswer,
  appExplainAskSchema,
  appReportAskSchema,
  appRetryAskSchema,
} from "../../contracts/app-report.js";
import { refusal } from "../../contracts/errors.js";
import { subjectsOf } from "../../contracts/subjects.js";
import { bodyOf, epochIn, refuse, verbOf } from "../answering.js";
import type { AppParts } from "./app-parts.js";

/** What a request comes to. */
export interface AskedApps {
  /** The highest epoch that was heard of, in the newest ledger. */
  readonly known: HeardEpoch;
  seeEpoch(heard: HeardEpoch): void;
  /** Reports, and returns the report as it was sent. */
  report(ask: AppReportAsk): unknown;
  retry(apps: readonly string[] | null): AppRetryAnswer;
  explain(app: string): AppExplanation;
}

/** The checked request, and what answers it. */
function answering(verb: string, body: unknown, asked: AskedApps) {
  const checked = <T extends { epoch?: number | undefined; ledgerId?: string | undefined }>(
    { success, data, error }: { success: boolean; data?: T; error?: Error },
    answer: (request: T) => unknown,
  ) =>
    success && data !== undefined
      ? { epoch: data.epoch, ledgerId: data.ledgerId, answer: () => answer(data) }
      : { problem: (error?.message ?? "").slice(0, 512) };
  switch (verb) {
    case "report":
      return checked(appReportAskSchema.safeParse(body), (ask) => asked.report(ask));
    case "retry":
      return checked(appRetryAskSchema.safeParse(body), ({ apps }) => asked.retry(apps));
    case "explain":
      return checked(appExplainAskSchema.safeParse(body), ({ app }) => asked.explain(app));
    default:
      return { problem: `there is no request ${verb}` };
  }
}

/** Answers what coordinators ask about the apps of an instance; one of an epoch that is over is answered `STALE_EPOCH`. */
export function answerAppAsks(parts: AppParts, asked: AskedApps): Subscription {
  const { bus, fleet, instance, complaints } = parts;
  return bus.subscribe(subjectsOf(fleet).appsAsk(instance, "*"), (message) => {
    const verb = verbOf(message);
    const request = answering(verb, bodyOf(message), asked);
    if (request.problem !== undefined) {
      complaints.add("askGarbage", instance, { verb }, "a request cannot be understood and is refused");
      refuse(message, refusal("BAD_REQUEST", { problem: request.problem }));
      return;
    }
    const heard = epochIn(request);
    const { known } = asked;
    if (heard !== undefined && isOver(known, heard)) {
      const facts = { epoch: heard.epoch, known: known.epoch };
      complaints.add("askStale", instance, facts, "a coordinator that leads no longer has asked");
      refuse(message, refusal("STALE_EPOCH", { given: heard.epoch, known: known.epoch }));
      return;
    }
    if (heard !== undefined) asked.seeEpoch(heard);
    message.respond(JSON.stringify(request.answer()));
  });
}
