import { fileURLToPath } from "node:url";
import { z } from "zod";
import { manifestSchema } from "../../src/contracts/release.js";
import { rehearsalPlanSchema } from "../../src/simulator/plan.js";

/** Where the JSON Schema of `rollcall.json` is kept, for editors. */
export const manifestSchemaPath = fileURLToPath(
  new URL("../../schemas/rollcall.schema.json", import.meta.url),
);

/** What it should be, made from the schema by which a manifest is checked. */
export function manifestSchemaText(): string {
  const schema = z.toJSONSchema(manifestSchema, { io: "input" });
  return `${JSON.stringify({ $id: "rollcall.schema.json", title: "rollcall.json", ...schema }, null, 2)}\n`;
}

/** Where the JSON Schema of a plan for `rollcall simulate --plan` is kept. */
export const planSchemaPath = fileURLToPath(
  new URL("../../schemas/rehearsal-plan.schema.json", import.meta.url),
);

export function planSchemaText(): string {
  const schema = z.toJSONSchema(rehearsalPlanSchema, { io: "input" });
  return `${JSON.stringify({ $id: "rehearsal-plan.schema.json", title: "A plan for rollcall simulate", ...schema }, null, 2)}\n`;
}
