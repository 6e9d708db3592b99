import { type CallLimits, verbs } from "../../machines/app-facts.js";
import type { AppEngine } from "../agent/app-engine.js";
import type { Bus, Clock, Log, Random } from "../base/ports.js";
import { parseNatsAddress } from "../bus/nats-address.js";
import type { NatsBusOptions } from "../bus/nats-connect.js";
import { refusal } from "../contracts/errors.js";
import { idSchema } from "../contracts/names.js";

export interface EmbedAppsOptions {
  /** The address of NATS (`nats://user:password@host:4222`), how to reach it, or a bus that is connected already and stays the caller's. */
  readonly nats: string | Omit<NatsBusOptions, "clock" | "log" | "name"> | Bus;
  /** The instance whose apps these are; unique in its fleet, and the same after a restart. */
  readonly instance: string;
  /** Default: `default`. */
  readonly fleet?: string;
  readonly engine: AppEngine;
  /** A folder of this process alone, in which it keeps what was asked: then it runs without a control plane too, after a restart. */
  readonly data?: string;
  /** The version of this program, in reports. Default: empty. */
  readonly version?: string;
  /** The longest that each call of the engine may take. Default: install 120 s, uninstall 60 s, the others 30 s. */
  readonly limitsMs?: Partial<CallLimits>;
  /** Until a coordinator assigns another: time between two reports. Default 2,000. */
  readonly reportIntervalMs?: number;
  /** Default: warnings and errors, a JSON object a line, on the standard error. A logger of pino fits. */
  readonly log?: Log;
  /** Default: the machine's. */
  readonly clock?: Clock;
  readonly random?: Random;
}

const versionCharactersMax = 64;
const durationMaxMs = 2_147_483_647;

/**
 * Checks what users give before anything is done with it: many of them write no TypeScript, and what is wrong would show much later, elsewhere.
 *
 * @throws RollcallError `BAD_NAME`, `BAD_OPTION`
 */
export function checkEmbedOptions(options: EmbedAppsOptions): void {
  const { instance, fleet = "default", version, data, reportIntervalMs, limitsMs = {} } = options;
  checkName("The instance", instance);
  checkName("The fleet", fleet);
  if (version !== undefined && !isText(version, versionCharactersMax))
    refuse("version", `it is a text of ${versionCharactersMax} characters at most`);
  if (data !== undefined && (!isText(data) || data === "")) refuse("data", "it is the path of a folder");
  checkDuration("reportIntervalMs", reportIntervalMs);
  for (const [verb, limit] of Object.entries(limitsMs)) {
    if (!verbs.some((known) => known === verb)) refuse("limitsMs", `there is no call ${verb}`);
    checkDuration(`limitsMs.${verb}`, limit);
  }
  checkEngine(options.engine);
  checkNats(options.nats);
}

function checkEngine(engine: Partial<AppEngine> | undefined): void {
  const missing = verbs.filter((verb) => typeof engine?.[verb] !== "function");
  if (missing.length > 0) refuse("engine", `it has no function ${missing.join(", ")}`);
}

function checkNats(nats: EmbedAppsOptions["nats"] | undefined): void {
  if (nats !== undefined && isBus(nats)) return;
  const servers: unknown = typeof nats === "object" ? nats.servers : nats;
  const list = Array.isArray(servers) ? servers : [servers];
  if (!list.every((one) => isText(one)) || parseNatsAddress(list) === undefined)
    refuse("nats", "it is no address of the form nats://user:password@host:port");
}

function checkDuration(option: string, value: unknown): void {
  if (value === undefined) return;
  if (typeof value !== "number" || !(value > 0 && value <= durationMaxMs))
    refuse(option, `it is a time in milliseconds, above 0 and up to ${durationMaxMs}`);
}

function isText(value: unknown, charactersMax = Number.POSITIVE_INFINITY): value is string {
  return typeof value === "string" && value.length <= charactersMax;
}

export function isBus(nats: EmbedAppsOptions["nats"]): nats is Bus {
  return typeof nats === "object" && "publish" in nats;
}

function checkName(what: string, name: unknown): void {
  if (!idSchema.safeParse(name).success)
    throw refusal("BAD_NAME", { what, name, rule: idSchema.meta()?.description });
}

function refuse(option: string, problem: string): never {
  throw refusal("BAD_OPTION", { option, problem });
}
