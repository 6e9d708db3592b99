import type { Retry } from "../base/errors.js";

/** What a code means to whoever reads it. */
export interface Meaning {
  readonly retry: Retry;
  /** The HTTP status that fits, also sent as `Nats-Service-Error-Code`. */
  readonly status: number;
  /** The sentence with the next step; `{name}` is filled in from the details. */
  readonly sentence: string;
}
