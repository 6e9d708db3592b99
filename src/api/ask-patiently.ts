import { RollcallError } from "../base/errors.js";
import type { Bus, BusMessage, Clock, Timer } from "../base/ports.js";

/** One sending of a request. */
export interface Sending {
  readonly subject: string;
  /** After the first one, milliseconds. */
  readonly afterMs: number;
}

/**
 * Sends a request, again while nobody answers, and takes the first answer. Who got one of the sendings may sleep, or have died
 * with it; the others are still waited for.
 *
 * @returns the answer, and how many sendings there were by then
 * @throws RollcallError `NO_RESPONDERS`, `REQUEST_TIMEOUT` if no sending was answered within `timeoutMs` of the first; what the bus
 *   refuses with
 */
export function askPatiently(
  { bus, clock }: { readonly bus: Bus; readonly clock: Clock },
  sendings: readonly Sending[],
  message: { readonly body: string; readonly headers: Readonly<Record<string, string>> },
  timeoutMs: number,
): Promise<{ readonly answer: BusMessage; readonly sent: number }> {
  return new Promise((resolve, reject) => {
    const timers: Timer[] = [];
    let waiting = sendings.length;
    let silence: unknown;
    const end = (say: () => void) => {
      for (const timer of timers) timer.cancel();
      say();
    };
    let sent = 0;
    const send = ({ subject, afterMs }: Sending) => {
      sent++;
      return bus
        .request(subject, message.body, { timeoutMs: timeoutMs - afterMs, headers: message.headers })
        .then(
          (answer) => end(() => resolve({ answer, sent })),
          (thrown: unknown) => {
            if (!isSilence(thrown, afterMs > 0)) end(() => reject(thrown));
            else if (--waiting === 0) end(() => reject(silence ?? thrown));
            else if (afterMs === 0) silence = thrown;
          },
        );
    };
    for (const sending of sendings) {
      if (sending.afterMs === 0) void send(sending);
      else timers.push(clock.setTimer(sending.afterMs, () => void send(sending)));
    }
  });
}

/** A later sending may go where nobody listens: an older coordinator does not. */
function isSilence(thrown: unknown, isLater: boolean): boolean {
  if (!(thrown instanceof RollcallError)) return false;
  return thrown.code === "REQUEST_TIMEOUT" || (isLater && thrown.code === "NO_RESPONDERS");
}
