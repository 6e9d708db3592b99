import type { RollcallError } from "../base/errors.js";
import { statusOf } from "../contracts/errors.js";

const lastErrorCharactersMax = 512;
const nanosPerMs = 1_000_000;

/** What `$SRV.STATS` says of one endpoint, in the words of ADR-32; times in nanoseconds. */
export interface EndpointNumbers {
  readonly num_requests: number;
  readonly num_errors: number;
  readonly last_error?: string;
  readonly processing_time: number;
  readonly average_processing_time: number;
}

/** Counts the requests of one endpoint that this process answered. */
export class EndpointStats {
  #requests = 0;
  #errors = 0;
  #lastError: string | undefined;
  #processingMs = 0;

  answered(tookMs: number): void {
    this.#requests++;
    this.#processingMs += tookMs;
  }

  refused(tookMs: number, problem: RollcallError): void {
    this.answered(tookMs);
    this.#errors++;
    this.#lastError = `${statusOf(problem.code)}:${problem.message}`.slice(0, lastErrorCharactersMax);
  }

  numbers(): EndpointNumbers {
    const processingNanos = Math.round(this.#processingMs * nanosPerMs);
    return {
      num_requests: this.#requests,
      num_errors: this.#errors,
      ...(this.#lastError !== undefined && { last_error: this.#lastError }),
      processing_time: processingNanos,
      average_processing_time: this.#requests === 0 ? 0 : Math.round(processingNanos / this.#requests),
    };
  }
}
