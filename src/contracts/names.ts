import { z } from "zod";

/** Fleets, instances, apps, workspaces, environments, deployments, agents. */
export const idPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/;
/** Versions of releases and configurations. `.` and `..` cannot match: the first character is a letter or digit. */
export const versionPattern = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/;

export const idSchema = z
  .string()
  .regex(idPattern)
  .meta({ description: "1 to 63 characters out of A-Z a-z 0-9 _ -, the first a letter or digit" });
export const versionSchema = z
  .string()
  .regex(versionPattern)
  .meta({ description: "1 to 64 characters out of A-Z a-z 0-9 . _ + -, the first a letter or digit" });

/** What is its own token, as nearly every name is. */
const plainToken = /^[A-Za-z0-9_-]*$/;

/**
 * Turns a name into one token of a subject, a key or a path, and no two names into the same one:
 * what is not `[A-Za-z0-9_-]` becomes `=` and two hexadecimal digits (`1.0+b` is `1=2E0=2Bb`). A dot would end a
 * token, `+` is no key character.
 */
export function escapeToken(name: string): string {
  if (plainToken.test(name)) return name;
  return name.replace(/[^A-Za-z0-9_-]/gu, (character) =>
    [...new TextEncoder().encode(character)]
      .map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, "0")}`)
      .join(""),
  );
}

/** The inverse of {@link escapeToken}; `undefined` for what it never produces. */
export function unescapeToken(token: string): string | undefined {
  if (plainToken.test(token)) return token;
  const bytes: number[] = [];
  for (let at = 0; at < token.length; at++) {
    const character = token.charAt(at);
    if (character !== "=") bytes.push(character.charCodeAt(0));
    else {
      const hex = token.slice(at + 1, at + 3);
      if (!/^[0-9A-F]{2}$/.test(hex)) return undefined;
      bytes.push(Number.parseInt(hex, 16));
      at += 2;
    }
  }
  try {
    const name = new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes));
    return escapeToken(name) === token ? name : undefined;
  } catch {
    return undefined;
  }
}
