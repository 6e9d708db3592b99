import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { manifestSchema } from "../../src/contracts/release.js";
import {
  manifestSchemaPath,
  manifestSchemaText,
  planSchemaPath,
  planSchemaText,
} from "../kit/manifest-schema.js";

test("the JSON Schemas that are shipped are the ones that files are checked by; npm run docs:schemas writes them anew", () => {
  expect(readFileSync(manifestSchemaPath, "utf8")).toBe(manifestSchemaText());
  expect(readFileSync(planSchemaPath, "utf8")).toBe(planSchemaText());
});

test("a manifest of two lines gets the defaults of the design", () => {
  const manifest = manifestSchema.parse({ start: "node server.js", healthCheck: { type: "http" } });
  expect(manifest).toMatchObject({
    order: "stopFirst",
    minHealthyMs: 10_000,
    deadlineMs: 900_000,
    stuckMs: 300_000,
    restarts: 3,
    healthCheck: {
      path: "/health",
      intervalMs: 30_000,
      timeoutMs: 10_000,
      retries: 3,
      startPeriodMs: 40_000,
    },
  });
});

test("a misspelt field is refused by its name instead of being ignored", () => {
  const parsed = manifestSchema.safeParse({
    start: "node server.js",
    healthCheck: { type: "tcp" },
    helthCheck: {},
  });
  expect(parsed.error?.issues[0]?.message).toContain("helthCheck");
});
