import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/containers/**", "test/e2e/**/*faults.test.ts", "**/node_modules/**"],
    environment: "node",
    pool: "forks",
    // Tests start real servers and agents: more files at once only slow each other down.
    maxWorkers: 2,
    testTimeout: 180_000,
    hookTimeout: 180_000,
    retry: 0,
  },
});
