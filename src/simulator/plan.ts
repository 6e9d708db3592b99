import { z } from "zod";
import { amountSchema } from "../contracts/deployment.js";
import { labelsSchema } from "../contracts/instance.js";
import { defaultDeadlineMs, defaultMinHealthyMs, defaultProgressDeadlineMs } from "../contracts/release.js";
import { distributionSchema } from "./distribution.js";

/** What is rehearsed: a fleet, a roll-out, how the instances behave, and how often it is played. */

const ms = (of: string) =>
  z
    .int()
    .min(0)
    .max(7 * 86_400_000)
    .meta({ description: `${of}, milliseconds` });
const rate = (of: string) => z.number().min(0).max(1).meta({ description: of });

/** As many as one coordinator leads. */
const instancesMax = 200_000;
const runsMax = 10_000;
const comparedMax = 10;

const strategyShape = {
  batch: amountSchema,
  failureThreshold: amountSchema,
  selector: z.string().max(1_024).nullable().meta({ description: "k=v or k!=v, comma = and; null: all" }),
  minHealthyMs: ms("Time for which an instance must be healthy to count as done"),
  deadlineMs: ms("Time from the command in which an instance must be done").min(1),
  progressDeadlineMs: ms("Time without any instance moving"),
  rollback: z.enum(["auto", "off"]),
};

/** Ways in which an update fails. */
export const failureKinds = ["build", "unhealthy", "flaps", "hangs"] as const;
export type FailureKind = (typeof failureKinds)[number];
const weight = z.number().min(0).max(1_000_000).default(0);

export const rehearsalPlanSchema = z.strictObject({
  $schema: z.string().optional(),
  fleet: z
    .array(z.strictObject({ instances: z.int().min(1).max(instancesMax), labels: labelsSchema.default({}) }))
    .min(1)
    .max(100)
    .refine((groups) => groups.reduce((sum, { instances }) => sum + instances, 0) <= instancesMax, {
      message: `at most ${instancesMax} instances`,
    })
    .default([{ instances: 100, labels: {} }])
    .meta({ description: "Groups of instances with the same labels" }),
  strategy: z
    .strictObject({
      batch: strategyShape.batch.default(1),
      failureThreshold: strategyShape.failureThreshold.default(1),
      selector: strategyShape.selector.default(null),
      minHealthyMs: strategyShape.minHealthyMs.default(defaultMinHealthyMs),
      deadlineMs: strategyShape.deadlineMs.default(defaultDeadlineMs),
      progressDeadlineMs: strategyShape.progressDeadlineMs.default(defaultProgressDeadlineMs),
      rollback: strategyShape.rollback.default("auto"),
    })
    .prefault({}),
  healthCheck: z
    .strictObject({
      intervalMs: ms("Time between two checks").min(50).default(30_000),
      timeoutMs: ms("Time after which a check counts as failed").min(50).default(10_000),
      retries: z.int().min(1).max(100).default(3),
      startPeriodMs: ms("Time after the start in which a failed check does not count").default(40_000),
    })
    .prefault({})
    .meta({ description: "As in the release's rollcall.json" }),
  stuckMs: ms("Time without progress after which a phase has failed").min(1).default(300_000),
  behaviour: z
    .strictObject({
      updateTime: distributionSchema
        .default("20s")
        .meta({ description: "From the command to the first healthy check" }),
      failureRate: rate("Share of the updates to the new version that fail").default(0),
      failures: z
        .strictObject({ build: weight, unhealthy: weight, flaps: weight, hangs: weight })
        .refine((weights) => Object.values(weights).some((value) => value > 0), {
          message: "some way to fail has a weight above 0",
        })
        .default({ build: 0, unhealthy: 1, flaps: 0, hangs: 0 })
        .meta({ description: "How failures show, by weight" }),
      flapsAfter: distributionSchema
        .default("exponential(60s)")
        .meta({ description: "From the first healthy check of one that flaps to its failure" }),
      silenceRate: rate("Share of the updates to the new version in which an instance falls silent").default(
        0,
      ),
    })
    .prefault({}),
  leaseMs: ms("Time to live of the coordinator's lease").min(1_000).default(12_000),
  seed: z.union([z.int(), z.string().min(1).max(64)]).default(1),
  runs: z.int().min(1).max(runsMax).default(50),
  compare: z
    .array(z.strictObject(strategyShape).partial())
    .max(comparedMax)
    .default([])
    .meta({ description: "Alternatives, each played with the same draws" }),
});
export type RehearsalPlan = z.infer<typeof rehearsalPlanSchema>;
export type Strategy = RehearsalPlan["strategy"];

/** The plan's own strategy and then its alternatives, in this order. */
export function strategiesOf({ strategy, compare }: RehearsalPlan): readonly Strategy[] {
  return [strategy, ...compare.map((change) => ({ ...strategy, ...definedOf(change) }))];
}

function definedOf(change: RehearsalPlan["compare"][number]): Partial<Strategy> {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
}

/**
 * What a thread may hold that plays a plan, MiB; ask V8 for it. Unless it is told, its heap grows to several times of what lives in it,
 * and objects that live as long as an update are moved twice. An instance takes 5 KiB, and as much again while all are claimed or let go at once.
 */
export function memoryFor(instances: number): { readonly youngMiB: number; readonly oldMiB: number } {
  return { youngMiB: 192, oldMiB: 400 + Math.ceil(instances * 0.0135) };
}

export function instancesIn({ fleet }: RehearsalPlan): number {
  return fleet.reduce((sum, { instances }) => sum + instances, 0);
}
