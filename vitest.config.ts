import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/containers/**", "test/**/*.faults.test.ts", "**/node_modules/**"],
    environment: "node",
    pool: "forks",
    // Tests start real servers and agents, and wait for them much of the time; more files at once slow each other down.
    maxWorkers: 3,
    testTimeout: 180_000,
    hookTimeout: 180_000,
    retry: 0,
  },
});
