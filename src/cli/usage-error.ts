import { RollcallError } from "../base/errors.js";
import { usageCode } from "./exit-codes.js";

/** A command line that cannot be carried out: one sentence that says how it should look. Ends with exit code 2. */
export function usageError(sentence: string): RollcallError {
  return new RollcallError(usageCode, sentence);
}
