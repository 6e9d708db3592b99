import type { NatsConnection } from "@nats-io/transport-node";
import { headers, nuid } from "@nats-io/transport-node";

/** A message of a bare batch. */
export interface BarePut {
  readonly subject: string;
  readonly body: string;
}

/** The condition on which a bare batch is written: that the newest message of a subject is this one. */
export interface Fence {
  readonly subject: string;
  readonly sequence: number;
}

/** One atomic batch with a fence in its first message, by nothing but the client's `publish` and `request`. */
export async function atomicPut(
  connection: NatsConnection,
  puts: readonly BarePut[],
  fence: Fence,
): Promise<void> {
  const id = nuid.next();
  const headersOf = (index: number) => {
    const wire = headers();
    wire.append("Nats-Batch-Id", id);
    wire.append("Nats-Batch-Sequence", String(index + 1));
    if (index === 0) {
      wire.append("Nats-Expected-Last-Subject-Sequence", String(fence.sequence));
      wire.append("Nats-Expected-Last-Subject-Sequence-Subject", fence.subject);
    }
    if (index === puts.length - 1) wire.append("Nats-Batch-Commit", "1");
    return wire;
  };
  const last = puts.length - 1;
  for (let index = 0; index < last; index++) {
    const { subject, body } = puts[index]!;
    connection.publish(subject, body, { headers: headersOf(index) });
  }
  const { subject, body } = puts[last]!;
  const answer = await connection.request(subject, body, { headers: headersOf(last), timeout: 10_000 });
  const { error } = answer.json<{ error?: { description?: string } }>();
  if (error !== undefined) throw new Error(`the bare batch was refused: ${error.description}`);
}
