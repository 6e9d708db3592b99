import { request } from "node:http";
import { connect } from "node:net";
import type { Clock, Random } from "../../base/ports.js";
import type { HealthCheck } from "../../contracts/release.js";
import type { ProbeResult, Probes } from "../ports.js";
import { Commands, endText } from "./commands.js";
import { systemCodeOf } from "./disk-errors.js";
import { oneLine } from "./printable.js";
import { ownerOf } from "./process-marks.js";
import { within } from "./waiting.js";

export interface ProbesOptions {
  /** The agent's folder: check commands that it leaves behind when it is killed are ended by its next run. */
  readonly dataDir: string;
  readonly clock: Clock;
  readonly random: Random;
}

type Target = Parameters<Probes["check"]>[1];
type Answer = (result: ProbeResult) => void;

const address = "127.0.0.1";
/** So much of an answer is read to find `{"status":"degraded"}` in it. */
const bodyBytesMax = 64 * 1_024;
/** The exit code by which a check command says "degraded". */
const degradedCode = 3;

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the connection was reset",
  EPIPE: "the connection was closed",
};

/**
 * Checks of services on this host, by the real network and real programs. HTTP and TCP checks go to 127.0.0.1, where
 * the published routes lead as well.
 */
export function createProbes({ dataDir, clock, random }: ProbesOptions): Probes {
  const commands = new Commands({ clock, random, owner: ownerOf(dataDir) });
  return {
    async check(check, target) {
      try {
        if (check.type === "command") return await checkCommand(clock, commands, check, target);
        const probe = check.type === "http" ? checkHttp(check, target) : checkTcp(target);
        return await answered(clock, check.timeoutMs, probe);
      } catch (thrown) {
        return unhealthy(problemOf(thrown));
      }
    },
  };
}

/** Begins a probe; returns how to end it early. */
type Probe = (answer: Answer) => () => void;

function answered(clock: Clock, timeoutMs: number, probe: Probe): Promise<ProbeResult> {
  return new Promise((resolve, reject) => {
    let end: () => void = () => undefined;
    const timer = clock.setTimer(timeoutMs, () => {
      resolve(unhealthy(`no answer within ${timeoutMs} ms`));
      end();
    });
    try {
      end = probe((result) => {
        timer.cancel();
        resolve(result);
        end();
      });
    } catch (thrown) {
      timer.cancel();
      reject(thrown);
    }
  });
}

function checkTcp({ port }: Target): Probe {
  return (answer) => {
    const socket = connect({ host: address, port });
    socket.once("connect", () => answer({ verdict: "healthy", detail: `port ${port} accepts connections` }));
    socket.on("error", (error) => answer(unhealthy(problemOf(error))));
    return () => socket.destroy();
  };
}

function checkHttp({ path }: Extract<HealthCheck, { type: "http" }>, { port }: Target): Probe {
  return (answer) => {
    const headers = {
      accept: "application/json, */*;q=0.5",
      connection: "close",
      "user-agent": "rollcall-health-check",
    };
    const asking = request({ host: address, port, path, method: "GET", agent: false, headers });
    asking.on("error", (error) => answer(unhealthy(problemOf(error))));
    asking.on("response", (response) => {
      const status = response.statusCode ?? 0;
      const said = String(response.headers["x-rollcall-health"] ?? "")
        .trim()
        .toLowerCase();
      if (status < 200 || status > 299) return answer(unhealthy(httpText(status)));
      if (said === "degraded")
        return answer({ verdict: "degraded", detail: "the header X-Rollcall-Health says degraded" });
      const chunks: Buffer[] = [];
      let bytes = 0;
      const judge = () =>
        answer(judgeBody(status, bytes > bodyBytesMax ? "" : Buffer.concat(chunks).toString("utf8")));
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > bodyBytesMax) judge();
        else chunks.push(chunk);
      });
      response.on("end", judge);
      response.on("error", (error) => answer(unhealthy(problemOf(error))));
    });
    asking.end();
    return () => asking.destroy();
  };
}

function judgeBody(status: number, body: string): ProbeResult {
  const healthy: ProbeResult = { verdict: "healthy", detail: `HTTP ${status}` };
  if (!/^\s*\{/.test(body)) return healthy;
  try {
    const { status: said } = JSON.parse(body) as { status?: unknown };
    return said === "degraded"
      ? { verdict: "degraded", detail: 'the answer says {"status":"degraded"}' }
      : healthy;
  } catch (thrown) {
    // A body that begins like JSON and is none says nothing; the status code has spoken.
    if (thrown instanceof SyntaxError) return healthy;
    throw thrown;
  }
}

function httpText(status: number): string {
  return status >= 300 && status <= 399 ? `HTTP ${status}, and redirects are not followed` : `HTTP ${status}`;
}

async function checkCommand(
  clock: Clock,
  commands: Commands,
  check: Extract<HealthCheck, { type: "command" }>,
  { cwd, env, port }: Target,
): Promise<ProbeResult> {
  const { timeoutMs } = check;
  const run = commands.run({
    command: check.command,
    cwd,
    env: { PORT: String(port), ...env },
    timeoutMs,
    killGraceMs: 0,
  });
  // The answer does not wait until the last process of the check is gone.
  const result = await within(clock, timeoutMs, run);
  if (result === undefined || result.end.kind === "timeout")
    return unhealthy(`no answer within ${timeoutMs} ms`);
  const { end, tail } = result;
  const lastLine = oneLine(tail.split("\n").at(-1) ?? "");
  const detail = lastLine === "" ? endText(end) : `${endText(end)}: ${lastLine}`;
  if (end.kind !== "ended" || (end.code !== 0 && end.code !== degradedCode)) return unhealthy(detail);
  return { verdict: end.code === 0 ? "healthy" : "degraded", detail };
}

function unhealthy(detail: string): ProbeResult {
  return { verdict: "unhealthy", detail };
}

function problemOf(thrown: unknown): string {
  const word = words[systemCodeOf(thrown) ?? ""];
  return word ?? oneLine(thrown instanceof Error ? thrown.message : String(thrown));
}
