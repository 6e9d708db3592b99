import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeTempDir } from "../kit/temp-dir.js";

/**
 * A small HTTP service, as a user would write it. `GET /` tells what it was given; what `GET /health` answers is set by
 * HEALTH in its environment and changed by `GET /become?<health>`: ok, degraded, failing, or silent. Where JOURNAL names a
 * file, it notes there when it begins and ends to listen.
 */
const server = `
const { appendFileSync, readFileSync } = require("node:fs");
const { createServer } = require("node:http");
const { PORT, ROLLCALL_INSTANCE, ROLLCALL_RELEASE, ROLLCALL_CONFIG, ROLLCALL_CONFIG_FILE, JOURNAL } = process.env;
let health = process.env.HEALTH ?? "ok";
const note = (what) => JOURNAL && appendFileSync(JOURNAL, what + " " + ROLLCALL_RELEASE + "\\n");
const facts = () => ({
  pid: process.pid,
  port: Number(PORT),
  instance: ROLLCALL_INSTANCE,
  release: ROLLCALL_RELEASE,
  config: ROLLCALL_CONFIG ?? null,
  configFile: ROLLCALL_CONFIG_FILE ?? null,
  configText: ROLLCALL_CONFIG_FILE === undefined ? null : readFileSync(ROLLCALL_CONFIG_FILE, "utf8"),
  content: readFileSync("content.txt", "utf8"),
  environment: Object.keys(process.env),
});
const server = createServer((request, response) => {
  const { pathname, search } = new URL(request.url, "http://localhost");
  if (pathname === "/become") {
    health = search.slice(1);
    response.end();
  } else if (pathname !== "/health") response.end(JSON.stringify(facts()));
  else if (health === "degraded") response.end(JSON.stringify({ status: "degraded" }));
  else if (health === "failing") response.writeHead(500).end("broken");
  else if (health !== "silent") response.end(JSON.stringify({ status: "ok" }));
});
server.listen(Number(PORT), "127.0.0.1", () => note("begin"));
process.on("SIGTERM", () => {
  server.close(() => {
    note("end");
    process.exit(0);
  });
  server.closeIdleConnections();
});
`;

/** What `GET /` of the service tells. */
export interface ServiceFacts {
  readonly pid: number;
  readonly port: number;
  readonly instance: string;
  readonly release: string;
  readonly config: string | null;
  readonly configFile: string | null;
  readonly configText: string | null;
  readonly content: string;
  /** The names of all variables. */
  readonly environment: readonly string[];
}

export interface ServiceOptions {
  /** Over the ones that are quick and strict enough for tests. */
  readonly manifest?: Readonly<Record<string, unknown>>;
  /** What the service reads as its content. */
  readonly content?: string;
  readonly files?: Readonly<Record<string, string>>;
}

/** Rules that let a deployment of a healthy service take well under a second an instance. */
const manifest = {
  start: ["node", "server.cjs"],
  healthCheck: {
    type: "http",
    path: "/health",
    intervalMs: 100,
    timeoutMs: 1_000,
    retries: 2,
    startPeriodMs: 10_000,
  },
  minHealthyMs: 200,
  deadlineMs: 40_000,
  restarts: 1,
  stop: { signal: "SIGTERM", graceMs: 3_000 },
};

/** Makes the folder of a release of the service. */
export function makeService({
  manifest: own = {},
  content = "hello",
  files = {},
}: ServiceOptions = {}): string {
  const folder = makeTempDir();
  const all = {
    "rollcall.json": JSON.stringify({ ...manifest, ...own }),
    "server.cjs": server,
    "content.txt": content,
    ...files,
  };
  for (const [name, text] of Object.entries(all)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

/** The check of a service that never answers, judged quickly. */
export const quickToFail = { ...manifest.healthCheck, timeoutMs: 200, startPeriodMs: 500 };

/** Asks a service what it was given. */
export async function factsAt(port: number): Promise<ServiceFacts> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } });
  return (await response.json()) as ServiceFacts;
}
