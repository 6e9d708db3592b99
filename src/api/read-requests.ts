import type { Bus, BusMessage } from "../base/ports.js";
import { type AnswerSource, type LedgerPlace, placeIn, revisionHeader } from "../contracts/answer-source.js";
import type { ControlPlane, EndpointName } from "../contracts/api.js";
import type { subjectsOf } from "../contracts/subjects.js";
import { asRefusal, errorHeadersOf, refusedAs } from "./problem-answer.js";
import { parseRequest } from "./request.js";
import { respondWith } from "./respond.js";
import { sourceHeaders } from "./source-headers.js";

/** What the leader has to answer a read that a follower passed on; less than a caller waits. */
const passedOnMs = 1_500;
/** How long a copy that is behind what a client has seen may take to get there; mostly it needs milliseconds. */
const catchUpMs = 200;

/** Not from a copy: whoever is asked finds out at that moment. */
const foundOut: ReadonlySet<EndpointName> = new Set(["coordinators.list", "events.list", "apps.history"]);

/** What a coordinator's answers to reads are made from. */
export interface ApiKnowledge {
  /** `undefined` while it knows nothing. */
  source(): AnswerSource | undefined;
  /** Whether its copy is as good as what the leader knows. */
  isFresh(): boolean;
  /** Waits until its copy shows at least so much. @returns false if it does not within the time */
  reaches(place: LedgerPlace, withinMs: number): Promise<boolean>;
}

/** A refusal that the leader may know better. */
function mayLag(thrown: unknown): boolean {
  const { code } = asRefusal(thrown);
  return code === "NO_LEADER" || code.startsWith("UNKNOWN_");
}

export interface ReadRequestsParts {
  readonly bus: Bus;
  readonly subjects: ReturnType<typeof subjectsOf>;
  readonly plane: ControlPlane;
  /** Of this control plane. */
  readonly version: string;
  readonly knowledge: ApiKnowledge | undefined;
  /** Whether another coordinator leads, as far as this one knows. */
  readonly someoneElseLeads: () => boolean;
}

/**
 * Answers reads, on any coordinator:
 *
 * - The leader answers from what it knows, a follower from its copy, if that is in step and shows at least what the
 *   client has seen already; it may take {@link catchUpMs} to get there.
 * - What a follower cannot answer so, or does not know, it asks of the leader.
 * - When no leader answers, the copy does all the same, and says how old it is.
 */
export class ReadRequests {
  readonly #parts: ReadRequestsParts;

  constructor(parts: ReadRequestsParts) {
    this.#parts = parts;
  }

  /** @throws RollcallError what the caller is to be refused with */
  async answer(name: EndpointName, message: BusMessage): Promise<void> {
    const { someoneElseLeads, version } = this.#parts;
    let request: unknown;
    try {
      request = parseRequest(name, message.data, version);
    } catch (thrown) {
      // What a newer client asks for a newer leader knows.
      if (!mayLag(thrown) || !someoneElseLeads() || !(await this.#passOn(name, message))) throw thrown;
      return;
    }
    if (someoneElseLeads() && !(await this.#isFreshFor(name, message))) {
      if (!(await this.#passOn(name, message))) await this.#respond(name, request, message);
      return;
    }
    try {
      await this.#respond(name, request, message);
    } catch (thrown) {
      if (!mayLag(thrown) || !someoneElseLeads() || !(await this.#passOn(name, message))) throw thrown;
    }
  }

  /** The same for a follower whose leader was asked too: it answers if it can do so as well as the leader. */
  async answerForLeader(name: EndpointName, message: BusMessage): Promise<void> {
    const { someoneElseLeads, version } = this.#parts;
    let request: unknown;
    try {
      request = parseRequest(name, message.data, version);
    } catch (thrown) {
      if (mayLag(thrown) && someoneElseLeads()) return;
      throw thrown;
    }
    if (someoneElseLeads() && !(await this.#isFreshFor(name, message))) return;
    try {
      await this.#respond(name, request, message);
    } catch (thrown) {
      if (!mayLag(thrown) || !someoneElseLeads()) throw thrown;
    }
  }

  async #respond(name: EndpointName, request: unknown, message: BusMessage): Promise<void> {
    const { plane, knowledge } = this.#parts;
    const answer = plane[name] as (request: unknown) => Promise<object>;
    const before = knowledge?.source();
    const reply = await answer(request);
    // A copy answers at once; what a leader answers is in the ledger by now.
    const source = before?.copy ? before : (knowledge?.source() ?? before);
    const copy = foundOut.has(name) ? null : source?.copy;
    respondWith(message, copy ? { ...reply, copy } : reply, sourceHeaders(source));
  }

  async #isFreshFor(name: EndpointName, message: BusMessage): Promise<boolean> {
    const { knowledge } = this.#parts;
    if (knowledge === undefined || foundOut.has(name)) return true;
    if (!knowledge.isFresh()) return false;
    const seen = placeIn(message.header(revisionHeader));
    return seen === undefined || (await knowledge.reaches(seen, catchUpMs));
  }

  /** The leader's answer, refusal or not, becomes this one's. @returns false if no leader answers */
  async #passOn(name: EndpointName, message: BusMessage): Promise<boolean> {
    const { bus, subjects } = this.#parts;
    const [resource = "", verb = ""] = name.split(".");
    let answer: BusMessage;
    try {
      answer = await bus.request(subjects.leader(resource, verb), message.data, { timeoutMs: passedOnMs });
    } catch {
      return false;
    }
    if (refusedAs(answer) === "NO_LEADER") return false;
    const revision = answer.header(revisionHeader);
    message.respond(answer.data, {
      ...errorHeadersOf(answer),
      ...(revision === undefined ? {} : { [revisionHeader]: revision }),
    });
    return true;
  }
}
