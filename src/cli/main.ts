#!/usr/bin/env node
import { processIo } from "./cli-io.js";
import { runCli } from "./program.js";

// Whoever reads may have enough before all is written: `rollcall instances ls | head -1`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

process.exitCode = await runCli(process.argv.slice(2), processIo());
