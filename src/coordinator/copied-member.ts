import { type MemberContext, type MemberEvent, memberKnownAs } from "../../machines/member.js";
import type { InstanceRecord } from "../contracts/deployment.js";
import type { HeardMember } from "./intake.js";
import type { MemberState } from "./members.js";

/** What a follower knows of an instance: the leader's record of it, and what it has heard itself. No actor: it decides nothing. */
export class CopiedMember implements HeardMember {
  readonly #onChange: (member: CopiedMember, wasKnown: boolean) => void;
  #context: MemberContext;
  #state: MemberState | undefined;
  /** Of its record, in the ledger. */
  revision: number;
  /** Its newest report was about a state that it did not carry. */
  #isOutdated = false;

  constructor(
    record: InstanceRecord,
    revision: number,
    onChange: (member: CopiedMember, wasKnown: boolean) => void,
  ) {
    this.#context = { record, seen: null, silent: false, stranger: null };
    this.revision = revision;
    this.#onChange = onChange;
  }

  get context(): MemberContext {
    return this.#context;
  }

  get id(): string {
    return this.#context.record.id;
  }

  /** It is silent, or its state is the newest. */
  get isKnown(): boolean {
    return this.#context.silent || (this.#context.seen !== null && !this.#isOutdated);
  }

  snapshot(): MemberState {
    this.#state ??= memberKnownAs(this.#context);
    return this.#state;
  }

  /** The leader has written its record anew. What another agent said before is about another one. */
  write(record: InstanceRecord, revision: number): void {
    this.revision = revision;
    const moved = record.agent !== this.#context.record.agent;
    this.#change(moved ? { record, seen: null, stranger: null } : { record });
  }

  /** Takes what was heard; what the leader decides comes by its record. */
  send(event: MemberEvent): boolean {
    if (event.type === "report") this.#change({ seen: event.sighting, silent: false }, false);
    else if (event.type === "silent") this.#change({ silent: true });
    else if (event.type === "stranger") this.#change({ stranger: event.agent });
    return true;
  }

  /** It has changed, and did not say to what. */
  outdate(): void {
    if (!this.#isOutdated) this.#change({}, true);
  }

  #change(change: Partial<MemberContext>, isOutdated = this.#isOutdated): void {
    const wasKnown = this.isKnown;
    this.#isOutdated = isOutdated;
    this.#context = { ...this.#context, ...change };
    this.#state = undefined;
    this.#onChange(this, wasKnown);
  }
}
