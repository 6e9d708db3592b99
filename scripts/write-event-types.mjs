// Writes the table of the types of events into docs/audit.md: npm run docs:audit
import { readFileSync, writeFileSync } from "node:fs";
import { auditPagePath, withTypes } from "../test/kit/audit-page.ts";

writeFileSync(auditPagePath, withTypes(readFileSync(auditPagePath, "utf8")));
