import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { eventOfLine, lineOf } from "../../src/ledger/cloud-event.js";
import {
  type AuditEvent,
  chainVerifier,
  emptyChain,
  readEvent,
  sealEvents,
} from "../../src/ledger/event-chain.js";

const context = { fleet: "default", ledgerId: "L1", epoch: 1, nowMs: 1_800_000_000_000 };
const told = { kind: "instance", id: "web-1", type: "instance.told", body: '{"target":{"release":"v1"}}' };
const origin = { actor: "user:Zoë", cause: "request:k 1", generation: 3 };

function sealed(...events: Parameters<typeof sealEvents>[1]): AuditEvent[] {
  return sealEvents(emptyChain("L1"), events, context).writes.map(({ headers = {}, body }) => {
    const read = readEvent({ header: (name) => headers[name], data: new TextEncoder().encode(body) });
    if (read === undefined) throw new Error("an event");
    return read;
  });
}

/** As Rollcall wrote events before they had an origin. */
function ofFirstFormat(previous: string, sequence: number): AuditEvent {
  const event = {
    id: `L1-${sequence}`,
    source: "/rollcall/default",
    type: "dev.rollcall.deployment.created.v1",
    subject: "deployment/d1",
    time: "2026-11-20T00:00:00.000Z",
    epoch: 1,
    sequence,
    previous,
    body: "{}",
  };
  const { id, source, type, subject, time, epoch, body } = event;
  const parts = [previous, id, source, type, subject, time, epoch, sequence, body];
  return { ...event, hash: createHash("sha256").update(JSON.stringify(parts)).digest("base64url") };
}

test("a chain may begin with events of the first format, which had no origin, and go on with those that have one", () => {
  const old = ofFirstFormat(emptyChain("L1").hash, 1);
  const head = { sequence: 1, hash: old.hash };
  const { writes } = sealEvents(head, [{ ...told, ...origin }], context);
  const [{ headers = {}, body } = { body: "" }] = writes;
  const next = readEvent({ header: (name) => headers[name], data: new TextEncoder().encode(body) });
  expect(next).toMatchObject(origin);
  expect([old, next as AuditEvent].map(chainVerifier())).toEqual([undefined, undefined]);
  // An origin that somebody gives to an old event is found.
  expect(chainVerifier()({ ...old, actor: "user:bob", cause: "request:1" })).toContain("was changed");
});

test("an event is the same event as a line of JSON, a CloudEvent whose data stands last", () => {
  const [event] = sealed({ ...told, ...origin });
  if (event === undefined) throw new Error("an event");
  const line = lineOf(event);
  expect(eventOfLine(line)).toEqual(event);
  expect(chainVerifier()(eventOfLine(line) as AuditEvent)).toBeUndefined();
  expect(JSON.parse(line)).toMatchObject({
    specversion: "1.0",
    type: "dev.rollcall.instance.told.v1",
    subject: "instance/web-1",
    datacontenttype: "application/json",
    ...origin,
    data: { target: { release: "v1" } },
  });
  for (const torn of [line.slice(0, -1), "", "{}", "[1]", line.replace('"L1-1"', '""')])
    expect(eventOfLine(torn), torn).toBeUndefined();
});

test("attributes of CloudEvents have short names of small letters and digits", () => {
  const { writes } = sealEvents(emptyChain("L1"), [{ ...told, ...origin }], context);
  for (const name of Object.keys(writes[0]?.headers ?? {})) expect(name).toMatch(/^ce-[a-z0-9]{1,20}$/);
});
