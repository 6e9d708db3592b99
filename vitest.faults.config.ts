import { defineConfig } from "vitest/config";

/** Faults with real processes: killed servers, coordinators, agents and services. `npm run test:faults`, after a build. */
export default defineConfig({
  test: {
    include: ["test/**/*.faults.test.ts"],
    environment: "node",
    pool: "forks",
    maxWorkers: 2,
    maxConcurrency: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    retry: 0,
  },
});
