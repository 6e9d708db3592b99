import { z } from "zod";
import { versionSchema } from "./names.js";

/** What an instance runs, or should: a release with a configuration. A version never changes once pushed. */
export const versionPairSchema = z.strictObject({
  release: versionSchema,
  config: versionSchema.nullable(),
});
export type VersionPair = z.infer<typeof versionPairSchema>;

/** `null` stands for "stopped" on both sides. */
export function sameVersion(one: VersionPair | null, other: VersionPair | null): boolean {
  return (
    one?.release === other?.release &&
    (one?.config ?? null) === (other?.config ?? null) &&
    (one === null) === (other === null)
  );
}

/** For people: `v2`, `v2 with config c1`, `stopped`. */
export function versionText(version: VersionPair | null): string {
  if (version === null) return "stopped";
  return version.config === null ? version.release : `${version.release} with config ${version.config}`;
}
