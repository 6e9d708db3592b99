import { fileURLToPath } from "node:url";
import { eventTypes } from "../../src/contracts/event-types.js";

/** The page that has the table of all types of events. */
export const auditPagePath = fileURLToPath(new URL("../../docs/audit.md", import.meta.url));

/** The page with its table as it should be. */
export function withTypes(page: string): string {
  const rows = Object.entries(eventTypes).map(
    ([type, { sentence, when }]) => `| \`${type}\` | ${when} | ${sentence} |`,
  );
  const table = ["| type | written when | in words |", "| --- | --- | --- |", ...rows].join("\n");
  return page.replace(/(<!-- types: .*? -->\n)[\s\S]*?(<!-- end -->)/, `$1\n${table}\n\n$2`);
}
