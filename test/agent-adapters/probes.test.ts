import { existsSync, readFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTcpServer, type Server } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { createProbes } from "../../src/agent/adapters/probes.js";
import { type HealthCheck, healthCheckSchema } from "../../src/contracts/release.js";
import { eventually } from "../kit/eventually.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { clock, random, runs } from "./kit.js";

const servers: { close(): unknown; closeAllConnections?(): void }[] = [];
const dataDir = makeTempDir();
const probes = createProbes({ dataDir, clock, random });

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections?.();
    server.close();
  }
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as { port: number }).port;
}

async function http(answer: RequestListener, also: Partial<HealthCheck> = {}) {
  const port = await listen(createServer(answer));
  return await probes.check(healthCheckSchema.parse({ type: "http", timeoutMs: 20_000, ...also }), {
    port,
    cwd: dataDir,
    env: {},
  });
}

async function command(run: string | string[], timeoutMs = 20_000, env: Record<string, string> = {}) {
  return await probes.check(healthCheckSchema.parse({ type: "command", command: run, timeoutMs }), {
    port: 1_234,
    cwd: dataDir,
    env,
  });
}

describe("an HTTP check", () => {
  test.each([200, 204, 299])("is healthy for %i", async (status) => {
    expect(await http((_, response) => response.writeHead(status).end())).toEqual({
      verdict: "healthy",
      detail: `HTTP ${status}`,
    });
  });

  test.each([400, 404, 500, 503])("is unhealthy for %i", async (status) => {
    expect(await http((_, response) => response.writeHead(status).end("x"))).toEqual({
      verdict: "unhealthy",
      detail: `HTTP ${status}`,
    });
  });

  test("does not follow a redirect", async () => {
    let asked = 0;
    const result = await http((request, response) => {
      asked++;
      if (request.url === "/health") response.writeHead(302, { location: "/fine" }).end();
      else response.end();
    });
    expect(result).toMatchObject({ verdict: "unhealthy" });
    expect(result.detail).toContain("302");
    expect(asked).toBe(1);
  });

  test("asks for the given path", async () => {
    const asked: (string | undefined)[] = [];
    await http(
      (request, response) => {
        asked.push(request.url);
        response.end();
      },
      { path: "/deep/check?x=1" },
    );
    expect(asked).toEqual(["/deep/check?x=1"]);
  });

  test.each([
    ["by its header", (): [Record<string, string>, string] => [{ "X-Rollcall-Health": "Degraded" }, ""]],
    ["by its body", (): [Record<string, string>, string] => [{}, ' {"status":"degraded","why":"slow"}']],
  ])("is degraded when the service says so %s", async (_, answer) => {
    const [headers, body] = answer();
    expect(await http((_request, response) => response.writeHead(200, headers).end(body))).toMatchObject({
      verdict: "degraded",
    });
  });

  test.each(['{"status":"ok"}', '{"status":', "[]", "degraded", '"degraded"', "null"])(
    "is healthy for any other body: %s",
    async (body) => {
      expect(await http((_, response) => response.end(body))).toMatchObject({ verdict: "healthy" });
    },
  );

  test("reads a bounded part of an endless answer", async () => {
    let sent = 0;
    const result = await http((_, response) => {
      const more = () => {
        sent += 16_384;
        if (response.write("x".repeat(16_384))) setImmediate(more);
        else response.once("drain", more);
      };
      response.on("error", () => undefined);
      more();
    });
    expect(result).toEqual({ verdict: "healthy", detail: "HTTP 200" });
    expect(sent).toBeLessThan(50_000_000);
  });

  test.each<[string, RequestListener]>([
    ["says nothing", () => undefined],
    ["stops in the middle of its answer", (_, response) => void response.writeHead(200).write("{")],
  ])("is unhealthy by its timeout when the service %s", async (_, answer) => {
    const sinceMs = performance.now();
    expect(await http(answer, { timeoutMs: 200 })).toEqual({
      verdict: "unhealthy",
      detail: "no answer within 200 ms",
    });
    expect(performance.now() - sinceMs).toBeLessThan(5_000);
  });

  test("is unhealthy when the connection breaks off", async () => {
    expect(await http((request) => request.socket.destroy())).toMatchObject({ verdict: "unhealthy" });
    expect(
      await http(
        (_, response) =>
          void response.writeHead(200, { "content-length": "9" }).write("x", () => response.destroy()),
      ),
    ).toMatchObject({ verdict: "unhealthy" });
  });

  test("is unhealthy for something that is no HTTP", async () => {
    const port = await listen(createTcpServer((socket) => socket.end("SSH-2.0-hello\r\n")));
    const check = healthCheckSchema.parse({ type: "http" });
    expect(await probes.check(check, { port, cwd: dataDir, env: {} })).toMatchObject({
      verdict: "unhealthy",
    });
  });

  test("is unhealthy, not an error, for a path that cannot be asked for", async () => {
    expect(await http((_, response) => response.end(), { path: "/with space" })).toMatchObject({
      verdict: "unhealthy",
    });
  });
});

describe("a TCP check", () => {
  const check = healthCheckSchema.parse({ type: "tcp", timeoutMs: 20_000 });

  test("is healthy when somebody listens", async () => {
    const port = await listen(createTcpServer((socket) => socket.on("error", () => undefined)));
    expect(await probes.check(check, { port, cwd: dataDir, env: {} })).toMatchObject({ verdict: "healthy" });
  });

  test("is unhealthy when nobody does", async () => {
    const server = createTcpServer();
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    expect(await probes.check(check, { port, cwd: dataDir, env: {} })).toEqual({
      verdict: "unhealthy",
      detail: "connection refused",
    });
  });
});

describe("a check by a command", () => {
  test.each([
    ["0", "healthy"],
    ["3", "degraded"],
    ["1", "unhealthy"],
    ["127", "unhealthy"],
  ])("that ends with %s is %s", async (code, verdict) => {
    expect(await command(`echo so; exit ${code}`)).toEqual({ verdict, detail: `exit code ${code}: so` });
  });

  test("finds the port and the service's environment", async () => {
    expect(
      await command('test "$PORT $NAME" = "1234 x" && test "$PWD" = "$WHERE"', 20_000, {
        NAME: "x",
        WHERE: dataDir,
      }),
    ).toMatchObject({ verdict: "healthy" });
  });

  test("that hangs is unhealthy by its timeout, and ended with all that it started", async () => {
    const pids = join(dataDir, "pids");
    const sinceMs = performance.now();
    const result = await command(
      `trap "" TERM; echo $$ >> ${pids}; sh -c 'trap "" TERM; echo $$ >> ${pids}; sleep 300; true' & wait`,
      400,
    );
    expect(result).toEqual({ verdict: "unhealthy", detail: "no answer within 400 ms" });
    expect(performance.now() - sinceMs).toBeLessThan(5_000);
    expect(existsSync(pids)).toBe(true);
    const started = readFileSync(pids, "utf8").trim().split("\n").map(Number);
    await eventually(() => started.filter(runs).length === 0);
  });

  test("that is not there is unhealthy and says so", async () => {
    const result = await command(["/no/such/check"]);
    expect(result.verdict).toBe("unhealthy");
    expect(result.detail).toContain("ENOENT");
  });

  test("in a folder that is gone is unhealthy, not an error", async () => {
    const check = healthCheckSchema.parse({ type: "command", command: "true" });
    expect(await probes.check(check, { port: 1, cwd: "/no/such/folder", env: {} })).toMatchObject({
      verdict: "unhealthy",
    });
  });
});
