#!/usr/bin/env node
import { processIo } from "./cli-io.js";
import { runCli } from "./program.js";

// Whoever reads may have enough before all is written: `rollcall instances ls | head -1`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

// Loaded when needed: a command that ends should not wait for the code of those that stay.
process.exitCode = await runCli(process.argv.slice(2), processIo(), {
  up: async (options, io) => (await import("./run/up.js")).runUp(options, io),
  coordinator: async (options, io) => (await import("./run/coordinator.js")).runCoordinator(options, io),
  agent: async (options, io) => (await import("./run/agent.js")).runAgent(options, io),
  rehearse: async (...work) => (await import("./run/rehearsal-threads.js")).playOnThreads(...work),
  chaos: async (...work) => (await import("./run/chaos-threads.js")).doChaosOnThreads(...work),
});
