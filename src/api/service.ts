import { assert } from "../base/assert.js";
import type { RollcallError } from "../base/errors.js";
import type { Bus, BusMessage, Clock, Log, Subscription } from "../base/ports.js";
import { requestHeader } from "../contracts/answer-source.js";
import { type ControlPlane, type EndpointName, endpoints } from "../contracts/api.js";
import { refusal } from "../contracts/errors.js";
import { idPattern } from "../contracts/names.js";
import { currentFormats, type FormatRanges, rangesOf } from "../contracts/record-formats.js";
import { jsonSchemasOf } from "../contracts/schemas-json.js";
import { subjectsOf } from "../contracts/subjects.js";
import { doesNotAnswer } from "../contracts/views.js";
import { AnsweredOnce } from "./answered-once.js";
import { CoordinatorsSeen } from "./coordinators-seen.js";
import { type ServedEndpoint, serveDiscovery } from "./discovery.js";
import { EndpointStats } from "./endpoint-stats.js";
import type { CoordinatorMetadata } from "./find-coordinators.js";
import { asRefusal, problemAnswer } from "./problem-answer.js";
import { type ApiKnowledge, ReadRequests } from "./read-requests.js";
import { parseRequest } from "./request.js";
import { respondWith } from "./respond.js";
import { sourceHeaders } from "./source-headers.js";

/** Requests that may be under way at once; one more is refused. */
const underWayMax = 1_000;
/** How long a request that no leader seems to answer is left to others before it is refused. */
const othersFirstMs = 250;
/** Reads are answered by one of these, whichever coordinator it is. */
const readQueue = "q";
/** How long a follower leaves a read that went to all of them to the leader. */
const leaderFirstMs = 150;
/** Of an id of a request. */
const requestIdMax = 64;
/** The pattern that semver.org gives, without the capturing groups. */
const semanticVersion =
  /^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;

/** What a coordinator knows of the leadership of its fleet. */
export interface ApiRole {
  readonly leading: boolean;
  /** Of the leadership that it knows, 0 if none. */
  readonly epoch: number;
  /** Who leads, itself included, as far as it knows; `null` if nobody does. */
  readonly leader: string | null;
  /** What is wrong with it, for people; `null` or left out if nothing is. */
  readonly problem?: string | null;
  /** Its exact role, since when it has it (epoch milliseconds) and how it is doing, for people. */
  readonly state?: { readonly role: string; readonly sinceMs: number; readonly doing: string };
}

export interface ApiOptions {
  readonly bus: Bus;
  readonly fleet: string;
  readonly plane: ControlPlane;
  /** This coordinator's name: the service's id. */
  readonly node: string;
  /** The host that it runs on, for people. Default: `?`. */
  readonly host?: string;
  /** Of Rollcall, a SemVer string. */
  readonly version: string;
  /** What it reads, for the others. Default: what this version does. */
  readonly formats?: FormatRanges;
  /** Asked at every request. */
  readonly role: () => ApiRole;
  /** What its answers to reads are made from. Default: what the plane answers is as good as the leader's. */
  readonly knowledge?: ApiKnowledge;
  /** Which coordinators there are. Default: those that have answered while a list was made. */
  readonly coordinators?: CoordinatorsSeen;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Serves a control plane by request/reply, findable by the NATS service protocol.
 *
 * - Reads are answered by one member of a queue group, whoever leads: see {@link ReadRequests}. A member that sleeps holds what it
 *   was given, so a client that hears nothing for a moment sends the read to all of them: the leader answers at once and,
 *   should that be the one that sleeps, the followers after {@link leaderFirstMs}. (Without a queue group every read
 *   would cost every coordinator; with it alone a client would lose a part of them for as long as one sleeps.)
 * - Writes reach every coordinator and only the leader answers. A follower stays silent, unless it
 *   knows of no leader for {@link othersFirstMs}: then it says `NO_LEADER`, and nothing was carried out. One that is sent
 *   again under the same id is carried out once.
 * - A refusal carries `Nats-Service-Error` and `Nats-Service-Error-Code`, and a JSON body.
 * - Nothing that arrives can stop it.
 *
 * @returns unsubscribe: stop answering; requests under way still get their answers
 */
export function serveApi(options: ApiOptions): Subscription {
  assert(semanticVersion.test(options.version), `${options.version} is a SemVer version`);
  assert(idPattern.test(options.node), `${options.node} is a name`);
  return new Service(options).start();
}

class Service {
  readonly #options: ApiOptions;
  readonly #plane: ControlPlane;
  readonly #startedAtMs: number;
  readonly #subjects: ReturnType<typeof subjectsOf>;
  readonly #reads: ReadRequests;
  readonly #once = new AnsweredOnce();
  #underWay = 0;

  constructor(options: ApiOptions) {
    this.#options = options;
    this.#plane = listingAll(options.plane, options.coordinators ?? new CoordinatorsSeen(options));
    this.#startedAtMs = options.clock.nowMs();
    this.#subjects = subjectsOf(options.fleet);
    this.#reads = new ReadRequests({
      bus: options.bus,
      subjects: this.#subjects,
      plane: this.#plane,
      version: options.version,
      knowledge: options.knowledge,
      someoneElseLeads: () => this.#someoneElseLeads(),
    });
  }

  start(): Subscription {
    const { bus, node, version } = this.#options;
    const names = Object.keys(endpoints) as EndpointName[];
    const served = names.map((name) => ({ name, stats: new EndpointStats() }));
    const subscriptions = [
      ...served.flatMap(({ name, stats }) => this.#serve(name, stats)),
      this.#refuseUnknown(
        new Set(names.flatMap((name) => [this.#subjectOf(name), this.#anySubjectOf(name)])),
      ),
      serveDiscovery(bus, {
        id: node,
        version,
        startedAtMs: this.#startedAtMs,
        metadata: () => this.#metadata(),
        endpoints: served.map(({ name, stats }) => this.#described(name, stats)),
      }),
    ];
    return { unsubscribe: () => subscriptions.forEach((subscription) => void subscription.unsubscribe()) };
  }

  #serve(name: EndpointName, stats: EndpointStats): Subscription[] {
    const { bus } = this.#options;
    if (endpoints[name].kind === "write") {
      const write = (message: BusMessage) => this.#write(name, message);
      return [bus.subscribe(this.#subjectOf(name), this.#byLeader(stats, write))];
    }
    const read = (message: BusMessage) => this.#reads.answer(name, message);
    return [
      bus.subscribe(this.#subjectOf(name), (message) => this.#answer(stats, message, read), {
        queue: readQueue,
      }),
      bus.subscribe(this.#anySubjectOf(name), (message) => {
        if (this.#options.role().leading) this.#answer(stats, message, read);
        else this.#later(leaderFirstMs, () => this.#answerForLeader(name, stats, message));
      }),
      bus.subscribe(this.#passedOnSubjectOf(name), this.#byLeader(stats, read)),
    ];
  }

  /** Only the leader does it; the others are silent, unless they know of none. */
  #byLeader(stats: EndpointStats, reply: (message: BusMessage) => Promise<void>) {
    return (message: BusMessage) => {
      if (this.#options.role().leading) this.#answer(stats, message, reply);
      else this.#refuseUnlessLed(stats, message);
    };
  }

  #answerForLeader(name: EndpointName, stats: EndpointStats, message: BusMessage): void {
    this.#answer(stats, message, () => this.#reads.answerForLeader(name, message));
  }

  #answer(stats: EndpointStats, message: BusMessage, reply: (message: BusMessage) => Promise<void>): void {
    if (message.expectsReply) void this.#carryOut(stats, message, reply);
  }

  async #carryOut(
    stats: EndpointStats,
    message: BusMessage,
    reply: (message: BusMessage) => Promise<void>,
  ): Promise<void> {
    const startedMs = this.#options.clock.monotonicMs();
    const tookMs = () => this.#options.clock.monotonicMs() - startedMs;
    this.#underWay++;
    try {
      if (this.#underWay > underWayMax) throw refusal("TOO_BUSY", { max: underWayMax });
      await reply(message);
      stats.answered(tookMs());
    } catch (thrown) {
      const problem = asRefusal(thrown);
      stats.refused(tookMs(), problem);
      this.#refuse(message, problem);
    } finally {
      this.#underWay--;
    }
  }

  async #write<E extends EndpointName>(name: E, message: BusMessage): Promise<void> {
    const request = parseRequest(name, message.data, this.#options.version);
    const id = message.header(requestHeader)?.slice(0, requestIdMax);
    const reply = await this.#once.do(id && `${name} ${id}`, () => this.#plane[name](request));
    respondWith(message, reply, sourceHeaders(this.#options.knowledge?.source()));
  }

  #someoneElseLeads(): boolean {
    const { leading, leader } = this.#options.role();
    return !leading && leader !== null && leader !== this.#options.node;
  }

  /** A follower's part in a write: silence while somebody else leads. One that holds the lease and still loads has no other. */
  #refuseUnlessLed(stats: EndpointStats, message: BusMessage): void {
    if (!message.expectsReply || this.#someoneElseLeads()) return;
    this.#later(othersFirstMs, () => {
      // Also said when this one leads by now: another follower may be saying the same.
      if (this.#someoneElseLeads()) return;
      const problem = refusal("NO_LEADER", { fleet: this.#options.fleet });
      stats.refused(0, problem);
      this.#refuse(message, problem);
    });
  }

  /** Only the leader tells a caller that there is no such endpoint, after a newer coordinator had time to answer. */
  #refuseUnknown(known: ReadonlySet<string>): Subscription {
    return this.#options.bus.subscribe(`${this.#subjects.root}.api.>`, (message) => {
      if (!message.expectsReply || known.has(message.subject) || !this.#options.role().leading) return;
      const endpoint = message.subject.slice(`${this.#subjects.root}.api.`.length);
      const problem = refusal("UNKNOWN_ENDPOINT", { endpoint, version: this.#options.version });
      this.#later(othersFirstMs, () => this.#refuse(message, problem));
    });
  }

  /** Leaves others the time to answer first. Past the bound nothing is said: the caller runs into its time limit. */
  #later(delayMs: number, say: () => void): void {
    if (this.#underWay >= underWayMax) return;
    this.#underWay++;
    this.#options.clock.setTimer(delayMs, () => {
      this.#underWay--;
      say();
    });
  }

  #refuse(message: BusMessage, problem: RollcallError): void {
    const { log } = this.#options;
    if (problem.code === "INTERNAL")
      log.error({ subject: message.subject, error: problem.cause ?? problem }, problem.message);
    const { body, headers } = problemAnswer(problem);
    try {
      message.respond(body, { ...headers, ...sourceHeaders(this.#options.knowledge?.source()) });
    } catch (thrown) {
      log.warn(
        { subject: message.subject, error: thrown, refusal: problem.code },
        "a refusal could not be sent",
      );
    }
  }

  #subjectOf(name: EndpointName): string {
    const [resource = "", verb = ""] = name.split(".");
    return this.#subjects.api(resource, verb);
  }

  #anySubjectOf(name: EndpointName): string {
    const [resource = "", verb = ""] = name.split(".");
    return this.#subjects.apiOfAny(resource, verb);
  }

  /** Coordinators only; no client of the API may send to it. */
  #passedOnSubjectOf(name: EndpointName): string {
    const [resource = "", verb = ""] = name.split(".");
    return this.#subjects.leader(resource, verb);
  }

  #metadata() {
    const { fleet, role, host = "?", formats = rangesOf(currentFormats) } = this.#options;
    const { leading, epoch, problem, state } = role();
    const {
      role: exactly = leading ? "leading" : "following",
      sinceMs = this.#startedAtMs,
      doing = "",
    } = state ?? {};
    return {
      fleet,
      role: leading ? "leading" : "following",
      epoch: String(epoch),
      host,
      started: String(this.#startedAtMs),
      formats: JSON.stringify(formats),
      problem: problem ?? "",
      state: exactly,
      since: String(sinceMs),
      doing,
    } satisfies CoordinatorMetadata;
  }

  #described(name: EndpointName, stats: EndpointStats): ServedEndpoint {
    const { kind, summary } = endpoints[name];
    return {
      name: name.replace(".", "-"),
      subject: this.#subjectOf(name),
      queueGroup: kind === "read" ? readQueue : "",
      get metadata() {
        const schemas = jsonSchemasOf(name);
        return { summary, kind, schema_request: schemas.request, schema_response: schemas.reply };
      },
      numbers: () => stats.numbers(),
    };
  }
}

/** The same plane, whose list of coordinators holds not only the one that was asked. */
function listingAll(plane: ControlPlane, coordinators: CoordinatorsSeen): ControlPlane {
  return {
    ...plane,
    "coordinators.list": async (request) => {
      const [reply, seen] = await Promise.all([plane["coordinators.list"](request), coordinators.list()]);
      const others = new Map(seen.map((one) => [one.id, one]));
      // The one that was asked knows itself best, and of the one that leads only what the lease says.
      const known = reply.items.map((one) => {
        const other = one.doing === doesNotAnswer ? others.get(one.id) : undefined;
        others.delete(one.id);
        if (other === undefined) return one;
        const { epoch, sinceMs, renewedAtMs } = one;
        const role = other.doing.startsWith(doesNotAnswer) ? one.role : other.role;
        return { ...other, role, epoch, sinceMs, renewedAtMs };
      });
      const items = [...known, ...others.values()].sort((one, other) => (one.id < other.id ? -1 : 1));
      return { ...reply, items };
    },
  };
}
