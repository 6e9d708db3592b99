import { z } from "zod";
import { amountSchema } from "../../contracts/deployment.js";
import { labelsSchema } from "../../contracts/instance.js";
import { idSchema, versionSchema } from "../../contracts/names.js";

const ms = z.int().min(0).max(86_400_000);
const share = z.number().min(0).max(1);
/** Which one; taken modulo how many there are at that moment, so that a plan from which nodes were removed is a plan. */
const nth = z.int().min(0).max(9_999);
const coordinator = z.union([z.literal("leader"), nth]);
/** The first one that is on its way to something at that moment. */
const agent = z.union([z.literal("inFlight"), nth]);
/** When it happens, since the beginning. */
const atMs = ms;
/** After which a fault ends by itself; all end with the time of faults. */
const forMs = ms;

/** A way to be cut off: from everything, or in one direction only. */
const cut = z.enum(["cut", "deaf", "mute"]);

/** What people ask for that must be refused, and change nothing. */
export const misuses = [
  "noSuchRelease",
  "noMatch",
  "batchZero",
  "thresholdAboveFleet",
  "noSuchDeployment",
  "badSelector",
  "removeUsedRelease",
  "nothing",
  "noSuchConfig",
  "badBatch",
  "deadlineBelowHealth",
  "rollbackOfNothing",
  "retryOfNothing",
  "noSuchInstance",
  "otherFilesForRelease",
] as const;

/** Something that happens to a fleet, or that somebody does with it. */
export const happeningSchema = z.discriminatedUnion("do", [
  z.strictObject({
    do: z.literal("deploy"),
    atMs,
    /** Null leaves it as it is. */
    release: nth.nullable(),
    config: nth.nullable(),
    selector: z.string().nullable(),
    batch: amountSchema,
    failureThreshold: amountSchema,
    rollback: z.enum(["auto", "off"]),
    onStuck: z.enum(["fail", "report"]),
    progressDeadlineMs: ms,
  }),
  z.strictObject({
    do: z.literal("act"),
    atMs,
    verb: z.enum(["pause", "resume", "force", "abort", "rollback", "retry"]),
    /** Counted from the newest deployment. */
    deployment: nth,
  }),
  z.strictObject({ do: z.literal("reset"), atMs, instance: nth }),
  z.strictObject({ do: z.literal("remove"), atMs, instance: nth }),
  z.strictObject({ do: z.literal("relabel"), atMs, instance: nth, labels: labelsSchema }),
  /** The machine of an instance is gone for good, and another has its name: somebody has to move the instance there. */
  z.strictObject({ do: z.literal("newHost"), atMs, instance: nth, takeoverAfterMs: ms }),
  /** A second agent runs under the name of an instance, by mistake. */
  z.strictObject({ do: z.literal("double"), atMs, forMs, instance: nth }),
  z.strictObject({ do: z.literal("join"), atMs, labels: labelsSchema }),
  z.strictObject({ do: z.literal("leave"), atMs, instance: nth }),
  z.strictObject({ do: z.literal("misuse"), atMs, what: z.enum(misuses) }),
  z.strictObject({ do: z.literal("reconcile"), atMs, dryRun: z.boolean() }),
  z.strictObject({
    do: z.literal("messages"),
    atMs,
    forMs,
    how: z.enum(["lose", "duplicate", "delay", "reorder"]),
    of: z.enum(["health", "desired", "ask", "api", "ledger", "all"]),
    share,
    /** Of a delay; the most of a reordering. */
    ms,
  }),
  z.strictObject({
    do: z.literal("coordinator"),
    atMs,
    forMs,
    which: coordinator,
    how: z.enum(["kill", "stop", "stall", "upgrade", ...cut.options]),
  }),
  z.strictObject({
    do: z.literal("agent"),
    atMs,
    forMs,
    which: agent,
    how: z.enum(["kill", "stop", "reboot", "stall", "diskFull", "upgrade", ...cut.options]),
  }),
  /** Many agents at once, as when a switch dies. */
  z.strictObject({ do: z.literal("agents"), atMs, forMs, share, how: cut }),
  z.strictObject({ do: z.literal("crash"), atMs, instance: nth }),
  /** What runs there answers no health check any more, then it does again. */
  z.strictObject({ do: z.literal("sick"), atMs, forMs, instance: nth }),
  z.strictObject({
    do: z.literal("clockStep"),
    atMs,
    of: z.enum(["coordinator", "agent"]),
    which: nth,
    byMs: z.int().min(-3_600_000).max(3_600_000),
  }),
  /** An administrator asks something of an app; `careful`: only if it is still as they saw it last. */
  z.strictObject({
    do: z.literal("app"),
    atMs,
    verb: z.enum(["add", "enable", "disable", "set", "uninstall", "reconcile"]),
    app: nth,
    version: nth,
    careful: z.boolean(),
    by: z.enum(["anna", "bob"]),
  }),
  /** An administrator takes a process with apps in it out of the fleet, as they do with one that is gone for good. */
  z.strictObject({ do: z.literal("appForget"), atMs, instance: nth, by: z.enum(["anna", "bob"]) }),
  /** Something happens to a process with apps in it; `leave`: it says that it does not come back, and then it does. */
  z.strictObject({
    do: z.literal("appNode"),
    atMs,
    forMs,
    which: nth,
    how: z.enum(["kill", "stop", "leave", "upgrade", "stall", "diskFull", ...cut.options]),
  }),
  /** One of the apps that run there ends by itself. */
  z.strictObject({ do: z.literal("appEnds"), atMs, which: nth, app: nth }),
  z.strictObject({ do: z.literal("backup"), atMs }),
  /**
   * The coordinators are ended, and begin again over an empty ledger, or over the newest backup; without one it is lost. Of what is deployed
   * the checks do not know what may be lost then: it is for lives of apps without deployments.
   */
  z.strictObject({ do: z.literal("replaceLedger"), atMs, how: z.enum(["lost", "restored"]) }),
  z.strictObject({
    do: z.literal("ledger"),
    atMs,
    forMs,
    how: z.enum(["refuse", "loseAnswer", "hold", "unavailable", "full", "restart", "lag", "depose"]),
    ms,
  }),
]);
export type Happening = z.infer<typeof happeningSchema>;
export type HappeningOf<Kind extends Happening["do"]> = Extract<Happening, { do: Kind }>;

/** How a release takes on the instances; each draws its own fate from the shares. What is left of 1 goes well. */
export const temperSchema = z.strictObject({
  version: versionSchema,
  minHealthyMs: ms,
  deadlineMs: ms,
  fails: share,
  hangs: share,
  unhealthy: share,
  /** Healthy first, then not. */
  sickens: share,
  /** Its process ends again and again. */
  crashes: share,
  /** Fails or ends when it is tried, and goes well when it is tried again. */
  flaky: share.default(0),
  slowMs: ms,
});
export type Temper = z.infer<typeof temperSchema>;

/** How an app takes on the instances; each draws the fate of each version from the shares. */
export const appTemperSchema = z.strictObject({
  app: idSchema,
  /** Never works there: the licence, the code or the settings are wrong. */
  broken: share,
  /** Fails most of the time. */
  flaky: share,
  /** Hangs now and then. */
  hangs: share,
});
export type AppTemper = z.infer<typeof appTemperSchema>;

/**
 * A whole life of a fleet, before it is lived: who there is and what happens when. It is drawn from a seed, can be made smaller, and gives
 * the same life each time.
 */
export const lifePlanSchema = z.strictObject({
  /** Of whatever is drawn while it is lived. */
  seed: z.string().min(1).max(64),
  leaseMs: z.int().min(1_000).max(60_000),
  /** So long things happen; then all faults end. */
  faultsMs: ms,
  reconcileEveryMs: z.int().min(1_000),
  coordinators: z
    .array(z.strictObject({ driftPpm: z.int(), isNext: z.boolean() }))
    .min(1)
    .max(5),
  instances: z
    .array(z.strictObject({ id: idSchema, labels: labelsSchema, driftPpm: z.int(), isNext: z.boolean() }))
    .min(1)
    .max(200),
  releases: z.array(temperSchema).min(1).max(8),
  configs: z.array(versionSchema).max(4),
  apps: z.array(appTemperSchema).max(8).default([]),
  /** Processes with apps in them. */
  appInstances: z
    .array(
      z.strictObject({
        id: idSchema,
        driftPpm: z.int(),
        isNext: z.boolean().default(false),
        /** It is new to the fleet then. */
        startsAtMs: ms.default(0),
      }),
    )
    .max(20)
    .default([]),
  happenings: z.array(happeningSchema).max(2_000),
});
export type LifePlan = z.infer<typeof lifePlanSchema>;
