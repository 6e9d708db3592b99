import { durationText } from "../contracts/duration.js";
import type { DeploymentPreview } from "../contracts/views.js";
import { countText } from "./words.js";

const batchesShownMax = 10;
const namesShownMax = 12;

/** What `deploy --dry-run` says. */
export function previewText(preview: DeploymentPreview): string {
  const { spec, batch, failureThreshold, matched, batches, batchCount, doubts } = preview;
  const { notNeeded, notNeededCount, unreachable, unreachableCount } = preview;
  const told = matched - notNeededCount - unreachableCount;
  const lines = [
    `Would tell ${told} of ${countText(matched, "matching instance")}, ${batch} at a time, and fail at ${countText(failureThreshold, "failure")}.`,
    `Each has ${durationText(spec.deadlineMs)}, and must be healthy for ${durationText(spec.minHealthyMs)}.`,
  ];
  for (const [index, names] of batches.slice(0, batchesShownMax).entries())
    lines.push(`  ${index + 1}  ${namesText(names, names.length)}`);
  if (batchCount > batchesShownMax) lines.push(`  and ${batchCount - batchesShownMax} batches more`);
  if (notNeededCount > 0) lines.push(`Run it already: ${namesText(notNeeded, notNeededCount)}`);
  if (unreachableCount > 0)
    lines.push(`Silent, told when they return: ${namesText(unreachable, unreachableCount)}`);
  return [...lines, ...doubts.map((doubt) => `Mind: ${doubt}`), "Nothing was changed."].join("\n");
}

function namesText(names: readonly string[], count: number): string {
  const shown = names.slice(0, namesShownMax);
  const more = count - shown.length;
  return more > 0 ? `${shown.join(", ")} and ${more} more` : shown.join(", ");
}
