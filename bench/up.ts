import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connectNatsBus, createClient, type NatsBus } from "../src/index.js";
import { type Benchmark, ratios } from "./kit/benchmark.js";
import { makeFolder, startNats } from "./kit/nats.js";

const runs = 7;
const lookEveryMs = 5;
const readyWithinMs = 30_000;

/** From nothing to a control plane that answers. */
export const up: Benchmark = {
  name: "up",
  about:
    "`rollcall up` in an empty data folder, with the server binary there: from the start of the process until a client of its own, which " +
    "looks every 5 ms, has got the fleet's status. Beside it the parts that nobody can save: Node.js starting and ending, and the same server " +
    `until it answers. ${runs} runs, the two in turn.`,
  run: async ({ natsBinary, say }) => {
    const ours: number[] = [];
    const bare: number[] = [];
    for (let run = 0; run < runs; run++) {
      bare.push(await nodeAndServer(natsBinary));
      ours.push(await upUntilReady(natsBinary));
      say(`${ours.at(-1)?.toFixed(0)} ms, bare ${bare.at(-1)?.toFixed(0)} ms`);
    }
    return {
      figures: [
        {
          what: "rollcall up, until its control plane answers",
          unit: "ms",
          ours,
          bare: { what: "an empty Node.js program + nats-server until it answers", values: bare },
          ratio: ratios(ours, bare),
          goal: { of: "ours", below: 1_500 },
        },
      ],
      notes: [],
    };
  },
};

async function nodeAndServer(natsBinary: string): Promise<number> {
  const startedAtMs = performance.now();
  await once(spawn(process.execPath, ["--eval", "0"], { stdio: "ignore" }), "exit");
  const nats = await startNats(natsBinary, "disk");
  const tookMs = performance.now() - startedAtMs;
  await nats.stop();
  return tookMs;
}

async function upUntilReady(natsBinary: string): Promise<number> {
  const folder = makeFolder("disk");
  const program = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
  const startedAtMs = performance.now();
  const child = spawn(process.execPath, [program, "up", "--data", folder.path, "--log-level", "error"], {
    stdio: "ignore",
    env: { PATH: process.env.PATH, NATS_SERVER_BIN: natsBinary },
  });
  const ended = once(child, "exit");
  try {
    const bus = await whenThere(join(folder.path, "context.json"));
    const client = createClient({ bus, fleet: "default" });
    await client.status.get({});
    const tookMs = performance.now() - startedAtMs;
    await bus.close();
    return tookMs;
  } finally {
    child.kill("SIGTERM");
    await ended;
    folder.remove();
  }
}

async function whenThere(path: string): Promise<NatsBus> {
  const latestAtMs = performance.now() + readyWithinMs;
  while (!existsSync(path)) {
    if (performance.now() > latestAtMs)
      throw new Error(`rollcall up was not ready within ${readyWithinMs} ms`);
    await pause(lookEveryMs);
  }
  const { url, user, password } = JSON.parse(readFileSync(path, "utf8")) as {
    url: string;
    user: string;
    password: string;
  };
  return connectNatsBus({ servers: url, user, pass: password });
}
