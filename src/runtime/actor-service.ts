import { z } from "zod";
import type { RollcallError } from "../base/errors.js";
import type { Bus, BusMessage, Clock, Subscription } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { boundedJson } from "./bounded-json.js";
import type { HostedActor } from "./hosted-actor.js";
import type { Inspection } from "./inspection.js";
import type { HostLimits } from "./limits.js";
import { type ActorSubjects, Watches } from "./watches.js";

export interface ActorServiceOptions {
  readonly node: string;
  /** Minted with the host: the numbers of its events compare only within one. */
  readonly incarnation: string;
  readonly clock: Clock;
  readonly bus: Bus;
  readonly subjects: ActorSubjects;
  /** Kinds and ids of the actors to answer for, `*` for any. */
  readonly answersFor: readonly ActorPattern[];
  readonly limits: HostLimits;
  readonly inspection: Inspection;
  find(kind: string, id: string): HostedActor | undefined;
}

/** Which actors a host answers for; `*` stands for any kind or id. */
export interface ActorPattern {
  readonly kind: string;
  readonly id: string;
}

/** Nothing, or also to be told of the actor's events for so long. */
const stateRequest = z.strictObject({ watchMs: z.int().min(0).max(60_000).optional() });

/** Timers in an answer; an actor may have more. */
const timersShownMax = 20;

/**
 * Answers for the actors of a host over the bus, by one subscription for all of them or, where a host may hear
 * less, by one for each pattern. A request for an
 * actor that is not here is left to other hosts: the asker's timeout tells it that nobody has it.
 */
export class ActorService {
  readonly #options: ActorServiceOptions;
  readonly #pattern: readonly string[];
  readonly #subscriptions: readonly Subscription[];
  readonly #watches: Watches;

  constructor(options: ActorServiceOptions) {
    const { subjects, bus, answersFor } = options;
    this.#options = options;
    this.#pattern = subjects.actorState("*", "*").split(".");
    this.#watches = new Watches(options);
    this.#subscriptions = answersFor.map(({ kind, id }) =>
      bus.subscribe(subjects.actorState(kind, id), (message) => this.#answer(message)),
    );
  }

  stop(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#watches.stop();
  }

  #answer(message: BusMessage): void {
    if (!message.expectsReply) return;
    const actor = this.#actorOf(message.subject);
    if (actor === undefined) return;
    const request = requestOf(message.data);
    message.respond(request === undefined ? badRequest : this.#stateOf(actor, request));
  }

  #stateOf(actor: HostedActor, { watchMs }: z.infer<typeof stateRequest>): string {
    const { node, incarnation, clock, limits } = this.#options;
    const { kind, id, phase, queued, saved } = actor;
    const { machine, value } = actor.snapshot();
    const timers = actor
      .timers()
      .slice(0, timersShownMax)
      .map((timer) => ({ id: timer.id, dueAtMs: timer.dueAtMs }));
    const watch = watchMs === undefined ? undefined : this.#watches.watch(kind, id, watchMs);
    return boundedJson(
      {
        kind,
        id,
        node,
        incarnation,
        at: clock.nowMs(),
        machine: machine.id,
        phase,
        value,
        queued,
        saved,
        timers,
        watch,
      },
      actor.viewOf(actor.snapshot()),
      limits.stateBytesMax,
    );
  }

  #actorOf(subject: string): HostedActor | undefined {
    const named = subject.split(".").filter((_, at) => this.#pattern[at] === "*");
    const [kind, id] = named.map(nameOf);
    if (kind === undefined || id === undefined) return undefined;
    return this.#options.subjects.actorState(kind, id) === subject ? this.#options.find(kind, id) : undefined;
  }
}

/** The name that a token stands for, if the token is one: `contracts/names.ts` escapes by `=` and two hexadecimal digits. */
function nameOf(token: string): string | undefined {
  try {
    return decodeURIComponent(token.replaceAll("=", "%"));
  } catch {
    return undefined;
  }
}

function requestOf(data: Uint8Array): z.infer<typeof stateRequest> | undefined {
  if (data.length === 0) return {};
  try {
    return stateRequest.safeParse(JSON.parse(new TextDecoder().decode(data))).data;
  } catch {
    return undefined;
  }
}

const badRequest = JSON.stringify({
  error: plain(refusal("BAD_REQUEST", { problem: "send nothing, or {watchMs} from 0 to 60000" })),
});

function plain({ code, message, retry }: RollcallError): object {
  return { code, message, retry };
}
