import { InvalidArgumentError } from "commander";
import type { Amount } from "../contracts/deployment.js";

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `500ms`, `10s`, `5m`, `1.5h`, `2d` in milliseconds. */
export function parseDuration(text: string): number {
  const [, number, unit = ""] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text) ?? [];
  const unitMs = unitsMs[unit];
  if (number === undefined || unitMs === undefined)
    throw new InvalidArgumentError("Give a number with a unit: 500ms, 10s, 5m, 2h or 1d.");
  return Math.round(Number(number) * unitMs);
}

/** `2` or `25%`; whether it is a sensible one is the control plane's to say. */
export function parseAmount(text: string): Amount {
  if (!/^-?\d{1,9}%?$/.test(text))
    throw new InvalidArgumentError("Give a whole number (2) or a percentage (25%).");
  return text.endsWith("%") ? text : Number(text);
}

/** `2%` or `0.02`, as a share of 1. */
export function parseShare(text: string): number {
  const [, number, percent] = /^(\d{1,3}(?:\.\d{1,6})?)(%?)$/.exec(text) ?? [];
  const share = Number(number) / (percent === "%" ? 100 : 1);
  if (number === undefined || share > 1) throw new InvalidArgumentError("Give a share: 2% or 0.02.");
  return share;
}

export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("Give a whole number from 1.");
  return Number(text);
}

/** For an option that may be given several times. */
export function collect<T>(
  parse: (text: string) => T,
): (text: string, before: readonly T[] | undefined) => readonly T[] {
  return (text, before = []) => [...before, parse(text)];
}
