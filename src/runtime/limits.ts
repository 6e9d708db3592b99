/** The bounds of an actor host. */
export interface HostLimits {
  readonly actorsMax: number;
  /** Events that an actor handles before it is another's turn. */
  readonly eventsPerActorMax: number;
  /** Events of all actors before the host lets timers, messages and files have their turn. */
  readonly eventsPerTurnMax: number;
  /** Time after which a turn ends early. */
  readonly turnMs: number;
  /** Saves of one actor that may be under way; at that number it handles nothing more until one resolved. */
  readonly savesUnderWayMax: number;
  /** Delayed events that one actor may have armed; one more is an error of its machine. */
  readonly timersPerActorMax: number;
  readonly deadLettersKeptMax: number;
  /** Actors of this host that may be watched over the bus at one time. */
  readonly watchedMax: number;
  /** Inspection events sent over the bus in one second; further ones are counted and dropped. */
  readonly inspectPerSecondMax: number;
  /** Length of an answer about an actor's state, and of an inspection event; what is longer goes without its context. */
  readonly stateBytesMax: number;
}

export const defaultLimits: HostLimits = {
  actorsMax: 1_000_000,
  eventsPerActorMax: 32,
  eventsPerTurnMax: 1_024,
  turnMs: 5,
  savesUnderWayMax: 64,
  timersPerActorMax: 1_000,
  deadLettersKeptMax: 100,
  watchedMax: 100,
  inspectPerSecondMax: 500,
  stateBytesMax: 65_536,
};
