import { z } from "zod";
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

export const nextFormats: Formats = {
  ...currentFormats,
  deployment: new RecordFormats([storedAs(deploymentRecordSchema), nextDeployment]),
  instance: new RecordFormats([storedAs(instanceRecordSchema), nextInstance]),
  "desired.instance": new RecordFormats([storedAs(desiredInstanceSchema), nextDesired]),
  report: new RecordFormats([storedAs(reportSchema), nextReport]),
};

/** A version after that, which reads the present formats of deployments no more. */
export const laterFormats: Formats = { ...nextFormats, deployment: new RecordFormats([nextDeployment], 2) };
