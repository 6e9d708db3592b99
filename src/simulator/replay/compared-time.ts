/** When two moments are the same for a replay. */

/** What a real control plane needs from one of its writes to the next, and a simulated one does not. */
const nearMs = 500;
/** The same where nothing happened in between that could have been waited for. */
const paceMs = 5_000;

/** A stretch of the log in which the time of a decision says nothing. */
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Compares times of the log with times of the replay. */
export class ComparedTime {
  readonly #windows: readonly Window[];
  readonly #inputs: readonly number[];

  /** @param inputsMs when something came from outside */
  constructor(windows: readonly Window[], inputsMs: Iterable<number>) {
    this.#windows = merged(windows);
    this.#inputs = [...inputsMs].map((atMs) => this.#shown(atMs));
  }

  /**
   * Half a second makes no difference; nor do five, if nothing came from outside in between; nor does what lies in one
   * window.
   */
  isSame(oneMs: number, otherMs: number): boolean {
    const [one, other] = [this.#shown(oneMs), this.#shown(otherMs)];
    const [low, high] = [Math.min(one, other), Math.max(one, other)];
    if (high - low <= nearMs) return true;
    return high - low <= paceMs && !this.#inputs.some((atMs) => atMs > low + 1 && atMs <= high);
  }

  /** Inputs of the last moment before this one, itself included. */
  inputsBefore(atMs: number): number {
    const shown = this.#shown(atMs);
    return this.#inputs.filter((input) => input <= shown + 1 && input >= shown - nearMs).length;
  }

  /** With windows taken out of time. */
  #shown(atMs: number): number {
    let shown = atMs;
    for (const { fromMs, toMs } of this.#windows) if (atMs > fromMs) shown -= Math.min(atMs, toMs) - fromMs;
    return shown;
  }
}

function merged(windows: readonly Window[]): Window[] {
  const apart: Window[] = [];
  for (const window of windows.toSorted((one, other) => one.fromMs - other.fromMs)) {
    const last = apart.at(-1);
    if (last !== undefined && window.fromMs <= last.toMs)
      apart[apart.length - 1] = { fromMs: last.fromMs, toMs: Math.max(last.toMs, window.toMs) };
    else apart.push(window);
  }
  return apart;
}
