import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findNatsServer } from "../src/nats-server/find.js";
import { appsOfFleet } from "./apps.js";
import { failover } from "./failover.js";
import { thousand } from "./fleet.js";
import { intake } from "./intake.js";
import type { Benchmark } from "./kit/benchmark.js";
import { machineFacts } from "./kit/machine.js";
import { pageOf, tableOf } from "./kit/page.js";
import { keepResults, type Result, resultOf } from "./kit/result.js";
import { stderrLog } from "./kit/stderr-log.js";
import { load } from "./load.js";
import { nextBatch } from "./next-batch.js";
import { runtime } from "./runtime.js";
import { simulator } from "./simulator.js";
import { up } from "./up.js";

const benchmarks: readonly Benchmark[] = [
  intake,
  load,
  nextBatch,
  thousand,
  up,
  failover,
  appsOfFleet,
  runtime,
  simulator,
];

const usage = `npm run bench -- [NAME…] [--json] [--save]

  NAME    only these, of ${benchmarks.map(({ name }) => name).join(", ")}
  --json  everything as JSON on the standard output
  --save  keep the results in bench/results.json and write docs/benchmarks.md, both below the working folder
`;

/** Runs the named benchmarks, or all, one after another. @returns the exit code */
async function main(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      save: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const chosen = benchmarks.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  const unknown = positionals.filter((name) => !benchmarks.some((benchmark) => benchmark.name === name));
  if (values.help || unknown.length > 0) {
    process.stderr.write(usage);
    return values.help ? 0 : 2;
  }
  const dataDir = join(tmpdir(), "rollcall-bench-server");
  const nats = await findNatsServer({ env: process.env, dataDir, log: stderrLog });
  const results: Result[] = [];
  for (const benchmark of chosen) {
    const result = await measure(benchmark, nats);
    results.push(result);
    if (!values.json) process.stdout.write(`${tableOf(result)}\n`);
  }
  if (values.json) process.stdout.write(`${JSON.stringify(results, undefined, 2)}\n`);
  if (values.save) {
    const order = benchmarks.map(({ name }) => name);
    writeFileSync("docs/benchmarks.md", pageOf(keepResults("bench/results.json", results, order)));
  }
  return 0;
}

async function measure(benchmark: Benchmark, nats: { path: string; version: string }): Promise<Result> {
  const { name } = benchmark;
  const machine = machineFacts(nats.version);
  const startedAtMs = performance.now();
  const say = (sentence: string) => process.stderr.write(`${name}: ${sentence}\n`);
  const findings = await benchmark.run({ natsBinary: nats.path, say });
  const tookSeconds = Math.round((performance.now() - startedAtMs) / 1_000);
  return resultOf(benchmark, findings, { at: new Date().toISOString(), tookSeconds, machine });
}

// By way of `exit`, so that servers and workers end with this process.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));
process.exit(await main());
