import { ageText } from "../contracts/duration.js";
import { sameVersion, type VersionPair } from "../contracts/version.js";
import type { FleetStatus } from "../contracts/views.js";

const secondMs = 1_000;

/** `3m ago`, `just now`; without a moment, a dash. */
export function agoText(atMs: number | null, nowMs: number): string {
  return atMs === null ? "-" : ageText(nowMs - atMs);
}

/** `12:04`, minutes and seconds since a beginning. */
export function stopwatchText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / secondMs));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** A version in a narrow place: `v2`, `v2 / c1`, `-` for nothing. */
export function versionCell(version: VersionPair | null): string {
  if (version === null) return "-";
  return version.config === null ? version.release : `${version.release} / ${version.config}`;
}

/** `v1 → v2` on the way, `v2` at rest. */
export function wayText(running: VersionPair | null, desired: VersionPair | null): string {
  if (sameVersion(running, desired)) return versionCell(running);
  return `${versionCell(running)} → ${desired === null ? "stopped" : versionCell(desired)}`;
}

export function sizeText(bytes: number | null): string {
  if (bytes === null) return "-";
  if (bytes < 1_000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB"];
  const power = Math.min(units.length, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1_000 ** power).toPrecision(3)} ${units[power - 1]}`;
}

/** `1 instance`, `2 instances`. */
export function countText(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** `a, b, c`, or `a, b and 7 more`. */
export function namesText(names: readonly string[], shownMax: number): string {
  const shown = names.slice(0, shownMax).join(", ");
  return names.length > shownMax ? `${shown} and ${names.length - shownMax} more` : shown;
}

/** What is to be said of a fleet's apps besides how many there are; nothing of those that are as asked. */
export function oddAppsText({ alerts, alerted = [], unasked = 0 }: NonNullable<FleetStatus["apps"]>): string {
  const named = alerted.map(({ app, instances, causes }, at) => {
    const where = at === 0 ? countText(instances, "instance") : String(instances);
    return `${app} on ${where}${causes.length === 0 ? "" : ` (${causes.join(", ")})`}`;
  });
  const left = alerts - alerted.reduce((sum, { instances }) => sum + instances, 0);
  const what = [...named, ...(left === 0 ? [] : [alerted.length === 0 ? String(left) : `${left} more`])];
  const parts = [
    ...(unasked === 0 ? [] : [`${unasked} more that nobody asked for`]),
    ...(alerts === 0 ? [] : [`not as asked for too long: ${what.join(", ")}`]),
  ];
  return parts.join("; ");
}

/** `tier=web,zone=a`; a dash for none. */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  const parts = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return parts.length === 0 ? "-" : parts.toSorted().join(",");
}

/** What others wrote, safe for a terminal: control characters could move the cursor or worse. */
export function plainText(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ");
}
