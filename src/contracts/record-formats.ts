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
} from "./app.js";
import { type AppReport, appReportSchema } from "./app-report.js";
import {
  type ConfigRecord,
  configRecordSchema,
  type DeploymentRecord,
  deploymentRecordSchema,
  type InstanceRecord,
  instanceRecordSchema,
  type ReleaseRecord,
  releaseRecordSchema,
} from "./deployment.js";
import { type FormatRange, RecordFormats, storedAs } from "./formats.js";
import { type DesiredInstance, desiredInstanceSchema, type Report, reportSchema } from "./instance.js";

/** Every kind of record that more than one program reads, by the beginning of its key in the ledger, and its formats. */
export interface Formats {
  readonly deployment: RecordFormats<DeploymentRecord>;
  readonly instance: RecordFormats<InstanceRecord>;
  readonly release: RecordFormats<ReleaseRecord>;
  readonly config: RecordFormats<ConfigRecord>;
  readonly "desired.instance": RecordFormats<DesiredInstance>;
  /** What instances say of themselves; never in the ledger. */
  readonly report: RecordFormats<Report>;
  readonly app: RecordFormats<AppRecord>;
  readonly "desired.app": RecordFormats<DesiredApp>;
  /** Of `desired.apps` alone. */
  readonly desired: RecordFormats<AppList>;
  readonly "app-instance": RecordFormats<AppInstanceRecord>;
  /** What instances say of their apps; never in the ledger. */
  readonly "app-report": RecordFormats<AppReport>;
}

/** The formats of this version of Rollcall: so far there is one of each. */
export const currentFormats: Formats = {
  deployment: new RecordFormats([storedAs(deploymentRecordSchema)]),
  instance: new RecordFormats([storedAs(instanceRecordSchema)]),
  release: new RecordFormats([storedAs(releaseRecordSchema)]),
  config: new RecordFormats([storedAs(configRecordSchema)]),
  "desired.instance": new RecordFormats([storedAs(desiredInstanceSchema)]),
  report: new RecordFormats([storedAs(reportSchema)]),
  app: new RecordFormats([storedAs(appRecordSchema)]),
  "desired.app": new RecordFormats([storedAs(desiredAppSchema)]),
  desired: new RecordFormats([storedAs(appListSchema)]),
  "app-instance": new RecordFormats([storedAs(appInstanceRecordSchema)]),
  "app-report": new RecordFormats([storedAs(appReportSchema)]),
};

const format = z.int().min(1);

/** What a coordinator reads of each kind, as it tells the others. */
export const formatRangesSchema = z.record(z.string().max(64), z.tuple([format, format]));
export type FormatRanges = Readonly<Record<string, FormatRange>>;

export function rangesOf(formats: Formats): FormatRanges {
  return Object.fromEntries(
    Object.entries(formats).map(([kind, of]: [string, RecordFormats<unknown>]) => [kind, of.range]),
  );
}

/** `formats`: the format that is written of each kind; 1 of what is not in it. It never gets lower. */
const formatsRecordSchema = z.strictObject({
  format: z.literal(1),
  written: z.record(z.string().max(64), format),
});
export type WrittenFormats = Readonly<Record<string, number>>;
export const formatsRecordFormats = new RecordFormats([storedAs(formatsRecordSchema)]);
