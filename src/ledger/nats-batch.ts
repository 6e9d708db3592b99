import type { MsgHdrs, NatsConnection } from "@nats-io/transport-node";
import { errors, headers, nuid } from "@nats-io/transport-node";
import { messageOf } from "../base/errors.js";
import type { StoreAnswer, StoreBatch, StoreWrite } from "./store.js";

/** What the server says of a write that it did not do, by JetStream's error codes. */
const answers: Readonly<Record<number, "conflict" | "duplicate" | "again" | "full">> = {
  10071: "conflict",
  // Another write of the same expectation is under way, which happens on clusters only.
  10164: "again",
  10201: "duplicate",
  // The same message id is under way.
  10158: "again",
  // The batch did not arrive whole: a reconnect in the middle, or too many batches that nobody finished.
  10176: "again",
  10077: "full",
  10047: "full",
  10028: "full",
  10023: "full",
};

interface PubAck {
  readonly seq?: number;
  readonly error?: { readonly code?: number; readonly err_code?: number; readonly description?: string };
}

/**
 * Publishes a batch, whole or not at all. (The client library's own publisher of batches drops expectations and
 * times to live.) Never throws.
 *
 * @param subjectOf where the messages of a key are stored
 */
export async function publishBatch(
  connection: NatsConnection,
  batch: StoreBatch,
  options: { readonly timeoutMs: number; readonly subjectOf: (key: string) => string },
): Promise<StoreAnswer> {
  const { timeoutMs, subjectOf } = options;
  const id = batch.writes.length > 1 ? nuid.next() : undefined;
  try {
    let last: StoreWrite = batch.writes[0];
    for (const [index, write] of batch.writes.entries()) {
      last = write;
      if (index === batch.writes.length - 1) break;
      const sent = headersOf(batch, index, { id, subjectOf });
      connection.publish(subjectOf(write.key), bodyOf(write), { headers: sent });
    }
    const commit = headersOf(batch, batch.writes.length - 1, { id, subjectOf });
    const answer = await connection.request(subjectOf(last.key), bodyOf(last), {
      headers: commit,
      timeout: Math.max(1, timeoutMs),
    });
    return read(answer.json());
  } catch (thrown) {
    const isRefused =
      thrown instanceof errors.RequestError && thrown.cause instanceof errors.PermissionViolationError;
    return { kind: isRefused ? "refused" : "unanswered", problem: messageOf(thrown) };
  }
}

function bodyOf(write: StoreWrite): string {
  return write.deleted === true ? "" : write.body;
}

function headersOf(
  batch: StoreBatch,
  index: number,
  { id, subjectOf }: { readonly id: string | undefined; readonly subjectOf: (key: string) => string },
): MsgHdrs {
  const wire = headers();
  const write = batch.writes[index];
  if (id !== undefined) {
    wire.append("Nats-Batch-Id", id);
    wire.append("Nats-Batch-Sequence", String(index + 1));
    if (index === batch.writes.length - 1) wire.append("Nats-Batch-Commit", "1");
  }
  if (index === 0 && batch.messageId !== undefined) wire.append("Nats-Msg-Id", batch.messageId);
  if (write?.expect !== undefined) {
    wire.append("Nats-Expected-Last-Subject-Sequence", String(write.expect.revision));
    if (write.expect.key !== write.key) {
      wire.append("Nats-Expected-Last-Subject-Sequence-Subject", subjectOf(write.expect.key));
    }
  }
  if (write?.ttlMs !== undefined) wire.append("Nats-TTL", `${Math.ceil(write.ttlMs / 1_000)}s`);
  if (write?.deleted === true) wire.append("KV-Operation", "DEL");
  for (const name in write?.headers) wire.append(name, write.headers[name] ?? "");
  return wire;
}

function read({ seq, error }: PubAck): StoreAnswer {
  if (error === undefined) {
    if (seq !== undefined && seq > 0) return { kind: "stored", revision: seq };
    return { kind: "unanswered", problem: "the server answered without a sequence" };
  }
  const { code = 0, err_code = 0, description = "" } = error;
  const problem = `${description} (${err_code})`;
  const kind = answers[err_code] ?? (code === 503 || code === 429 ? "again" : "refused");
  return { kind, problem };
}
