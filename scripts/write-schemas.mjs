// Writes the JSON Schemas of rollcall.json and of rehearsal plans to schemas: npm run docs:schemas
import { mkdirSync, writeFileSync } from "node:fs";
import {
  manifestSchemaPath,
  manifestSchemaText,
  planSchemaPath,
  planSchemaText,
} from "../test/kit/manifest-schema.ts";

mkdirSync(new URL(".", `file://${manifestSchemaPath}`), { recursive: true });
writeFileSync(manifestSchemaPath, manifestSchemaText());
writeFileSync(planSchemaPath, planSchemaText());
