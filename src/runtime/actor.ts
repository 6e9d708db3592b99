import type { AnyStateMachine, EmittedFrom, EventFromLogic, InputFrom, SnapshotFrom } from "xstate";

/** A running actor, by an identity that outlives restarts of it and of its process. */
export interface Actor<M extends AnyStateMachine = AnyStateMachine> {
  readonly kind: string;
  readonly id: string;
  /** Puts an event into the mailbox; handled in a later turn. False if it was refused or dropped (and counted as a dead letter). */
  send(event: EventFromLogic<M>): boolean;
  /** The state after the last handled event. */
  snapshot(): SnapshotFrom<M>;
  /** False from the moment at which the newest record differs from what `save` has confirmed. */
  readonly saved: boolean;
  /**
   * Ends it now and takes it off its host. Events that wait, and commands whose save has not resolved, become
   * dead letters; saves under way go on.
   */
  stop(): void;
}

/** What of an actor must survive, and where it goes. */
export interface Durable<M extends AnyStateMachine> {
  /**
   * The record of a state, plain JSON that is not changed afterwards; equal JSON texts are saved once. `timers` are the delayed transitions
   * that are armed in it: a record that leaves them out begins them anew when it is restored.
   */
  recordOf(snapshot: SnapshotFrom<M>, timers: readonly ArmedTimer[]): unknown;
  /**
   * Makes the record durable together with whatever of the commands is itself a durable write; called in
   * the order of the transitions, the next while earlier ones are still under way. The commands are
   * performed after it resolved: what the world sees is never ahead of what would survive. Called for
   * each transition with a changed record or with commands.
   *
   * @param event what led to the transition; `undefined` for the start and for a restart in another state
   */
  save(
    record: unknown,
    commands: readonly EmittedFrom<M>[],
    event: EventFromLogic<M> | undefined,
  ): Promise<void>;
  /** A save that failed for good. The actor stops; its owner decides what to do. */
  onSaveFailed(error: unknown): void;
}

/** What to do with events that find the mailbox full. */
export interface MailboxRule {
  readonly max: number;
  readonly overflow: "dropOldest" | "refuse";
}

/** What to do when a machine's own code throws. */
export interface Supervision {
  /** Restarts allowed within the window; one more and the actor is given up. */
  readonly restartsMax: number;
  readonly withinMs: number;
  /** Wait before the first restart, doubled for each further one up to `backoffMaxMs`. */
  readonly backoffMs: number;
  readonly backoffMaxMs: number;
  /**
   * The state to restart from. By default, and when it returns `undefined`, the last good one: as it was before
   * the event that failed, which is dropped as a dead letter (a delayed event is not dropped but tried again).
   */
  restoreFrom?(): RestoredState | undefined;
  /** The actor is given up: it is stopped and gone, and what waited for it is dead letters. */
  onGiveUp(error: unknown): void;
}

export interface ActorSpec<M extends AnyStateMachine> {
  readonly kind: string;
  readonly id: string;
  readonly machine: M;
  readonly input?: InputFrom<M>;
  /** Starts from a state instead of the beginning; entry actions are not run again. */
  readonly restored?: RestoredState<M>;
  /** Does one command that the machine emitted; its outcome comes back as an event. Thrown errors are logged and counted. */
  perform(command: EmittedFrom<M>, self: Actor<M>): void;
  readonly durable?: Durable<M>;
  readonly mailbox?: MailboxRule;
  readonly supervision?: Partial<Supervision>;
  /** Its turn comes before those of all others that wait. For the one whose delay would cost all of them, such as the holder of a lease. */
  readonly urgent?: boolean;
  /** Called after each handled event, to keep derived views; must be cheap. `event` is left out for a restart in another state. */
  onTransition?(snapshot: SnapshotFrom<M>, self: Actor<M>, event?: EventFromLogic<M>): void;
  /** What of the context anybody on the bus may see; nothing of it by default. */
  publicView?(snapshot: SnapshotFrom<M>): Readonly<Record<string, unknown>>;
}

/** A machine's state from elsewhere: its value and context, and the delayed transitions that were armed. */
export interface RestoredState<M extends AnyStateMachine = AnyStateMachine> {
  readonly value: SnapshotFrom<M>["value"];
  readonly context: SnapshotFrom<M>["context"];
  /** What the machine's history states remember: ids of states, by the id of the history state. */
  readonly history?: Readonly<Record<string, readonly string[]>>;
  /** Left out: the delayed transitions of the state begin anew, with their whole delays. */
  readonly timers?: readonly ArmedTimer[];
}

/** A delayed transition that was armed, by the time that it is due on the host's clock. */
export interface ArmedTimer {
  readonly id: string;
  readonly event: { readonly type: string };
  readonly dueAtMs: number;
}

/**
 * Why something was not delivered or not done: `unknownActor` nobody has that identity; `notAnEvent` no
 * event of a machine; `mailboxFull`; `failed` the machine threw while handling it; `final` the machine is in
 * a final state; `stopped` the actor was stopped or given up before it; `notPerformed` a command whose
 * actor stopped before its save resolved.
 */
export type DeadLetterReason =
  | "unknownActor"
  | "notAnEvent"
  | "mailboxFull"
  | "failed"
  | "final"
  | "stopped"
  | "notPerformed";

/** An event (or command) that came to nothing. */
export interface DeadLetter {
  readonly kind: string;
  readonly id: string;
  readonly eventType: string;
  readonly why: DeadLetterReason;
}

/** Counters of a host, for people and metrics. */
export interface HostStats {
  readonly actors: number;
  readonly queued: number;
  readonly handled: number;
  readonly deadLetters: number;
  readonly deadLettersBy: Readonly<Record<DeadLetterReason, number>>;
  readonly restarts: number;
  readonly givenUp: number;
  readonly failedCommands: number;
}

/** Runs actors: one XState root actor each, in fair turns. */
export interface ActorHost {
  /**
   * Starts an actor. Its first commands are performed in a later turn.
   * @throws Error when the identity is taken, the machine cannot start or has children, or the restored state does not exist in it
   */
  spawn<M extends AnyStateMachine>(spec: ActorSpec<M>): Actor<M>;
  find(kind: string, id: string): Actor | undefined;
  list(kind?: string): Iterable<Actor>;
  /** Puts an event into the mailbox of an actor that may not exist; false and a dead letter if it does not. */
  send(kind: string, id: string, event: { readonly type: string }): boolean;
  readonly stats: HostStats;
  /** The newest dead letters, for people. */
  deadLetters(): readonly DeadLetter[];
  /** Resolves when no event is queued (also none for an actor that waits for its restart) and no save is under way. */
  idle(): Promise<void>;
  stop(): void;
}
