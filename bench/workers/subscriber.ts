import { connect } from "@nats-io/transport-node";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { cpuMsSince, creditSubject, Meter, type Metered } from "../kit/meter.js";
import type { NatsAccess } from "../kit/nats.js";
import type { Calls } from "../kit/processes.js";
import { type MemoryUse, memoryUse } from "../kit/usage.js";

/** The bare figure: the NATS client alone, which parses the JSON of each message. */
export interface SubscriberCalls extends Calls {
  start(options: { access: NatsAccess; fleet: string }): Promise<void>;
  /** Resolves with what the next so many messages cost. */
  measure(count: number): Promise<Metered>;
  /** Processor time used in the next so many seconds. */
  usage(seconds: number): Promise<{ cpuMs: number; wallMs: number }>;
  memory(nothing: null): Promise<MemoryUse>;
}

export function createSubscriberCalls(): SubscriberCalls {
  let meter: Meter | undefined;
  let parsed = 0;
  return {
    start: async ({ access, fleet }) => {
      const { url, user, password } = access;
      const connection = await connect({ servers: url, user, pass: password });
      const credit = creditSubject(fleet);
      const noted = new Meter(
        (taken) => connection.publish(credit, String(taken)),
        () => Promise.resolve(),
      );
      meter = noted;
      const decoder = new TextDecoder();
      connection.subscribe(subjectsOf(fleet).health("*"), {
        callback: (_, message) => {
          const report: { format?: number } = JSON.parse(decoder.decode(message.data));
          parsed += report.format ?? 0;
          noted.note();
        },
      });
      await connection.flush();
    },
    measure: async (count) => {
      const before = parsed;
      const metered = await meter!.measure(count);
      if (parsed - before < count) throw new Error("some messages did not parse");
      return metered;
    },
    usage: usageOver,
    memory: async () => memoryUse(),
  };
}

/** Processor time that this process uses in the next so many seconds. */
export async function usageOver(seconds: number): Promise<{ cpuMs: number; wallMs: number }> {
  const start = process.cpuUsage();
  const startedAtMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  return { cpuMs: cpuMsSince(start), wallMs: performance.now() - startedAtMs };
}
