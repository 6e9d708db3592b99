import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { startNats, withNats } from "./nats.js";

const nats = withNats();

function client(timeoutMs = 10_000) {
  const { user, password } = nats().credentials;
  return connect({ servers: nats().url, user, pass: password, reconnectTimeWait: 50, timeout: timeoutMs });
}

test("a test's server keeps address, credentials and store over SIGKILL and restart", async () => {
  const connection = await client();
  await (await jetstreamManager(connection)).streams.add({ name: "KEPT", subjects: ["kept"] });
  await jetstream(connection).publish("kept", "before");
  await connection.close();
  const { pid, url } = nats();
  await nats().kill9();
  await nats().restart();
  expect(nats().url).toBe(url);
  expect(nats().pid).not.toBe(pid);
  const again = await client();
  expect((await (await jetstreamManager(again)).streams.info("KEPT")).state.messages).toBe(1);
  await again.close();
});

test("a paused server answers nobody until it goes on", async () => {
  const connection = await client();
  await nats().pause();
  let answered = false;
  const flushed = connection.flush().then(() => {
    answered = true;
  });
  await expect(client(300).then((other) => other.close())).rejects.toThrow();
  expect(answered).toBe(false);
  await nats().resume();
  await flushed;
  await connection.close();
});

test("a server that cannot start says why", async () => {
  await expect(startNats({ config: "no_such_option: {" })).rejects.toThrow(/nats-server ended at its start/);
});
