import { z } from "zod";
import {
  type AppInstanceRecord,
  type AppList,
  type AppRecord,
  appInstanceRecordSchema,
  appListSchema,
  appRecordSchema,
  type DesiredApp,
  desiredAppSchema,
} from "../../contracts/app.js";
import { type AppReport, appReportSchema } from "../../contracts/app-report.js";
import {
  type DeploymentRecord,
  deploymentRecordSchema,
  type InstanceRecord,
  instanceRecordSchema,
} from "../../contracts/deployment.js";
import { RecordFormats, storedAs } from "../../contracts/formats.js";
import {
  type DesiredInstance,
  desiredInstanceSchema,
  type Report,
  reportSchema,
} from "../../contracts/instance.js";
import { currentFormats, type Formats } from "../../contracts/record-formats.js";

/*
 * The formats of a version of Rollcall that there is not: the next one. It has renamed what every kind of record says, and
 * added something that the present version does not know and a reader of the next one needs.
 */

const next = z.literal(2);

const deployment = deploymentRecordSchema
  .omit({ format: true, failureThreshold: true })
  .extend({ format: next, failuresMax: z.int().min(1), instancesAtOnce: z.int().min(1) });
const nextDeployment = storedAs<DeploymentRecord, z.infer<typeof deployment>>(deployment, {
  upgrade: ({ failuresMax, instancesAtOnce: _, ...kept }) => ({
    ...kept,
    format: 1,
    failureThreshold: failuresMax,
  }),
  downgrade: ({ failureThreshold, ...kept }) => ({
    ...kept,
    format: 2,
    failuresMax: failureThreshold,
    instancesAtOnce: kept.batch,
  }),
});

const instance = instanceRecordSchema
  .omit({ format: true, stable: true })
  .extend({ format: next, provenVersion: instanceRecordSchema.shape.stable, isOwned: z.boolean() });
const nextInstance = storedAs<InstanceRecord, z.infer<typeof instance>>(instance, {
  upgrade: ({ provenVersion, isOwned: _, ...kept }) => ({ ...kept, format: 1, stable: provenVersion }),
  downgrade: ({ stable, ...kept }) => ({
    ...kept,
    format: 2,
    provenVersion: stable,
    isOwned: kept.claim !== null,
  }),
});

const desired = desiredInstanceSchema
  .omit({ format: true, minHealthyMs: true })
  .extend({ format: next, soakMs: z.int().min(0) });
const nextDesired = storedAs<DesiredInstance, z.infer<typeof desired>>(desired, {
  upgrade: ({ soakMs, ...kept }) => ({ ...kept, format: 1, minHealthyMs: soakMs }),
  downgrade: ({ minHealthyMs, ...kept }) => ({ ...kept, format: 2, soakMs: minHealthyMs }),
});

const report = reportSchema
  .omit({ format: true, healthyForMs: true })
  .extend({ format: next, goodForMs: z.int().min(0) });
const nextReport = storedAs<Report, z.infer<typeof report>>(report, {
  upgrade: ({ goodForMs, ...kept }) => ({ ...kept, format: 1, healthyForMs: goodForMs }),
  downgrade: ({ healthyForMs, ...kept }) => ({ ...kept, format: 2, goodForMs: healthyForMs }),
});

const app = appRecordSchema
  .omit({ format: true, content: true })
  .extend({ format: next, toRun: appRecordSchema.shape.content, isTombstone: z.boolean() });
const nextApp = storedAs<AppRecord, z.infer<typeof app>>(app, {
  upgrade: ({ toRun, isTombstone: _, ...kept }) => ({ ...kept, format: 1, content: toRun }),
  downgrade: ({ content, ...kept }) => ({
    ...kept,
    format: 2,
    toRun: content,
    isTombstone: kept.desiredStatus === "uninstalled",
  }),
});

const desiredApp = desiredAppSchema
  .omit({ format: true, desiredStatus: true })
  .extend({ format: next, toBe: desiredAppSchema.shape.desiredStatus });
const nextDesiredApp = storedAs<DesiredApp, z.infer<typeof desiredApp>>(desiredApp, {
  upgrade: ({ toBe, ...kept }) => ({ ...kept, format: 1, desiredStatus: toBe }),
  downgrade: ({ desiredStatus, ...kept }) => ({ ...kept, format: 2, toBe: desiredStatus }),
});

const appList = appListSchema
  .omit({ format: true, apps: true })
  .extend({ format: next, generations: appListSchema.shape.apps, count: z.int().min(0) });
const nextAppList = storedAs<AppList, z.infer<typeof appList>>(appList, {
  upgrade: ({ generations, count: _, ...kept }) => ({ ...kept, format: 1, apps: generations }),
  downgrade: ({ apps, ...kept }) => ({
    ...kept,
    format: 2,
    generations: apps,
    count: Object.keys(apps).length,
  }),
});

const appInstance = appInstanceRecordSchema
  .omit({ format: true, joinedAtMs: true })
  .extend({ format: next, knownSinceMs: z.int() });
const nextAppInstance = storedAs<AppInstanceRecord, z.infer<typeof appInstance>>(appInstance, {
  upgrade: ({ knownSinceMs, ...kept }) => ({ ...kept, format: 1, joinedAtMs: knownSinceMs }),
  downgrade: ({ joinedAtMs, ...kept }) => ({ ...kept, format: 2, knownSinceMs: joinedAtMs }),
});

const appReport = appReportSchema
  .omit({ format: true, count: true })
  .extend({ format: next, appsHere: appReportSchema.shape.count });
const nextAppReport = storedAs<AppReport, z.infer<typeof appReport>>(appReport, {
  upgrade: ({ appsHere, ...kept }) => ({ ...kept, format: 1, count: appsHere }),
  downgrade: ({ count, ...kept }) => ({ ...kept, format: 2, appsHere: count }),
});

export const nextFormats: Formats = {
  ...currentFormats,
  deployment: new RecordFormats([storedAs(deploymentRecordSchema), nextDeployment]),
  instance: new RecordFormats([storedAs(instanceRecordSchema), nextInstance]),
  "desired.instance": new RecordFormats([storedAs(desiredInstanceSchema), nextDesired]),
  report: new RecordFormats([storedAs(reportSchema), nextReport]),
  app: new RecordFormats([storedAs(appRecordSchema), nextApp]),
  "desired.app": new RecordFormats([storedAs(desiredAppSchema), nextDesiredApp]),
  desired: new RecordFormats([storedAs(appListSchema), nextAppList]),
  "app-instance": new RecordFormats([storedAs(appInstanceRecordSchema), nextAppInstance]),
  "app-report": new RecordFormats([storedAs(appReportSchema), nextAppReport]),
};

/** A version after that, which reads the present formats of deployments no more. */
export const laterFormats: Formats = { ...nextFormats, deployment: new RecordFormats([nextDeployment], 2) };
