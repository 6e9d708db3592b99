import { fileURLToPath } from "node:url";
import { z } from "zod";
import { manifestSchema } from "../../src/contracts/release.js";

/** Where the JSON Schema of `rollcall.json` is kept, for editors. */
export const manifestSchemaPath = fileURLToPath(
  new URL("../../schemas/rollcall.schema.json", import.meta.url),
);

/** What it should be, made from the schema by which a manifest is checked. */
export function manifestSchemaText(): string {
  const schema = z.toJSONSchema(manifestSchema, { io: "input" });
  return `${JSON.stringify({ $id: "rollcall.schema.json", title: "rollcall.json", ...schema }, null, 2)}\n`;
}
