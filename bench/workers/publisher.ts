import { connect, type NatsConnection } from "@nats-io/transport-node";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { creditSubject } from "../kit/meter.js";
import type { NatsAccess } from "../kit/nats.js";
import type { Calls } from "../kit/processes.js";
import { healthyReport } from "../kit/reports.js";

/**
 * What the next reports say: `first` all is new and whole; `same` what the one before said, with the whole state in every
 * tenth, as agents do; `changed` all is new again, in each of them.
 */
export type ReportKind = "first" | "same" | "changed";

/** Messages that may be on their way to a consumer, so that the server never takes it for a slow one. */
const windowMax = 20_000;
const chunk = 500;
const tickMs = 10;

/** Speaks for all instances of a fleet. Messages are made before they are sent, outside of what is timed. */
export interface PublisherCalls extends Calls {
  start(options: { access: NatsAccess; instances: number }): Promise<void>;
  /** Makes the next `rounds` reports of every instance. */
  prepare(options: { kind: ReportKind; rounds: number }): Promise<number>;
  /** Sends what was prepared as fast as the consumer takes it. */
  burst(options: { fleet: string }): Promise<void>;
  /** Sends reports of the kind `same`, made while sending, so many a second, until `stop`; the first of each instance whole. */
  pace(options: { fleet: string; perSecond: number }): Promise<void>;
  /** These instances report no more. @returns when each reported last, by the wall clock */
  silence(indexes: readonly number[]): Promise<number[]>;
  /** @returns how many were sent, and how many should have been */
  stop(nothing: null): Promise<{ sent: number; due: number }>;
}

export function createPublisherCalls(): PublisherCalls {
  let connection: NatsConnection | undefined;
  let instances = 0;
  let seq = 0;
  let prepared: Uint8Array[] = [];
  let pacing: { timer: NodeJS.Timeout; counted: () => { sent: number; due: number } } | undefined;
  let lastAtMs = new Float64Array();
  const silent = new Set<number>();
  const encoder = new TextEncoder();

  const encoded = (index: number, kind: ReportKind) => {
    const whole = kind !== "same" || (seq + index) % 10 === 0;
    const note = kind === "changed" ? "x".repeat(seq % 10) : "";
    return encoder.encode(JSON.stringify(healthyReport(index, { seq, whole, note })));
  };

  return {
    start: async (options) => {
      const { url, user, password } = options.access;
      connection = await connect({ servers: url, user, pass: password });
      instances = options.instances;
      lastAtMs = new Float64Array(instances);
    },
    prepare: async ({ kind, rounds }) => {
      prepared = [];
      for (let round = 0; round < rounds; round++) {
        seq++;
        for (let index = 0; index < instances; index++) prepared.push(encoded(index, kind));
      }
      return prepared.length;
    },
    burst: async ({ fleet }) => {
      const subjects = subjectsFor(fleet, instances);
      let taken = 0;
      let more: () => void = () => undefined;
      const credit = connection!.subscribe(creditSubject(fleet), {
        callback: (_, message) => {
          taken = Number(message.string());
          more();
        },
      });
      await connection!.flush();
      for (let sent = 0; sent < prepared.length; ) {
        if (sent - taken > windowMax) {
          await new Promise<void>((resolve) => {
            more = resolve;
          });
          continue;
        }
        const end = Math.min(sent + chunk, prepared.length);
        for (; sent < end; sent++) connection!.publish(subjects[sent % instances]!, prepared[sent]!);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await connection!.flush();
      credit.unsubscribe();
    },
    pace: async ({ fleet, perSecond }) => {
      const subjects = subjectsFor(fleet, instances);
      const startedAtMs = performance.now();
      const due = () => Math.floor(((performance.now() - startedAtMs) / 1_000) * perSecond);
      let sent = 0;
      const timer = setInterval(() => {
        for (const until = due(); sent < until; sent++) {
          const index = sent % instances;
          if (index === 0) seq++;
          if (silent.has(index)) continue;
          lastAtMs[index] = Date.now();
          connection!.publish(subjects[index]!, encoded(index, sent < instances ? "first" : "same"));
        }
      }, tickMs);
      pacing = { timer, counted: () => ({ sent, due: due() }) };
    },
    silence: async (indexes) => {
      for (const index of indexes) silent.add(index);
      return indexes.map((index) => lastAtMs[index] ?? Number.NaN);
    },
    stop: async () => {
      if (pacing === undefined) return { sent: 0, due: 0 };
      clearInterval(pacing.timer);
      return pacing.counted();
    },
  };
}

function subjectsFor(fleet: string, instances: number): string[] {
  const { health } = subjectsOf(fleet);
  return Array.from({ length: instances }, (_, index) =>
    health(healthyReport(index, { seq: 0, whole: false }).instance),
  );
}
