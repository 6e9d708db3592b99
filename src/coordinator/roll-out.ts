import type { SnapshotFrom } from "xstate";
import type { deploymentMachine } from "../../machines/deployment.js";
import type { Timer } from "../base/ports.js";
import type { DeploymentRecord } from "../contracts/deployment.js";
import type { Actor } from "../runtime/actor.js";

export type DeploymentSnapshot = SnapshotFrom<typeof deploymentMachine>;
/** What views are made from, of an actor or of a copy. */
export type DeploymentState = Pick<DeploymentSnapshot, "value" | "context">;
export type DeploymentActor = Actor<typeof deploymentMachine>;

interface Waiter {
  readonly holds: (snapshot: DeploymentSnapshot) => boolean;
  readonly done: (snapshot: DeploymentSnapshot) => void;
  readonly failed: (error: unknown) => void;
}

/** A deployment that is not over: its actor, and what goes with it. */
export class RollOut {
  readonly waiters = new Set<Waiter>();
  /** The newest save of its record, or the first that failed. */
  saved: Promise<void> = Promise.resolve();
  /** The record that was given to the writer last. */
  written: DeploymentRecord | undefined;
  /** Asked for by its machine: to be observed again then. */
  wake: Timer | undefined;
  readonly #spawn: (rollOut: RollOut) => DeploymentActor;
  #actor: DeploymentActor | undefined;

  constructor(spawn: (rollOut: RollOut) => DeploymentActor) {
    this.#spawn = spawn;
  }

  get actor(): DeploymentActor {
    this.#actor ??= this.#spawn(this);
    return this.#actor;
  }
}
