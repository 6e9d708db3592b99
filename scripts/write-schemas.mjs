// Writes the JSON Schema of rollcall.json to schemas: npm run docs:schemas
import { mkdirSync, writeFileSync } from "node:fs";
import { manifestSchemaPath, manifestSchemaText } from "../test/kit/manifest-schema.ts";

mkdirSync(new URL(".", `file://${manifestSchemaPath}`), { recursive: true });
writeFileSync(manifestSchemaPath, manifestSchemaText());
