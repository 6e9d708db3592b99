import { z } from "zod";
import { type HeardEpoch, isOver } from "../../machines/accepted.js";
import { messageOf } from "../base/errors.js";
import type { Subscription } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { type Inventory, inventoryAskSchema, type Mended, mendAskSchema } from "../contracts/inventory.js";
import { subjectsOf } from "../contracts/subjects.js";
import { bodyOf, epochIn, refuse, verbOf } from "./answering.js";
import type { AgentParts } from "./parts.js";

/** `ask.<instance>.report`: report now, and from now on in this interval. What a newer control plane adds is left out. */
const reportAskSchema = z.object({
  /** Outside of what an agent can do it is the nearest that it can. */
  intervalMs: z.int().min(1).optional(),
  /** The newest format of a report that may be sent. */
  reportFormat: z.int().min(1).optional(),
  epoch: z.int().min(1).optional(),
  /** What it was told last: who acts on less has missed it, and reads it. */
  generation: z.int().min(1).optional(),
  /** Of the sender: epochs compare within one ledger. */
  ledgerId: z.string().max(64).optional(),
});
export type ReportAsk = z.infer<typeof reportAskSchema>;

/** What a request comes to. */
export interface AskedInstance {
  /** The highest epoch that it has heard of, in the newest ledger. */
  readonly known: HeardEpoch;
  seeEpoch(heard: HeardEpoch): void;
  /** Reports, and returns the report as it was sent. */
  report(ask: ReportAsk): unknown;
  /** What of it, and with `host` of what belongs to no instance here, is not as it should be. */
  inventory(host: boolean): Promise<Inventory>;
  /** Puts one of these things right. */
  mend(key: string): Promise<Mended>;
}

type Verb = "report" | "inventory" | "mend";

/** The checked request, and what answers it. */
function answering(verb: string, body: unknown, asked: AskedInstance) {
  const checked = <T extends { epoch?: number | undefined; ledgerId?: string | undefined }>(
    parsed: z.ZodSafeParseResult<T>,
    answer: (request: T) => unknown,
  ) =>
    parsed.success
      ? { epoch: parsed.data.epoch, ledgerId: parsed.data.ledgerId, answer: async () => answer(parsed.data) }
      : { problem: parsed.error.message.slice(0, 512) };
  switch (verb as Verb) {
    case "report":
      return checked(reportAskSchema.safeParse(body), (ask) => asked.report(ask));
    case "inventory":
      return checked(inventoryAskSchema.safeParse(body), ({ host }) => asked.inventory(host));
    case "mend":
      return checked(mendAskSchema.safeParse(body), ({ key }) => asked.mend(key));
    default:
      return { problem: `there is no request ${verb}` };
  }
}

/**
 * Answers what coordinators ask of an instance. A request may name the epoch of its sender; one of an epoch that is over is
 * answered `STALE_EPOCH`, one of no epoch (a person's) is taken, and so is one of a newer ledger: that counts its epochs anew. One of an older ledger is over.
 */
export function answerAsks(parts: AgentParts, instance: string, asked: AskedInstance): Subscription {
  const subjects = subjectsOf(parts.fleet);
  return parts.bus.subscribe(subjects.ask(instance, "*"), (message) => {
    const verb = verbOf(message);
    const request = answering(verb, bodyOf(message), asked);
    if (request.problem !== undefined) {
      parts.complaints.add("askGarbage", instance, { verb }, "a request cannot be understood and is refused");
      refuse(message, refusal("BAD_REQUEST", { problem: request.problem }));
      return;
    }
    const heard = epochIn(request);
    const { known } = asked;
    if (heard !== undefined && isOver(known, heard)) {
      parts.complaints.add(
        "askStale",
        instance,
        { epoch: heard.epoch, known: known.epoch },
        "a coordinator that leads no longer has asked",
      );
      refuse(message, refusal("STALE_EPOCH", { given: heard.epoch, known: known.epoch }));
      return;
    }
    if (heard !== undefined && (heard.epoch !== known.epoch || heard.ledgerId !== known.ledgerId))
      asked.seeEpoch(heard);
    request.answer().then(
      (answer) => message.respond(JSON.stringify(answer)),
      (error: unknown) => refuse(message, refusal("INTERNAL", { problem: messageOf(error) }, error)),
    );
  });
}
