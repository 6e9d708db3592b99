import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { connect, createInbox, PermissionViolationError } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LedgerEntry } from "../../src/base/ports.js";
import type { NatsBus } from "../../src/bus/nats-bus.js";
import { connectNatsBus } from "../../src/bus/nats-bus.js";
import { keys, storesOf } from "../../src/contracts/keys.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { directGetSubject, openLedgerReader } from "../../src/ledger/ledger-reader.js";
import { openNatsObjects, openObjectsReader } from "../../src/ledger/nats-objects.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { eventually } from "../kit/eventually.js";
import { startNats } from "../kit/nats.js";
import { quietLog } from "../kit/quiet-log.js";
import type { TestNats } from "../kit/test-nats.js";

const fleet = "default";
const subjects = subjectsOf(fleet);
const { bucket, eventStream, files } = storesOf(fleet);
const kvStream = `KV_${bucket}`;
const objectStream = `OBJ_${files}`;
const oneMebibyte = 1024 ** 2;

const password = {
  coordinator: "pw-c",
  publisher: "pw-p",
  "api-client": "pw-a",
  sys: "pw-s",
  "web-1": "pw-1",
  "web-2": "pw-2",
  "web-3": "pw-3",
};
type User = keyof typeof password;
const env = {
  ROLLCALL_COORDINATOR_PASSWORD: password.coordinator,
  ROLLCALL_PUBLISHER_PASSWORD: password.publisher,
  ROLLCALL_API_PASSWORD: password["api-client"],
  ROLLCALL_SYS_PASSWORD: password.sys,
  ROLLCALL_WEB_1_PASSWORD: password["web-1"],
  ROLLCALL_WEB_2_PASSWORD: password["web-2"],
  ROLLCALL_WEB_3_PASSWORD: password["web-3"],
};

let nats: TestNats;
const ends: (() => Promise<void>)[] = [];
const clients = new Map<User, Client>();

beforeAll(async () => {
  const conf = await readFile(new URL("../../nats.conf", import.meta.url), "utf8");
  // Everything but where it listens and stores is as it stands in the file.
  const store = 'jetstream { store_dir: "@DIR@/jetstream", max_mem: 256MB, max_file: 20GB }';
  nats = await startNats({ config: `${conf}\n${store}`, env });
  ends.push(() => nats.stop());
  const { connection } = await client("coordinator");
  const republish = { src: `$KV.${bucket}.desired.>`, dest: `${subjects.root}.desired.>` };
  const kv = await new Kvm(connection).create(bucket, { history: 1, republish, max_bytes: 64 * oneMebibyte });
  for (const id of ["web-1", "web-2"]) await kv.put(keys.desiredInstance(id), JSON.stringify({ for: id }));
  await kv.put(keys.epoch, "1");
  await kv.put("desired.apps", "{}");
  await kv.put("desired.app.shop", '{"app":"shop"}');
  await new Objm(connection).create(files, { max_bytes: 64 * oneMebibyte });
}, 180_000);
afterAll(async () => {
  for (const end of ends.reverse()) await end();
});

/** A connection that knows what was refused on it. */
class Client {
  readonly connection: NatsConnection;
  readonly refused: string[] = [];

  constructor(connection: NatsConnection) {
    this.connection = connection;
    void this.#collect();
  }

  /** Publishes and tells whether the server let it through. */
  async mayPublish(subject: string, data = ""): Promise<boolean> {
    const mark = `publish ${subject}`;
    this.connection.publish(subject, data);
    await this.connection.flush();
    // The server answers in order, so a refusal came before the flush was answered.
    await new Promise((resolve) => setImmediate(resolve));
    return !this.refused.splice(0).includes(mark);
  }

  async maySubscribe(subject: string): Promise<boolean> {
    let refused = false;
    const subscription = this.connection.subscribe(subject, {
      callback: (error) => {
        refused ||= error !== null;
      },
    });
    await this.connection.flush();
    await new Promise((resolve) => setImmediate(resolve));
    if (!refused) subscription.unsubscribe();
    return !refused;
  }

  async #collect(): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type === "error" && status.error instanceof PermissionViolationError) {
        this.refused.push(`${status.error.operation} ${status.error.subject}`);
      }
    }
  }
}

async function client(user: User): Promise<Client> {
  const known = clients.get(user);
  if (known !== undefined) return known;
  const connection = await connect({
    servers: nats.url,
    user,
    pass: password[user],
    inboxPrefix: `_INBOX_${user}`,
    timeout: 5_000,
  });
  ends.push(() => connection.close());
  const made = new Client(connection);
  clients.set(user, made);
  return made;
}

/** A connection of Rollcall's own, as this user. */
async function busOf(user: User): Promise<NatsBus> {
  const bus = await connectNatsBus({
    servers: nats.url,
    user,
    pass: password[user],
    name: user,
    inboxPrefix: `_INBOX_${user}`,
    clock: createRealClock(),
    log: quietLog,
  });
  ends.push(() => bus.close());
  return bus;
}

async function* chunksOf(data: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += 100_000) yield data.subarray(at, at + 100_000);
}

/** The allowed ones of these, each tried. */
async function allowed(
  list: readonly string[],
  may: (subject: string) => Promise<boolean>,
): Promise<string[]> {
  const through: string[] = [];
  for (const subject of list) if (await may(subject)) through.push(subject);
  return through;
}

test("no user comes in without its password", async () => {
  await expect(connect({ servers: nats.url, user: "web-1", pass: "pw-2" })).rejects.toThrow(/Authorization/);
  await expect(connect({ servers: nats.url })).rejects.toThrow(/Authorization/);
});

describe("an agent", () => {
  test("reads its desired state and hears of every change to it, by the code that agents run", async () => {
    const bus = await busOf("web-1");
    const reader = openLedgerReader(bus, fleet);
    const heard: LedgerEntry[] = [];
    reader.watch(keys.desiredInstance("web-1"), (entry) => heard.push(entry));
    reader.watch(keys.desiredAppsBelow, (entry) => heard.push(entry));
    await bus.flush();
    expect((await reader.get(keys.desiredInstance("web-1")))?.value).toEqual({ for: "web-1" });
    expect((await reader.get("desired.apps"))?.value).toEqual({});
    expect((await reader.get("desired.app.shop"))?.value).toEqual({ app: "shop" });
    const kv = await new Kvm((await client("coordinator")).connection).open(bucket);
    await kv.put(keys.desiredInstance("web-2"), '{"for":"web-2","n":2}');
    await kv.put(keys.desiredInstance("web-1"), '{"for":"web-1","n":2}');
    await kv.put("desired.app.shop", '{"app":"shop","n":2}');
    await eventually(() => heard.length === 2);
    expect(heard.map(({ value }) => value)).toEqual([
      { for: "web-1", n: 2 },
      { app: "shop", n: 2 },
    ]);
    await expect(reader.get(keys.desiredInstance("web-2"))).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    await expect(reader.get(keys.epoch)).rejects.toMatchObject({ code: "NOT_ALLOWED" });
  });

  test("reports, and answers what it is asked, once", async () => {
    const { connection: agent } = await client("web-1");
    const { connection: coordinator } = await client("coordinator");
    const reports: string[] = [];
    coordinator.subscribe(subjects.health("*"), { callback: (_, { subject }) => void reports.push(subject) });
    agent.subscribe(subjects.ask("web-1", ">"), { callback: answer });
    agent.subscribe(subjects.appsAsk("web-1", "*"), { callback: answer });
    agent.subscribe(subjects.actorState("*", "web-1"), { callback: answer });
    coordinator.subscribe(subjects.apps("*"), { callback: (_, { subject }) => void reports.push(subject) });
    await Promise.all([agent.flush(), coordinator.flush()]);
    agent.publish(subjects.health("web-1"), "{}");
    agent.publish(subjects.apps("web-1"), "{}");
    await eventually(() => reports.length === 2);
    expect((await coordinator.request(subjects.appsAsk("web-1", "report"), "")).string()).toBe("first");
    const answers: string[] = [];
    const question = subjects.ask("web-1", "report");
    for await (const message of await coordinator.requestMany(question, "", {
      strategy: "timer",
      maxWait: 500,
    })) {
      answers.push(message.string());
    }
    expect(answers).toEqual(["first"]);
    const { connection: apiClient } = await client("api-client");
    const state = await apiClient.request(subjects.actorState("instance", "web-1"), "", { timeout: 5_000 });
    expect(state.string()).toBe("first");
    const inspected: string[] = [];
    apiClient.subscribe(subjects.actorInspect("*", "*"), {
      callback: (_, { subject }) => void inspected.push(subject),
    });
    await apiClient.flush();
    expect(await (await client("web-1")).mayPublish(subjects.actorInspect("instance", "web-1"), "{}")).toBe(
      true,
    );
    await eventually(() => inspected.length === 1);

    function answer(_: Error | null, question: Msg): void {
      question.respond("first");
      question.respond("second");
    }
  });

  test("downloads the file of a release, piece by piece, by direct get alone", async () => {
    const content = randomBytes(3 * oneMebibyte + 17);
    const { connection: publisher } = await client("publisher");
    const store = await new Objm(publisher).open(files);
    const name = "release v1.tar.gz";
    await store.putBlob({ name, options: { max_chunk_size: 128 * 1024 } }, content);
    const { connection: agent } = await client("web-1");
    const got = await download(agent, name);
    expect(got.pieces).toBe(25);
    expect(sha256(got.data)).toBe(sha256(content));
    expect((await (await client("web-1")).refused).length).toBe(0);
  });

  test("downloads what a publisher pushed, by the code that they run", async () => {
    const content = randomBytes(2 * oneMebibyte + 1);
    const clock = createRealClock();
    const publisher = openNatsObjects({ fleet, bus: await busOf("publisher"), clock, log: quietLog });
    const pushed = await publisher.put("release v2.tar.gz", chunksOf(content));
    expect(pushed).toEqual({
      name: "release v2.tar.gz",
      sizeBytes: content.length,
      digest: `sha256:${sha256(content)}`,
    });
    expect(await publisher.list()).toContainEqual(expect.objectContaining(pushed));
    const reader = openObjectsReader({ fleet, bus: await busOf("web-1"), clock });
    const got: Uint8Array[] = [];
    for await (const chunk of reader.get(pushed.name)) got.push(chunk);
    expect(sha256(Buffer.concat(got))).toBe(sha256(content));
  });

  test("cannot speak for another, or as the control plane, or change what is stored", async () => {
    const agent = await client("web-1");
    // Whether it runs elsewhere already.
    expect(await agent.mayPublish(subjects.ask("web-1", "report"), "{}")).toBe(true);
    const refused = [
      subjects.health("web-2"),
      subjects.health("web-10"),
      subjects.apps("web-2"),
      subjects.actorInspect("instance", "web-2"),
      subjects.actorState("instance", "web-2"),
      subjects.ask("web-1", "anything"),
      subjects.ask("web-2", "report"),
      subjects.desired(keys.desiredInstance("web-1")),
      subjects.desired(keys.desiredInstance("web-2")),
      subjects.desired("desired.apps"),
      subjects.event("deployment", "d1"),
      subjects.api("deployments", "create"),
      "$SRV.PING",
      "_INBOX_coordinator.x.y",
      "_INBOX_web-2.x",
      `$KV.${bucket}.${keys.desiredInstance("web-1")}`,
      `$KV.${bucket}.${keys.desiredInstance("web-2")}`,
      `$KV.${bucket}.${keys.epoch}`,
      `$KV.${bucket}.${keys.lease}`,
      `$O.${files}.M.abc`,
      `$O.${files}.C.abc`,
      "$SYS.REQ.SERVER.PING",
      "$SYS.REQ.ACCOUNT.ROLLCALL.INFO",
      ">",
    ];
    expect(await allowed(refused, (subject) => agent.mayPublish(subject, "{}"))).toEqual([]);
  });

  test("cannot read another's desired state, nor anything of the ledger but its own", async () => {
    const agent = await client("web-1");
    const get = `$JS.API.DIRECT.GET.${kvStream}`;
    const refused = [
      `${get}.$KV.${bucket}.${keys.desiredInstance("web-2")}`,
      `${get}.$KV.${bucket}.${keys.desiredInstance("web-10")}`,
      `${get}.$KV.${bucket}.${keys.instance("web-1")}`,
      `${get}.$KV.${bucket}.${keys.epoch}`,
      `${get}.$KV.${bucket}.${keys.lease}`,
      `${get}.$KV.${bucket}.>`,
      get,
      `$JS.API.STREAM.MSG.GET.${kvStream}`,
      `$JS.API.STREAM.MSG.GET.${objectStream}`,
      `$JS.API.DIRECT.GET.ROLLCALL_${fleet}_EVENTS`,
    ];
    expect(await allowed(refused, (subject) => agent.mayPublish(subject, '{"seq":1}'))).toEqual([]);
    // Its own key's subject with somebody else's message in the body.
    const own = `${get}.$KV.${bucket}.${keys.desiredInstance("web-1")}`;
    for (const body of [
      '{"seq":1}',
      `{"multi_last":["$KV.${bucket}.>"]}`,
      `{"last_by_subj":"$KV.${bucket}.${keys.epoch}"}`,
    ]) {
      const answer = await agent.connection.request(own, body, { timeout: 5_000 });
      expect([answer.headers?.code, answer.string()]).toEqual([408, ""]);
    }
  });

  test("cannot use the rest of JetStream: no stream, no consumer, no deletion", async () => {
    const agent = await client("web-1");
    const calls = [kvStream, objectStream].flatMap((stream) => [
      `$JS.API.STREAM.INFO.${stream}`,
      `$JS.API.STREAM.UPDATE.${stream}`,
      `$JS.API.STREAM.DELETE.${stream}`,
      `$JS.API.STREAM.PURGE.${stream}`,
      `$JS.API.STREAM.MSG.DELETE.${stream}`,
      `$JS.API.STREAM.LEADER.STEPDOWN.${stream}`,
      `$JS.API.STREAM.SNAPSHOT.${stream}`,
      `$JS.API.CONSUMER.CREATE.${stream}`,
      `$JS.API.CONSUMER.CREATE.${stream}.mine`,
      `$JS.API.CONSUMER.CREATE.${stream}.mine.$KV.${bucket}.${keys.desiredInstance("web-1")}`,
      `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.mine`,
      `$JS.API.CONSUMER.MSG.NEXT.${stream}.mine`,
      `$JS.API.CONSUMER.LIST.${stream}`,
    ]);
    const refused = [
      ...calls,
      "$JS.API.INFO",
      "$JS.API.STREAM.CREATE.MINE",
      "$JS.API.STREAM.NAMES",
      "$JS.API.STREAM.LIST",
    ];
    expect(await allowed(refused, (subject) => agent.mayPublish(subject, "{}"))).toEqual([]);
  });

  test("cannot listen to what is not for it", async () => {
    const agent = await client("web-1");
    const refused = [
      ">",
      "*",
      "_INBOX.>",
      "_INBOX_web-2.>",
      "_INBOX_coordinator.>",
      `${subjects.root}.>`,
      subjects.health("*"),
      subjects.health("web-1"),
      subjects.desired("desired.>"),
      subjects.desired(keys.desiredInstance("web-2")),
      `${subjects.root}.desired.instance.*`,
      subjects.ask("web-2", ">"),
      subjects.ask("*", ">"),
      subjects.appsAsk("web-2", ">"),
      subjects.actorState("*", "*"),
      subjects.actorState("instance", "web-2"),
      subjects.event("*", "*"),
      subjects.api("deployments", "create"),
      "$SRV.PING",
      `$KV.${bucket}.>`,
      `$KV.${bucket}.${keys.desiredInstance("web-1")}`,
      `$O.${files}.>`,
      "$JS.API.>",
      "$JS.EVENT.>",
      "$SYS.>",
    ];
    expect(await allowed(refused, (subject) => agent.maySubscribe(subject))).toEqual([]);
  });
});

describe("the others", () => {
  test("a publisher adds and reads files, and neither removes any nor touches the ledger", async () => {
    const publisher = await client("publisher");
    const store = await new Objm(publisher.connection).open(files);
    await store.putBlob({ name: "another" }, new TextEncoder().encode("content"));
    expect(await store.info("another")).toMatchObject({ name: "another", size: 7 });
    const refused = [
      `$JS.API.STREAM.PURGE.${objectStream}`,
      `$JS.API.STREAM.DELETE.${objectStream}`,
      `$JS.API.STREAM.MSG.DELETE.${objectStream}`,
      `$JS.API.STREAM.UPDATE.${objectStream}`,
      `$JS.API.CONSUMER.CREATE.${objectStream}.mine`,
      `$JS.API.DIRECT.GET.${kvStream}`,
      `$KV.${bucket}.${keys.epoch}`,
      subjects.health("web-1"),
      subjects.ask("web-1", "report"),
      subjects.desired(keys.desiredInstance("web-1")),
      "$SYS.REQ.SERVER.PING",
    ];
    expect(await allowed(refused, (subject) => publisher.mayPublish(subject, "{}"))).toEqual([]);
    expect(
      await allowed([">", subjects.desired("desired.>"), "_INBOX.>"], (subject) =>
        publisher.maySubscribe(subject),
      ),
    ).toEqual([]);
  });

  test("a client of the API asks, and reads, follows and verifies the audit log, and no more", async () => {
    const apiClient = await client("api-client");
    const mine = [
      subjects.api("deployments", "create"),
      "$SRV.PING",
      "$SRV.INFO.rollcall",
      "$SRV.STATS.rollcall.x",
      `$JS.API.DIRECT.GET.${eventStream}`,
      `$JS.API.STREAM.MSG.GET.${eventStream}`,
      directGetSubject(fleet, keys.eventHead),
      directGetSubject(fleet, keys.ledger),
    ];
    expect(await allowed(mine, (subject) => apiClient.mayPublish(subject))).toEqual(mine);
    expect(await apiClient.maySubscribe(subjects.event("*", "*"))).toBe(true);
    const refused = [
      subjects.health("web-1"),
      subjects.ask("web-1", "report"),
      subjects.event("deployment", "d1"),
      `$KV.${bucket}.${keys.epoch}`,
      `$O.${files}.M.abc`,
      "$JS.API.INFO",
      `$JS.API.STREAM.INFO.${kvStream}`,
      `$JS.API.DIRECT.GET.${kvStream}`,
      directGetSubject(fleet, keys.epoch),
      `$JS.API.STREAM.MSG.GET.${kvStream}`,
      `$JS.API.STREAM.PURGE.${eventStream}`,
      `$JS.API.STREAM.DELETE.${eventStream}`,
      `$JS.API.STREAM.MSG.DELETE.${eventStream}`,
      `$JS.API.CONSUMER.CREATE.${eventStream}`,
    ];
    expect(await allowed(refused, (subject) => apiClient.mayPublish(subject, "{}"))).toEqual([]);
    const deaf = [
      ">",
      subjects.api("*", "*"),
      subjects.health("*"),
      subjects.desired("desired.>"),
      "$KV.>",
      "$SRV.>",
    ];
    expect(await allowed(deaf, (subject) => apiClient.maySubscribe(subject))).toEqual([]);
  });

  test("a coordinator leads: it makes streams, writes, hears reports and serves the API", async () => {
    const coordinator = await client("coordinator");
    const manager = await jetstreamManager(coordinator.connection);
    await manager.streams.add({ name: "MADE", subjects: ["made"], max_bytes: oneMebibyte });
    await jetstream(coordinator.connection).publish("made", "x");
    await manager.streams.delete("MADE");
    const hears = [subjects.health("*"), subjects.api("*", "*"), "$SRV.PING"];
    expect(await allowed(hears, (subject) => coordinator.maySubscribe(subject))).toEqual(hears);
  });

  test("the account of the system sees the servers and nothing of the fleet", async () => {
    const { connection } = await client("sys");
    const heard: string[] = [];
    connection.subscribe(`${subjects.root}.>`, { callback: (_, { subject }) => void heard.push(subject) });
    const answer = await connection.request("$SYS.REQ.SERVER.PING", "", { timeout: 5_000 });
    expect(answer.json()).toMatchObject({ server: { jetstream: true } });
    await (await client("coordinator")).mayPublish(subjects.health("web-1"));
    await connection.flush();
    expect(heard).toEqual([]);
  });
});

/** What an agent does to get a file: the entry by its own subject, then the pieces in batches after the last one had. */
async function download(agent: NatsConnection, name: string): Promise<{ data: Buffer; pieces: number }> {
  const token = Buffer.from(name).toString("base64url");
  // The object store pads its base64.
  const padded = token.padEnd(Math.ceil(token.length / 4) * 4, "=");
  const entry = await agent.request(`$JS.API.DIRECT.GET.${objectStream}.$O.${files}.M.${padded}`, "", {
    timeout: 5_000,
  });
  const { nuid, chunks } = entry.json<{ nuid: string; chunks: number }>();
  const pieces: Uint8Array[] = [];
  let sequence = 0;
  while (pieces.length < chunks) {
    const batch = await nextPieces(agent, `$O.${files}.C.${nuid}`, sequence + 1);
    expect(batch.length).toBeGreaterThan(0);
    for (const piece of batch) {
      pieces.push(piece.data);
      sequence = Number(piece.headers?.get("Nats-Sequence"));
    }
  }
  return { data: Buffer.concat(pieces), pieces: pieces.length };
}

async function nextPieces(agent: NatsConnection, subject: string, seq: number): Promise<Msg[]> {
  const inbox = createInbox("_INBOX_web-1");
  const answers = agent.subscribe(inbox, { timeout: 5_000 });
  agent.publish(
    `$JS.API.DIRECT.GET.${objectStream}`,
    JSON.stringify({ seq, next_by_subj: subject, batch: 8 }),
    {
      reply: inbox,
    },
  );
  const pieces: Msg[] = [];
  for await (const answer of answers) {
    // 204: the batch is at its end.
    if (answer.headers?.hasError || answer.headers?.code === 204) break;
    pieces.push(answer);
  }
  return pieces;
}

function sha256(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}
