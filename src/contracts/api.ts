import { z } from "zod";
import { copied } from "./answer-source.js";
import { by, listOf, reason, requestKey } from "./api-fields.js";
import { appEndpoints } from "./app-api.js";
import { amountSchema } from "./deployment.js";
import { idSchema, versionSchema } from "./names.js";
import { reconciliationReportSchema } from "./reconciliation.js";
import { configSchema, defaultProgressDeadlineMs, releaseSchema } from "./release.js";
import {
  configViewSchema,
  coordinatorViewSchema,
  deploymentPreviewSchema,
  deploymentViewSchema,
  eventViewSchema,
  fleetStatusSchema,
  instanceViewSchema,
  releaseViewSchema,
  stuckViewSchema,
  whySchema,
} from "./views.js";

const selector = z
  .string()
  .max(1_024)
  .nullable()
  .meta({ description: "k=v or k!=v, comma = and; null stands for all instances" });
const ofDeployment = z.strictObject({ deployment: idSchema });
const actOnDeployment = z.strictObject({ deployment: idSchema, by, reason });
const durationMs = z
  .int()
  .min(0)
  .max(7 * 86_400_000);

/** What somebody asks of a new deployment. */
const newDeploymentSchema = z.strictObject({
  release: versionSchema.nullable().default(null),
  config: versionSchema.nullable().default(null),
  selector,
  batch: amountSchema.default(1),
  failureThreshold: amountSchema.default(1),
  minHealthyMs: durationMs.optional().meta({ description: "Default: the release's own" }),
  deadlineMs: durationMs.optional().meta({ description: "Default: the release's own" }),
  progressDeadlineMs: durationMs.default(defaultProgressDeadlineMs),
  rollback: z.enum(["auto", "off"]).default("auto"),
  onStuck: z.enum(["fail", "report"]).default("fail").meta({
    description:
      "What becomes of it when no instance has moved for the progress deadline: it fails and goes back, or that is only reported",
  }),
  by,
  reason,
});

/** Instances in one answer, which must fit a message of the server's largest size. */
export const instancesPageMax = 500;
/** Events in one answer. */
export const eventsPageMax = 100;

/**
 * Every endpoint of the control plane, `rollcall.v1.<fleet>.api.<resource>.<verb>`. A `write` is answered by the leader
 * alone; a `read` by whichever coordinator is asked, which says in `copy` how old its knowledge is unless it leads.
 */
export const endpoints = {
  "deployments.create": {
    kind: "write",
    summary: "Rolls a release, a configuration or both out to the instances that the selector chooses",
    request: newDeploymentSchema.extend({ requestKey }),
    reply: deploymentViewSchema,
  },
  "deployments.preview": {
    // Only the leader knows what it would do.
    kind: "write",
    summary: "What a creation would do, and every reason not to begin it; changes nothing",
    request: newDeploymentSchema,
    reply: deploymentPreviewSchema,
  },
  "deployments.list": {
    kind: "read",
    summary: "The newest deployments first",
    request: z.strictObject({ limit: z.int().min(1).max(1_000).default(100) }),
    reply: listOf(deploymentViewSchema),
  },
  "deployments.get": {
    kind: "read",
    summary: "One deployment, with its instances when asked for",
    request: z.strictObject({ deployment: idSchema, instances: z.boolean().default(false) }),
    reply: z.object({
      deployment: deploymentViewSchema,
      /** At most a page: what failed and what moves first, if there are more. */
      instances: z.array(instanceViewSchema),
      asOf: z.number(),
      epoch: z.number(),
      ...copied,
    }),
  },
  "deployments.why": {
    kind: "read",
    summary: "What a deployment waits for",
    request: ofDeployment,
    reply: whySchema.extend(copied),
  },
  "deployments.stuck": {
    kind: "read",
    summary:
      "What does not move: deployments past their progress deadline, and instances with a phase that was stuck",
    request: z.strictObject({ limit: z.int().min(1).max(1_000).default(100) }),
    reply: listOf(stuckViewSchema),
  },
  "deployments.pause": {
    kind: "write",
    summary: "Tells nobody new until it is resumed",
    request: actOnDeployment,
    reply: deploymentViewSchema,
  },
  "deployments.resume": {
    kind: "write",
    summary: "Goes on after a pause; with force also after a hold",
    request: actOnDeployment.extend({ force: z.boolean().default(false) }),
    reply: deploymentViewSchema,
  },
  "deployments.abort": {
    kind: "write",
    summary: "Stops; in-flight and failed instances go back, finished ones stay",
    request: actOnDeployment,
    reply: deploymentViewSchema,
  },
  "deployments.rollback": {
    kind: "write",
    summary: "Takes every instance that it touched back to what was stable before",
    request: actOnDeployment,
    reply: deploymentViewSchema,
  },
  "deployments.retry": {
    kind: "write",
    summary: "A new deployment for the instances that did not succeed",
    request: actOnDeployment.extend({ requestKey }),
    reply: deploymentViewSchema,
  },
  "instances.list": {
    kind: "read",
    summary: "The inventory, a page at a time, by name",
    request: z.strictObject({
      selector: selector.default(null),
      after: idSchema.nullable().default(null).meta({ description: "The last instance of the page before" }),
      limit: z.int().min(1).max(instancesPageMax).default(instancesPageMax),
    }),
    reply: listOf(instanceViewSchema).extend({
      /** What to ask for `after`; `null` on the last page. */
      next: idSchema.nullable(),
    }),
  },
  "instances.get": {
    kind: "read",
    summary: "One instance",
    request: z.strictObject({ instance: idSchema }),
    reply: instanceViewSchema.extend(copied),
  },
  "instances.reset": {
    kind: "write",
    summary: "Forgets an instance's failure, so that it is tried again",
    request: z.strictObject({ instance: idSchema, by, reason }),
    reply: instanceViewSchema,
  },
  "instances.remove": {
    kind: "write",
    summary: "Takes an instance out of the fleet; a living one comes back by its next report",
    request: z.strictObject({ instance: idSchema, by, reason }),
    reply: z.object({ instance: idSchema }),
  },
  "instances.takeover": {
    kind: "write",
    summary: "Gives an instance to another agent",
    request: z.strictObject({ instance: idSchema, agent: idSchema, by, reason }),
    reply: instanceViewSchema,
  },
  "releases.push": {
    kind: "write",
    summary: "Registers a release whose files are in the store already",
    request: z.strictObject({ release: releaseSchema, digest: z.string().max(128), by }),
    reply: releaseViewSchema,
  },
  "releases.list": {
    kind: "read",
    summary: "The releases",
    request: z.strictObject({}),
    reply: listOf(releaseViewSchema),
  },
  "releases.remove": {
    kind: "write",
    summary: "Removes a release that nothing needs",
    request: z.strictObject({ version: versionSchema, by }),
    reply: z.object({ version: versionSchema }),
  },
  "configs.push": {
    kind: "write",
    summary: "Registers a configuration whose file is in the store already",
    request: z.strictObject({ config: configSchema, by }),
    reply: configViewSchema,
  },
  "configs.list": {
    kind: "read",
    summary: "The configurations",
    request: z.strictObject({}),
    reply: listOf(configViewSchema),
  },
  "configs.remove": {
    kind: "write",
    summary: "Removes a configuration that nothing needs",
    request: z.strictObject({ version: versionSchema, by }),
    reply: z.object({ version: versionSchema }),
  },
  "events.list": {
    kind: "read",
    summary: "The newest events of the audit log, a page at a time from its end, each page oldest first",
    request: z.strictObject({
      kind: idSchema
        .nullable()
        .default(null)
        .meta({ description: "Only of objects of this kind: deployment" }),
      id: versionSchema.nullable().default(null).meta({ description: "Only of this object; with its kind" }),
      type: z
        .string()
        .max(64)
        .nullable()
        .default(null)
        .meta({ description: "Only of this type: instance.failed" }),
      before: z
        .int()
        .min(1)
        .nullable()
        .default(null)
        .meta({ description: "The `before` of the page before" }),
      limit: z.int().min(1).max(eventsPageMax).default(50),
    }),
    reply: z.object({
      items: z.array(eventViewSchema),
      /** What to ask for `before`, also after a page with few or no items; `null` where there is nothing before. */
      before: z.number().nullable(),
    }),
  },
  "coordinators.list": {
    kind: "read",
    summary: "The coordinators that answer, and which one leads",
    request: z.strictObject({}),
    reply: listOf(coordinatorViewSchema),
  },
  "reconciliations.run": {
    kind: "write",
    summary:
      "Compares what should be with what is, and puts right what may be; answers underWay until it is over",
    request: z.strictObject({
      dryRun: z.boolean().default(false),
      /** Of the answer before this one: whoever leads now does not begin another. */
      epoch: z.int().min(1).optional(),
      by,
      reason,
      requestKey,
    }),
    reply: reconciliationReportSchema,
  },
  ...appEndpoints,
  "status.get": {
    kind: "read",
    summary: "The fleet at a glance",
    request: z.strictObject({}),
    reply: fleetStatusSchema.extend(copied),
  },
  ...appEndpoints,
} as const satisfies Record<
  string,
  { kind: "read" | "write"; summary: string; request: z.ZodType; reply: z.ZodType }
>;

export type EndpointName = keyof typeof endpoints;
/** A request as a caller writes it: what has a default may be left out. */
export type RequestOf<E extends EndpointName> = z.input<(typeof endpoints)[E]["request"]>;
/** The same after validation. */
export type ParsedRequestOf<E extends EndpointName> = z.output<(typeof endpoints)[E]["request"]>;
export type ReplyOf<E extends EndpointName> = z.output<(typeof endpoints)[E]["reply"]>;

/** What the control plane answers instead of a reply. */
export const errorReplySchema = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    retry: z.enum(["never", "later"]),
    details: z.record(z.string(), z.unknown()).default({}),
  }),
});

/** What answers the endpoints: one function each, given a valid request. Throws RollcallError to refuse. */
export type ControlPlane = {
  readonly [E in EndpointName]: (request: ParsedRequestOf<E>) => Promise<ReplyOf<E>>;
};
