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
  stop(): void;
}

/** What of an actor must survive, and where it goes. */
export interface Durable<M extends AnyStateMachine> {
  /** The record of a state, plain JSON; equal JSON texts are saved once. */
  recordOf(snapshot: SnapshotFrom<M>): unknown;
  /**
   * Makes the record durable together with whatever of the commands is itself a durable write; called in
   * the order of the transitions, the next while earlier ones are still under way. The commands are
   * performed after it resolved: what the world sees is never ahead of what would survive.
   */
  save(record: unknown, commands: readonly EmittedFrom<M>[]): Promise<void>;
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
  /** The state to restart from: by default the last record or, without one, the input. */
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
  /** Called after each handled event, to keep derived views; must be cheap. */
  onTransition?(snapshot: SnapshotFrom<M>, self: Actor<M>): void;
}

/** A machine's state from elsewhere: its value and context, and the delayed transitions that were armed. */
export interface RestoredState<M extends AnyStateMachine> {
  readonly value: SnapshotFrom<M>["value"];
  readonly context: SnapshotFrom<M>["context"];
  readonly timers?: readonly ArmedTimer[];
}

/** A delayed transition that was armed, by the time that it is due on the host's clock. */
export interface ArmedTimer {
  readonly id: string;
  readonly event: { readonly type: string };
  readonly dueAtMs: number;
}

/** Counters of a host, for people and metrics. */
export interface HostStats {
  readonly actors: number;
  readonly queued: number;
  readonly handled: number;
  readonly deadLetters: number;
  readonly restarts: number;
  readonly givenUp: number;
  readonly failedCommands: number;
}

/** Runs actors: one XState root actor each, in fair turns. */
export interface ActorHost {
  spawn<M extends AnyStateMachine>(spec: ActorSpec<M>): Actor<M>;
  find(kind: string, id: string): Actor | undefined;
  list(kind?: string): Iterable<Actor>;
  /** Puts an event into the mailbox of an actor that may not exist; false and a dead letter if it does not. */
  send(kind: string, id: string, event: { readonly type: string }): boolean;
  readonly stats: HostStats;
  /** The newest dead letters, for people. */
  deadLetters(): readonly { kind: string; id: string; eventType: string; why: string }[];
  /** Resolves when no event is queued and no save is under way. */
  idle(): Promise<void>;
  stop(): void;
}
