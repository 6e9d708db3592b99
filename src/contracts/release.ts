import { z } from "zod";
import { versionSchema } from "./names.js";

/** Where neither a release nor whoever deploys it says more. */
export const defaultMinHealthyMs = 10_000;
export const defaultDeadlineMs = 900_000;
export const defaultProgressDeadlineMs = 1_200_000;

const ms = (of: string) =>
  z
    .int()
    .min(0)
    .max(86_400_000)
    .meta({ description: `${of}, milliseconds` });
/** A program and its arguments; a plain string is run by `sh -c`. */
const commandSchema = z.union([z.string().min(1).max(4_096), z.array(z.string().max(4_096)).min(1).max(64)]);
export type Command = z.infer<typeof commandSchema>;

const pacing = {
  intervalMs: ms("Time between two checks").min(50).default(30_000),
  timeoutMs: ms("Time after which a check counts as failed").min(50).default(10_000),
  retries: z
    .int()
    .min(1)
    .max(100)
    .default(3)
    .meta({ description: "Failed checks in a row that make the instance FAILED" }),
  startPeriodMs: ms("Time after the start in which a failed check does not count").default(40_000),
};

/** How an instance is asked whether it is well. The defaults are the seed's: 30 s, 10 s, 3, 40 s. */
export const healthCheckSchema = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("http"),
    path: z.string().startsWith("/").max(1_024).default("/health").meta({
      description:
        '2xx is healthy; a body {"status":"degraded"} or a header X-Rollcall-Health: degraded is degraded',
    }),
    ...pacing,
  }),
  z.strictObject({ type: z.literal("tcp"), ...pacing }),
  z.strictObject({
    type: z.literal("command"),
    command: commandSchema.meta({
      description: "Exit code 0 is healthy, 3 degraded, anything else unhealthy",
    }),
    ...pacing,
  }),
]);
export type HealthCheck = z.infer<typeof healthCheckSchema>;

/** `rollcall.json` at the root of a release: how it is built, started, checked and stopped. */
export const manifestSchema = z.strictObject({
  $schema: z.string().optional(),
  build: z
    .strictObject({
      command: commandSchema,
      timeoutMs: ms("Time limit of the build, also of one that prints nothing for longer than stuckMs")
        .min(1)
        .default(600_000),
    })
    .optional(),
  start: commandSchema.meta({
    description:
      "Gets PORT, ROLLCALL_INSTANCE, ROLLCALL_RELEASE, ROLLCALL_CONFIG and ROLLCALL_CONFIG_FILE in its environment",
  }),
  env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string().max(16_384)).default({}),
  port: z
    .int()
    .min(1)
    .max(65_535)
    .optional()
    .meta({ description: "A fixed port; without it a free one is chosen. Needs order stopFirst" }),
  healthCheck: healthCheckSchema,
  routes: z
    .array(
      z.strictObject({ host: z.string().max(253).optional(), path: z.string().startsWith("/").max(1_024) }),
    )
    .max(100)
    .default([]),
  order: z.enum(["stopFirst", "startFirst"]).default("stopFirst"),
  minHealthyMs: ms(
    "Time for which an instance must be healthy without a failed check before it counts as done",
  ).default(defaultMinHealthyMs),
  deadlineMs: ms("Time from the command in which an instance must be done").min(1).default(defaultDeadlineMs),
  stuckMs: ms("Time without progress after which a phase has failed").min(1).default(300_000),
  restarts: z
    .int()
    .min(0)
    .max(100)
    .default(3)
    .meta({ description: "Restarts of an ended process before the instance is FAILED" }),
  stop: z
    .strictObject({
      signal: z.enum(["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"]).default("SIGTERM"),
      graceMs: ms("Time between the signal and SIGKILL").default(10_000),
    })
    .default({ signal: "SIGTERM", graceMs: 10_000 }),
});
export type Manifest = z.infer<typeof manifestSchema>;

const storedObjectSchema = z.strictObject({
  name: z.string().min(1).max(256),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  sizeBytes: z.int().min(0),
});

/** Where the files of a release come from. Directories and archives are packed and uploaded by whoever pushes. */
export const releaseSourceSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("artifact"), object: storedObjectSchema }),
  z.strictObject({
    kind: z.literal("git"),
    url: z.string().min(1).max(2_048),
    ref: z.string().min(1).max(256),
    commit: z.string().regex(/^[0-9a-f]{40,64}$/),
  }),
  z.strictObject({ kind: z.literal("image"), image: z.string().min(1).max(512) }),
]);
export type ReleaseSource = z.infer<typeof releaseSourceSchema>;

/** A release as instances are told of it. */
export const releaseSchema = z.strictObject({
  version: versionSchema,
  source: releaseSourceSchema,
  manifest: manifestSchema,
});
export type Release = z.infer<typeof releaseSchema>;

/** A configuration as instances are told of it: one file, handed to the process. */
export const configSchema = z.strictObject({ version: versionSchema, object: storedObjectSchema });
export type Config = z.infer<typeof configSchema>;
