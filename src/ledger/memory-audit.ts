import type { BusMessage } from "../base/ports.js";
import { storesOf } from "../contracts/keys.js";
import { subjectsOf } from "../contracts/subjects.js";
import type { HeldEvent } from "./memory-bucket.js";

/** JetStream's "no message found". */
const notFound = { error: { code: 404, err_code: 10_037, description: "no message found" } };

/**
 * Answers what is asked of the stream of events as JetStream does; what is asked of another stream it leaves alone.
 * A direct get is answered by `replica`, which may be behind the leader's `audit`.
 */
export function answerAudit(
  fleet: string,
  { audit, replica }: { readonly audit: readonly HeldEvent[]; readonly replica: () => readonly HeldEvent[] },
  message: BusMessage,
): void {
  const { eventStream } = storesOf(fleet);
  if (message.subject === `$JS.API.DIRECT.GET.${eventStream}`) answerMany(fleet, replica(), message);
  else if (message.subject === `$JS.API.STREAM.MSG.GET.${eventStream}`) answerOne(fleet, audit, message);
}

interface Asked {
  readonly seq?: number;
  readonly batch?: number;
  readonly next_by_subj?: string;
  readonly last_by_subj?: string;
}

function answerMany(fleet: string, audit: readonly HeldEvent[], message: BusMessage): void {
  const asked = askedIn(message);
  const found = matching(fleet, audit, asked);
  if (found.length === 0) {
    message.respond("", { Status: "404" });
    return;
  }
  const sent = found.slice(0, asked.batch ?? 1);
  for (const event of sent)
    message.respond(event.body, { ...event.headers, "Nats-Sequence": String(event.position) });
  message.respond("", { Status: "204", "Nats-Num-Pending": String(found.length - sent.length) });
}

function answerOne(fleet: string, audit: readonly HeldEvent[], message: BusMessage): void {
  const asked = askedIn(message);
  const found = asked.last_by_subj === undefined ? matching(fleet, audit, asked)[0] : audit[audit.length - 1];
  const answer = found === undefined ? notFound : { message: { seq: found.position } };
  message.respond(JSON.stringify(answer));
}

function askedIn({ data }: BusMessage): Asked {
  return JSON.parse(new TextDecoder().decode(data)) as Asked;
}

function matching(
  fleet: string,
  audit: readonly HeldEvent[],
  { seq = 1, next_by_subj: filter = ">" }: Asked,
): HeldEvent[] {
  const root = `${subjectsOf(fleet).root}.event`;
  return audit.filter(
    ({ position, kind, id }) =>
      position >= seq &&
      (filter === ">" || filter === `${root}.${kind}.${id}` || filter === `${root}.${kind}.*`),
  );
}
