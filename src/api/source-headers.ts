import { type AnswerSource, placeText, revisionHeader } from "../contracts/answer-source.js";

/** What an answer says of where it comes from. */
export function sourceHeaders(source: AnswerSource | undefined): Record<string, string> {
  return source === undefined ? {} : { [revisionHeader]: placeText(source) };
}
