import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { refusal } from "../../contracts/errors.js";
import { type Manifest, manifestSchema } from "../../contracts/release.js";
import { ifThere } from "./disk-errors.js";
import { oneLine } from "./printable.js";

const manifestName = "rollcall.json";
const manifestBytesMax = 1_024 * 1_024;
const problemsMax = 5;

/**
 * The `rollcall.json` at the root of a release.
 *
 * @param version for the message, the version that is being pushed
 * @throws RollcallError `BAD_MANIFEST`, with what is wrong in words
 */
export async function readManifest(folder: string, version: string | undefined): Promise<Manifest> {
  const problem = (words: string, cause?: unknown) =>
    refusal("BAD_MANIFEST", { version, problem: words }, cause);
  const text = await textOf(join(folder, manifestName));
  if (text === undefined) throw problem(await whyMissing(folder));
  if (text.length > manifestBytesMax) throw problem(`it is larger than ${manifestBytesMax} bytes`);
  let content: unknown;
  try {
    content = JSON.parse(text.toString("utf8"));
  } catch (thrown) {
    throw problem(
      `it is no JSON (${oneLine(thrown instanceof Error ? thrown.message : String(thrown))})`,
      thrown,
    );
  }
  const parsed = manifestSchema.safeParse(content);
  if (!parsed.success) throw problem(problemsText(parsed.error.issues), parsed.error);
  if (parsed.data.port !== undefined && parsed.data.order === "startFirst")
    throw problem("a fixed port needs the order stopFirst, since two processes cannot listen on it");
  return parsed.data;
}

async function textOf(path: string): Promise<Buffer | undefined> {
  const file = await ifThere(open(path, "r"));
  if (file === undefined) return undefined;
  try {
    const buffer = Buffer.alloc(manifestBytesMax + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function whyMissing(folder: string): Promise<string> {
  const names = await readdir(folder);
  const [only] = names;
  const inside =
    names.length === 1 && only !== undefined ? await ifThere(readdir(join(folder, only))) : undefined;
  const hint =
    inside?.includes(manifestName) === true
      ? `; it is in ${oneLine(only ?? "")}/: push what that folder holds`
      : "";
  return `there is none at the root of the release${hint}`;
}

function problemsText(
  issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[],
): string {
  const words = issues.slice(0, problemsMax).map(({ path, message }) => {
    const where = path.map(String).join(".");
    return oneLine(where === "" ? message : `${where}: ${message}`);
  });
  if (issues.length > problemsMax) words.push(`and ${issues.length - problemsMax} more problems`);
  return words.join("; ");
}
