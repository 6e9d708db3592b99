import { createClient } from "../../src/api/client.js";
import type { Client } from "../../src/api/client-types.js";
import { connectNatsBus, type NatsBus } from "../../src/bus/nats-bus.js";
import { type DesiredInstance, desiredInstanceSchema, type Report } from "../../src/contracts/instance.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import type { NatsAccess } from "../kit/nats.js";
import type { Calls } from "../kit/processes.js";
import { stoppedReport } from "../kit/reports.js";
import { stderrLog } from "../kit/stderr-log.js";
import { goSubject } from "./bare-writer.js";

/**
 * Instances that do what they are told the moment they are asked to, so that the time from the last report of a batch to the
 * next batch's desired states can be taken in one process.
 */
export interface PuppetCalls extends Calls {
  /** Registers instances, the labels of each as given. */
  start(options: {
    access: NatsAccess;
    fleet: string;
    labels: Readonly<Record<string, string>>[];
  }): Promise<void>;
  push(version: string): Promise<void>;
  /** Rolls out and takes the time of each batch but the last. @returns milliseconds */
  rollOut(options: { version: string; selector: string; batch: number; matching: number }): Promise<number[]>;
  /** The same by the bare writer. */
  bare(options: { fleet: string; desired: number; samples: number }): Promise<number[]>;
}

/** After the desired states of a batch are there: whatever else is to be written is written then. */
const settleMs = 40;
const reportEveryMs = 2_000;

export function createPuppetCalls(): PuppetCalls {
  const clock = createRealClock();
  const random = createRealRandom();
  const puppets = new Map<string, Report>();
  let told = new Map<string, DesiredInstance>();
  let onTold: () => void = () => undefined;
  let bus: NatsBus | undefined;
  let client: Client | undefined;
  let health: (instance: string) => string = (instance) => instance;

  const report = (instance: string, change: Partial<Report>) => {
    const before = puppets.get(instance)!;
    const next = { ...before, ...change, seq: before.seq + 1 };
    puppets.set(instance, next);
    bus!.publish(health(instance), JSON.stringify(next));
  };
  const untilTold = (count: number) =>
    new Promise<void>((resolve) => {
      onTold = () => {
        if (told.size >= count) resolve();
      };
      onTold();
    });
  const wellOn = (desired: DesiredInstance): Partial<Report> => {
    const version = { release: desired.run?.release.version ?? "", config: null };
    const { state } = puppets.get(desired.instance)!;
    return {
      observedGeneration: desired.generation,
      ledgerId: desired.ledgerId,
      digest: `well-${version.release}`,
      healthyForMs: 3_600_000,
      state: { ...state!, health: "HEALTHY", phase: "ACTIVE", progress: 100, running: version },
    };
  };

  return {
    start: async ({ access, fleet, labels }) => {
      const { url, user, password } = access;
      bus = await connectNatsBus({
        servers: url,
        user,
        pass: password,
        name: "puppets",
        clock,
        log: stderrLog,
      });
      client = createClient({ bus, fleet, clock, random });
      ({ health } = subjectsOf(fleet));
      bus.subscribe(subjectsOf(fleet).desired("desired.instance.*"), (message) => {
        const desired = desiredInstanceSchema.parse(JSON.parse(new TextDecoder().decode(message.data)));
        told.set(desired.instance, desired);
        onTold();
      });
      for (const [index, given] of labels.entries())
        puppets.set(`web-${index}`, stoppedReport(`web-${index}`, given));
      for (const instance of puppets.keys()) report(instance, {});
      setInterval(() => {
        for (const instance of puppets.keys()) report(instance, {});
      }, reportEveryMs);
      while ((await client.status.get()).instances.total < labels.length)
        await new Promise((resolve) => setTimeout(resolve, 20));
    },
    push: async (version) => {
      const digest = `sha256:${"0".repeat(64)}`;
      const healthCheck = { type: "http", path: "/health" } as const;
      await client!.releases.push({
        release: {
          version,
          source: { kind: "artifact", object: { name: version, digest, sizeBytes: 1 } },
          manifest: { start: "node server.js", healthCheck, minHealthyMs: 0 },
        },
        digest,
        by: "bench",
      });
    },
    rollOut: async ({ version, selector, batch, matching }) => {
      told = new Map();
      await client!.deployments.create({ release: version, selector, batch, minHealthyMs: 0, by: "bench" });
      const tookMs: number[] = [];
      let left = matching;
      await untilTold(Math.min(batch, left));
      while (left > 0) {
        await new Promise((resolve) => setTimeout(resolve, settleMs));
        const wave = [...told.values()];
        left -= wave.length;
        told = new Map();
        let lastAtMs = 0;
        for (const desired of wave) {
          lastAtMs = performance.now();
          report(desired.instance, wellOn(desired));
        }
        if (left === 0) break;
        await untilTold(Math.min(batch, left));
        tookMs.push(performance.now() - lastAtMs);
      }
      while ((await client!.status.get()).active.length > 0)
        await new Promise((resolve) => setTimeout(resolve, 20));
      return tookMs;
    },
    bare: async ({ fleet, desired, samples }) => {
      let missing = 0;
      let done: () => void = () => undefined;
      const subscription = bus!.subscribe(subjectsOf(fleet).desired("desired.instance.*"), () => {
        if (--missing === 0) done();
      });
      await bus!.flush();
      const body = JSON.stringify(puppets.values().next().value);
      const tookMs: number[] = [];
      for (let sample = 0; sample < samples; sample++) {
        await new Promise((resolve) => setTimeout(resolve, settleMs));
        missing = desired;
        const startedAtMs = performance.now();
        await new Promise<void>((resolve) => {
          done = resolve;
          bus!.publish(goSubject, body);
        });
        tookMs.push(performance.now() - startedAtMs);
      }
      subscription.unsubscribe();
      return tookMs;
    },
  };
}
