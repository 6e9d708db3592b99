import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { connect, headers } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import type { Log } from "../../src/base/ports.js";
import { parseNatsAddress } from "../../src/bus/nats-address.js";
import { connectNatsBus } from "../../src/bus/nats-bus.js";
import type { NatsBusOptions } from "../../src/bus/nats-connect.js";
import { OutboundMeter } from "../../src/bus/outbound-meter.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { eventually } from "../kit/eventually.js";
import { startNats, withNats } from "../kit/nats.js";
import { quietLog } from "../kit/quiet-log.js";
import type { TestNats } from "../kit/test-nats.js";
import { busSuite } from "./bus-suite.js";

const clock = createRealClock();

/** A log whose lines a test reads. */
function collect(lines: string[]): Log {
  const note = (facts: object, sentence: string) => void lines.push(`${sentence} ${JSON.stringify(facts)}`);
  return { ...quietLog, info: note, warn: note, error: note };
}

const connectTo = (server: TestNats, options: Partial<NatsBusOptions> = {}) =>
  connectNatsBus({
    servers: server.url,
    user: server.credentials.user,
    pass: server.credentials.password,
    name: "test",
    clock,
    log: quietLog,
    ...options,
  });

const shared = withNats();

busSuite("the bus over NATS", async () => ({
  connect: (name) => connectTo(shared(), { name }),
  cut: () => shared().kill9(),
  heal: () => shared().restart(),
  end: async () => undefined,
}));

describe("a NATS connection", () => {
  test("a server that cannot be reached is named, without the password", async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve));
    const address = closed.address();
    const port = typeof address === "object" ? address?.port : undefined;
    await new Promise((resolve) => closed.close(resolve));
    const trying = connectNatsBus({
      servers: `nats://u:secret@127.0.0.1:${port}`,
      name: "test",
      clock,
      log: quietLog,
    });
    await expect(trying).rejects.toMatchObject({
      code: "NATS_UNREACHABLE",
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
    await expect(trying).rejects.not.toMatchObject({ message: expect.stringContaining("secret") });
    await expect(
      connectNatsBus({ servers: "nats://a:b:c", name: "test", clock, log: quietLog }),
    ).rejects.toMatchObject({
      code: "NATS_UNREACHABLE",
    });
  });

  test("an old server is refused by name and version", async () => {
    const old = createServer((socket) => {
      socket.write(
        `INFO ${JSON.stringify({ server_id: "X", version: "2.11.9", proto: 1, headers: true, max_payload: 1_048_576 })}\r\n`,
      );
      socket.on("data", (data) => data.toString().includes("PING") && socket.write("PONG\r\n"));
      socket.on("error", () => socket.destroy());
    });
    await new Promise<void>((resolve) => old.listen(0, "127.0.0.1", resolve));
    const address = old.address();
    const port = typeof address === "object" ? address?.port : undefined;
    await expect(
      connectNatsBus({ servers: `127.0.0.1:${port}`, name: "test", clock, log: quietLog }),
    ).rejects.toMatchObject({
      code: "NATS_TOO_OLD",
      message: expect.stringContaining(`2.11.9 at 127.0.0.1:${port}`),
    });
    await new Promise((resolve) => old.close(resolve));
  });

  test("addresses: credentials and scheme are taken apart", () => {
    expect(parseNatsAddress("nats://u:p%40w@host:4333")).toEqual({
      servers: ["host:4333"],
      user: "u",
      pass: "p@w",
      tls: false,
    });
    expect(parseNatsAddress("a, tls://b:1/")).toEqual({
      servers: ["a", "b:1"],
      user: undefined,
      pass: undefined,
      tls: true,
    });
    expect(parseNatsAddress(["nats://[::1]:4222"])).toMatchObject({ servers: ["[::1]:4222"] });
    expect(parseNatsAddress("http://x")).toBeUndefined();
    expect(parseNatsAddress([])).toBeUndefined();
  });

  test("headers that the client cannot read do not stop the connection, not even in an answer", async () => {
    const bus = await connectTo(shared());
    const raw = await connect({
      servers: shared().url,
      user: shared().credentials.user,
      pass: shared().credentials.password,
    });
    const got: (string | undefined)[] = [];
    bus.subscribe("odd", (message) => got.push(message.header("a b")));
    await bus.flush();
    const odd = Object.assign(headers(), {
      encode: () => new TextEncoder().encode("NATS/1.0\r\na b\u0007: 1\r\n\r\n"),
    });
    raw.subscribe("odd.question", { callback: (_, message) => void message.respond("", { headers: odd }) });
    await raw.flush();
    raw.publish("odd", "", { headers: odd });
    const answer = await bus.request("odd.question", "", { timeoutMs: 10_000 });
    expect(answer.header("a b\u0007")).toBeUndefined();
    await bus.flush();
    expect(got).toEqual([undefined]);
    await raw.close();
    await bus.close();
  });

  test("a server that stands still delays, and loses nothing that it had accepted", async () => {
    const server = await startNats();
    const [one, two] = [await connectTo(server), await connectTo(server)];
    const got: string[] = [];
    two.subscribe("s", (message) => got.push(new TextDecoder().decode(message.data)));
    await two.flush();
    await server.pause();
    one.publish("s", "during the pause");
    await expect(one.request("s", "", { timeoutMs: 100 })).rejects.toMatchObject({ code: "REQUEST_TIMEOUT" });
    await server.resume();
    await eventually(() => got.length >= 1);
    expect(got[0]).toBe("during the pause");
    await one.close();
    await two.close();
    await server.stop();
  });

  test("closing while the server is gone or stands still ends", async () => {
    const server = await startNats();
    const [one, two] = [await connectTo(server), await connectTo(server)];
    await server.pause();
    await one.close();
    await server.kill9();
    await eventually(() => !two.connected);
    await two.close();
    await server.stop();
  });
});

describe("a connection with few rights", () => {
  const config = `
    authorization { users: [
      { user: all, password: pw }
      { user: few, password: pw, permissions: {
          publish: ["allowed.>"], subscribe: ["_INBOX_few.>", "allowed.>"], allow_responses: true } }
      { user: deaf, password: pw, permissions: { publish: ">", subscribe: ["nothing"] } }
    ] }`;
  const server = withNats({ config });

  const as = (user: string, options: Partial<NatsBusOptions> = {}) =>
    connectTo(server(), { user, pass: "pw", ...options });

  test("wrong credentials are told from an unreachable server", async () => {
    await expect(as("all", { pass: "wrong" })).rejects.toMatchObject({ code: "NOT_ALLOWED", retry: "never" });
    await expect(connectTo(server())).rejects.toMatchObject({ code: "NOT_ALLOWED" });
  });

  test("a request on another's subject is refused at once, what is allowed goes on", async () => {
    const all = await as("all");
    const lines: string[] = [];
    const few = await as("few", { inboxPrefix: "_INBOX_few", log: collect(lines) });
    all.subscribe(">", (message) => message.expectsReply && message.respond("yes"));
    await all.flush();
    await expect(few.request("forbidden.x", "", { timeoutMs: 20_000 })).rejects.toMatchObject({
      code: "NOT_ALLOWED",
    });
    for (let count = 0; count < 10; count++) few.publish("forbidden.y", "");
    few.subscribe("forbidden.z", () => undefined);
    expect(new TextDecoder().decode((await few.request("allowed.x", "", { timeoutMs: 20_000 })).data)).toBe(
      "yes",
    );
    await eventually(() => few.counts.handlerErrors === 12);
    expect(lines.filter((line) => line.includes("forbidden.y"))).toHaveLength(1);
    expect(lines.filter((line) => line.includes("forbidden.z"))).toHaveLength(1);
    await all.close();
    await few.close();
  });

  test("one that may not hear answers is told so instead of waiting", async () => {
    const deaf = await as("deaf");
    const all = await as("all");
    all.subscribe("x", (message) => message.respond("yes"));
    await all.flush();
    await expect(deaf.request("x", "", { timeoutMs: 20_000 })).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    await all.close();
    await deaf.close();
  });

  test("a confined responder can answer who asked", async () => {
    const few = await as("few", { inboxPrefix: "_INBOX_few" });
    const all = await as("all");
    few.subscribe("allowed.ask", (message) => message.respond("here"));
    await few.flush();
    const answer = await all.request("allowed.ask", "", { timeoutMs: 20_000 });
    expect(new TextDecoder().decode(answer.data)).toBe("here");
    await all.close();
    await few.close();
  });

  test("a server that comes back without knowing us is asked until it knows us again", async () => {
    const statuses: string[] = [];
    const all = await as("all");
    all.onStatus((status) => statuses.push(status));
    const file = join(server().dir, "nats.conf");
    const before = readFileSync(file, "utf8");
    writeFileSync(file, before.replace("{ user: all, password: pw }", "{ user: all, password: other }"));
    await server().restart();
    let refusals = 0;
    for await (const status of all.connection.status()) {
      if (status.type === "error" && ++refusals === 4) break;
    }
    writeFileSync(file, before);
    await server().restart();
    await eventually(() => all.connected);
    expect(statuses).toEqual(["disconnected", "reconnected"]);
    await all.close();
  });
});

test("a connection stops taking messages when the server has not read 64 MiB, and takes them again when it has", async () => {
  const answers: (() => void)[] = [];
  const meter = new OutboundMeter(() => new Promise((resolve) => answers.push(resolve)));
  let taken = 0;
  while (meter.mayTake(1_000_000) && taken < 1_000) taken++;
  expect(taken).toBe(68);
  for (let round = 0; round < 2; round++) {
    for (const answer of answers.splice(0)) answer();
    await Promise.resolve();
    await Promise.resolve();
    meter.mayTake(0);
  }
  expect(meter.mayTake(1)).toBe(true);
});
