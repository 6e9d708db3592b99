import { z } from "zod";
import { copied } from "./answer-source.js";

/** What requests and answers of several endpoints have. */

/** A list as it stood at `asOf` (ledger time) under `epoch`. */
export function listOf<T extends z.ZodType>(item: T) {
  return z.object({ items: z.array(item), asOf: z.number(), epoch: z.number(), ...copied });
}

export const by = z.string().max(128).default("unknown").meta({ description: "Who asks, for the audit log" });
export const reason = z.string().max(1_024).nullable().default(null);
export const requestKey = z
  .string()
  .min(1)
  .max(64)
  .optional()
  .meta({ description: "Repeats of a request with the same key get the first answer" });
