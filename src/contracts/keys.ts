import { escapeToken, unescapeToken } from "./names.js";

/** The keys of a fleet's ledger, built and parsed here and nowhere else. */
export const keys = {
  epoch: "epoch",
  lease: "lease",
  /** Written once, when the ledger is made: its `ledgerId`. */
  ledger: "ledger",
  /** In which formats the records are written. */
  formats: "formats",
  /** The last reconciliation. */
  reconciliation: "reconciliation",
  /** The end of the audit log's hash chain, written with every batch. */
  eventHead: "event-head",
  deployment: (id: string) => `deployment.${escapeToken(id)}`,
  instance: (id: string) => `instance.${escapeToken(id)}`,
  desiredInstance: (id: string) => `desired.instance.${escapeToken(id)}`,
  app: (id: string) => `app.${escapeToken(id)}`,
  /** Every app that was told, with its generation. */
  desiredApps: "desired.apps",
  desiredApp: (id: string) => `desired.app.${escapeToken(id)}`,
  /** To watch what is asked of all apps. */
  desiredAppsBelow: "desired.app.>",
  appInstance: (instance: string) => `app-instance.${escapeToken(instance)}`,
  release: (version: string) => `release.${escapeToken(version)}`,
  config: (version: string) => `config.${escapeToken(version)}`,
  event: (kind: string, id: string, sequence: number) =>
    `event.${escapeToken(kind)}.${escapeToken(id)}.${sequence}`,
} as const;

/** What a ledger keeps of itself: who leads it, which one it is, the end of its audit log. */
export const ledgerKeys: ReadonlySet<string> = new Set([keys.epoch, keys.lease, keys.ledger, keys.eventHead]);

/** The bucket, streams and object store of a fleet. */
export function storesOf(fleet: string) {
  const name = escapeToken(fleet);
  return {
    bucket: `rollcall-${name}`,
    eventStream: `ROLLCALL_${name}_EVENTS`,
    files: `rollcall-${name}-files`,
  };
}

/** The kind and name that a key of one object carries, `["deployment", "d1"]`; `undefined` for other keys. */
export function parseKey(key: string): readonly [kind: string, name: string] | undefined {
  const dot = key.lastIndexOf(".");
  const name = dot < 0 ? undefined : unescapeToken(key.slice(dot + 1));
  return name === undefined ? undefined : [key.slice(0, dot), name];
}
