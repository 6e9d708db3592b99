/** Something that was done on a host. */
export interface Effect {
  readonly atMs: number;
  readonly instance: string;
  readonly what: "start" | "stop" | "activate";
  readonly release: string | null;
  /** Of the desired state that it was done for; 0 if that is not known. */
  readonly generation: number;
  /** On which a process that starts or stops listens. */
  readonly port: number | null;
  /** The connection of the agent that did it. */
  readonly by: string;
}
