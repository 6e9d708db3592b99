import { assert } from "../../base/assert.js";
import type { DeploymentRecord, InstanceRecord } from "../../contracts/deployment.js";
import { formatOf } from "../../contracts/formats.js";
import type { DesiredInstance } from "../../contracts/instance.js";
import { parseKey } from "../../contracts/keys.js";
import { unescapeToken } from "../../contracts/names.js";
import { type AuditEvent, readEvent } from "../../ledger/event-chain.js";
import type { SeenBatch } from "../../ledger/memory-ledger.js";
import { AppsMirror } from "./apps-mirror.js";
import { nextFormats } from "./next-formats.js";

/** Records by the kind of their keys. */
interface Records {
  readonly deployment: DeploymentRecord;
  readonly instance: InstanceRecord;
  readonly "desired.instance": DesiredInstance;
}
type Kind = keyof Records;

/** A record before and after a batch; `undefined` where there is none. */
export type Change = {
  [K in Kind]: {
    readonly kind: K;
    readonly id: string;
    readonly before: Records[K] | undefined;
    readonly after: Records[K] | undefined;
    /** In which it is written; `undefined` for a deletion. */
    readonly format: number | undefined;
    readonly revision: number;
  };
}[Kind];

/** An event of the audit log, as it was stored. */
export interface StoredEvent {
  readonly kind: string;
  readonly id: string;
  /** `deployment.finished`. */
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** As the audit log holds it. */
  readonly audit: AuditEvent;
}

/** A batch that the store took, whether or not its writer was told. */
export interface Commit {
  readonly atMs: number;
  /** The connection that it came by. */
  readonly from: string;
  readonly revision: number;
  readonly changes: readonly Change[];
  readonly events: readonly StoredEvent[];
  /** What the batch was conditional on. */
  readonly expected: readonly { readonly key: string; readonly revision: number }[];
  /** It is a step of a restore, which explains itself and none of the records. */
  readonly isOfRestore: boolean;
  /** Keys other than records and events: `lease`, `epoch`, `formats`, releases; `undefined` for a deletion. */
  readonly others: readonly { readonly key: string; readonly value: unknown; readonly revision: number }[];
}

const typePattern = /^dev\.rollcall\.(.+)\.v\d+$/;

/** The newest records of the ledger as the store holds them: what whoever reads it now would find. */
export class LedgerMirror {
  readonly deployments = new Map<string, DeploymentRecord>();
  readonly instances = new Map<string, InstanceRecord>();
  readonly desired = new Map<string, DesiredInstance>();
  readonly apps = new AppsMirror();
  epoch = 0;
  /** Its identity. */
  ledgerId: string | undefined;

  /** All keys are gone. */
  clear(): void {
    this.deployments.clear();
    this.instances.clear();
    this.desired.clear();
    this.apps.clear();
    this.epoch = 0;
    this.ledgerId = undefined;
  }

  /** Takes a stored batch in. @param revision of its last message @returns what it changed */
  take(atMs: number, { from, batch }: SeenBatch, revision: number): Commit {
    const { writes } = batch;
    const changes: Change[] = [];
    const events: StoredEvent[] = [];
    const others: Commit["others"][number][] = [];
    writes.forEach(({ key, body, deleted, headers }, at) => {
      const writtenAs = revision - writes.length + 1 + at;
      if (key.startsWith("event.") && deleted) return;
      if (key.startsWith("event.")) {
        events.push(eventOf(key, body, headers));
        return;
      }
      const value: unknown = deleted ? undefined : JSON.parse(body);
      const [kind, id] = parseKey(key) ?? [key, ""];
      if (kind === "deployment" || kind === "instance" || kind === "desired.instance")
        changes.push(this.#change(kind, id, key, value, writtenAs));
      else {
        this.apps.take(key, value);
        others.push({ key, value, revision: writtenAs });
      }
      if (key === "ledger") this.ledgerId = (value as { ledgerId: string } | undefined)?.ledgerId;
      if (key === "epoch") this.epoch = (value as { epoch: number }).epoch;
    });
    const expected = writes.flatMap(({ expect }) => expect ?? []);
    const isOfRestore = from.startsWith("tool-");
    return { atMs, from, revision, changes, events, others, expected, isOfRestore };
  }

  #change(kind: Kind, id: string, key: string, value: unknown, revision: number): Change {
    const records = this.#of(kind) as Map<string, Records[Kind]>;
    const before = records.get(id);
    const after =
      value === undefined ? undefined : nextFormats[kind].readAt({ fleet: "default", key }, value);
    if (after === undefined) records.delete(id);
    else records.set(id, after);
    return { kind, id, before, after, format: formatOf(value), revision } as Change;
  }

  #of(kind: Kind) {
    return { deployment: this.deployments, instance: this.instances, "desired.instance": this.desired }[kind];
  }
}

function eventOf(
  key: string,
  body: string,
  headers: Readonly<Record<string, string>> | undefined,
): StoredEvent {
  const [, kind = "", id = ""] = key.split(".").map((token) => unescapeToken(token) ?? token);
  const audit = readEvent({ header: (name) => headers?.[name], data: Buffer.from(body) });
  const type = typePattern.exec(audit?.type ?? "")?.[1];
  assert(audit !== undefined && type !== undefined, `the event ${key} can be read, and has a type`);
  return { kind, id, type, data: JSON.parse(body) as StoredEvent["data"], audit };
}
