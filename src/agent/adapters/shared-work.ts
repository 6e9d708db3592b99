import { refusal } from "../../contracts/errors.js";
import { orCancelled, throwIfCancelled } from "./cancelling.js";

/** One who waits for a piece of shared work. */
export interface Waiter {
  readonly signal: AbortSignal;
  progress(percent: number, note: string): void;
}

interface Job {
  readonly ended: Promise<void>;
  readonly abort: AbortController;
  readonly waiters: Set<Waiter>;
}

/** Work that several want at the same time is done once; it is cancelled when none of them wants it any more. */
export class SharedWork {
  readonly #jobs = new Map<string, Job>();

  /** True while work of that key runs. */
  isRunning(key: string): boolean {
    return this.#jobs.has(key);
  }

  /** Joins the work of that key, or starts it. @throws RollcallError `CANCELLED`, and whatever the work throws */
  async run(key: string, waiter: Waiter, work: (shared: Waiter) => Promise<void>): Promise<void> {
    for (;;) {
      throwIfCancelled(waiter.signal);
      const job = this.#jobs.get(key);
      if (job === undefined) return this.#wait(this.#start(key, work), waiter);
      if (!job.abort.signal.aborted) return this.#wait(job, waiter);
      // It is being cancelled for those who left: begin anew after it.
      await orCancelled(
        job.ended.catch(() => undefined),
        waiter.signal,
      );
    }
  }

  #start(key: string, work: (shared: Waiter) => Promise<void>): Job {
    const abort = new AbortController();
    const waiters = new Set<Waiter>();
    const shared: Waiter = {
      signal: abort.signal,
      progress(percent, note) {
        for (const waiter of waiters) waiter.progress(percent, note);
      },
    };
    const ended = work(shared).finally(() => this.#jobs.delete(key));
    ended.catch(() => undefined);
    const job = { ended, abort, waiters };
    this.#jobs.set(key, job);
    return job;
  }

  async #wait(job: Job, waiter: Waiter): Promise<void> {
    job.waiters.add(waiter);
    try {
      await orCancelled(job.ended, waiter.signal);
    } finally {
      job.waiters.delete(waiter);
      if (waiter.signal.aborted && job.waiters.size === 0) await this.#cancel(job);
    }
  }

  /** Waits for the end, so that nothing of the work goes on after its last waiter was told that it is cancelled. */
  async #cancel(job: Job): Promise<void> {
    job.abort.abort();
    try {
      await job.ended;
    } catch (thrown) {
      throw refusal("CANCELLED", {}, thrown);
    }
  }
}
