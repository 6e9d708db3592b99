import type { Bus, Clock } from "../base/ports.js";

/** A bus that knows whether messages flow. */
export interface ConnectedBus extends Bus {
  /** Of the connection, where it has one. */
  readonly name?: string;
  readonly connected: boolean;
}

/** Waits until the bus is connected, `timeoutMs` at most. @returns whether it is */
export function untilConnected(bus: ConnectedBus, clock: Clock, timeoutMs: number): Promise<boolean> {
  if (bus.connected) return Promise.resolve(true);
  return new Promise((resolve) => {
    const end = () => {
      timer.cancel();
      statuses.unsubscribe();
      resolve(bus.connected);
    };
    const timer = clock.setTimer(timeoutMs, end);
    const statuses = bus.onStatus((status) => {
      if (status !== "disconnected") end();
    });
  });
}

/** Resolves when the bus is cut off or closed, so that nobody waits for an answer that cannot come. */
export function untilCutOff(bus: ConnectedBus): { readonly cut: Promise<void>; readonly stop: () => void } {
  let stop = () => {
    // Nothing to stop before the promise is made.
  };
  const cut = new Promise<void>((resolve) => {
    const statuses = bus.onStatus((status) => {
      if (status !== "reconnected") resolve();
    });
    stop = () => statuses.unsubscribe();
  });
  return { cut, stop };
}
