import type { z } from "zod";
import type { RollcallError } from "../base/errors.js";
import { type EndpointName, endpoints, type ParsedRequestOf } from "../contracts/api.js";
import { refusal } from "../contracts/errors.js";
import { idPattern, idSchema, versionPattern, versionSchema } from "../contracts/names.js";

/** Problems named in one sentence; the rest are counted. */
const problemsMax = 3;
const shownCharactersMax = 80;

/**
 * A request as its handler may trust it. Nothing at all counts as `{}`.
 * @param version of this control plane, for whoever asks it for something that only another one knows
 * @throws RollcallError `BAD_REQUEST`, `BAD_NAME`, `UNKNOWN_FIELD`
 */
export function parseRequest<E extends EndpointName>(
  endpoint: E,
  data: Uint8Array,
  version: string,
): ParsedRequestOf<E> {
  const given = parseJson(data);
  const parsed = endpoints[endpoint].request.safeParse(given, { reportInput: true });
  if (parsed.success) return parsed.data as ParsedRequestOf<E>;
  const unknown = unknownFieldsIn(parsed.error);
  if (unknown.length < parsed.error.issues.length) throw badRequest(parsed.error);
  throw refusal("UNKNOWN_FIELD", { endpoint, version, fields: shownFields(unknown.flat()) });
}

/** The fields of each issue that is about nothing else. */
function unknownFieldsIn({ issues }: z.ZodError): string[][] {
  return issues.flatMap((issue) =>
    issue.code === "unrecognized_keys" ? [issue.keys.map((key) => [...issue.path, key].join("."))] : [],
  );
}

function shownFields(fields: readonly string[]): string {
  const named = fields
    .slice(0, problemsMax)
    .map((field) => JSON.stringify(field.slice(0, shownCharactersMax)));
  const others = fields.length - named.length;
  return others > 0 ? `${named.join(", ")} and ${others} more` : named.join(", ");
}

/**
 * A name or version that a person typed, before anything is done with it.
 * @throws RollcallError `BAD_NAME`
 */
export function checkName(kind: "name" | "version", what: string, given: string): string {
  if ((kind === "name" ? idPattern : versionPattern).test(given)) return given;
  throw badName(kind, what, given);
}

function parseJson(data: Uint8Array): unknown {
  if (data.length === 0) return {};
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
  } catch (thrown) {
    throw refusal("BAD_REQUEST", { problem: "it is no JSON text in UTF-8" }, thrown);
  }
}

function badRequest(error: z.ZodError): RollcallError {
  const [first] = error.issues;
  const kind = first === undefined ? undefined : nameKindOf(first);
  if (first !== undefined && kind !== undefined)
    return badName(kind, `The ${kind} in ${pathOf(first)}`, first.input);
  return refusal("BAD_REQUEST", { problem: sentenceOf(error) });
}

/** Zod's list of issues as one half of a sentence: `batch: expected number, received boolean`. */
export function sentenceOf(error: z.ZodError): string {
  const named = error.issues.slice(0, problemsMax).map((issue) => {
    const at = pathOf(issue);
    const problem = issue.message.replace(/^Invalid input: /, "").replace(/\.$/, "");
    return at === "" ? problem : `${at}: ${problem}`;
  });
  const others = error.issues.length - named.length;
  return others > 0 ? `${named.join("; ")}; and ${others} more` : named.join("; ");
}

function pathOf(issue: z.core.$ZodIssue): string {
  return issue.path.map(String).join(".");
}

function nameKindOf(issue: z.core.$ZodIssue): "name" | "version" | undefined {
  if (issue.code !== "invalid_format") return undefined;
  if (issue.pattern === String(idPattern)) return "name";
  return issue.pattern === String(versionPattern) ? "version" : undefined;
}

function badName(kind: "name" | "version", what: string, given: unknown): RollcallError {
  const rule = (kind === "name" ? idSchema : versionSchema).meta()?.description;
  const text = typeof given === "string" ? given : String(given);
  const shown = text.length <= shownCharactersMax ? text : `${text.slice(0, shownCharactersMax)}…`;
  return refusal("BAD_NAME", { what, name: JSON.stringify(shown), rule: `a ${kind} has ${rule}` });
}
