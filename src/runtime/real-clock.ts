import { assert } from "../base/assert.js";
import type { Clock, Timer } from "../base/ports.js";

/** The longest delay that `setTimeout` takes; beyond it, it would fire at once. */
const timeoutMaxMs = 2 ** 31 - 1;

/** The clock of the machine. */
export function createRealClock(): Clock {
  return { nowMs: () => Date.now(), monotonicMs: () => performance.now(), setTimer };
}

function setTimer(delayMs: number, fire: () => void): Timer {
  assert(Number.isFinite(delayMs), "the delay of a timer is a number of milliseconds");
  if (delayMs <= 0) {
    const immediate = setImmediate(fire);
    return { cancel: () => clearImmediate(immediate) };
  }
  let timeout = setTimeout(fireOrGoOn, Math.min(delayMs, timeoutMaxMs));
  let restMs = delayMs - timeoutMaxMs;
  function fireOrGoOn(): void {
    if (restMs <= 0) {
      fire();
      return;
    }
    timeout = setTimeout(fireOrGoOn, Math.min(restMs, timeoutMaxMs));
    restMs -= timeoutMaxMs;
  }
  return { cancel: () => clearTimeout(timeout) };
}
