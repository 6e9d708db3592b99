import { formatOf } from "../../../contracts/formats.js";
import { parseKey } from "../../../contracts/keys.js";
import { type MakeInvariant, Violation } from "../invariant.js";

type Agreed = Readonly<Record<string, number>>;

/** S14, of upgrades. */
export const formats: MakeInvariant = (witness) => {
  let agreed: Agreed = {};
  /** By kind and id: in which a record was written last. */
  const written = new Map<string, number>();
  const agreedOf = (kind: string) => agreed[kind] ?? 1;

  const raise = (to: Agreed) => {
    for (const kind of new Set([...Object.keys(to), ...Object.keys(agreed)]))
      if ((to[kind] ?? 1) < agreedOf(kind))
        throw new Violation(`${kind} is written in format ${to[kind] ?? 1} again after ${agreedOf(kind)}`);
    if (Object.entries(to).some(([kind, format]) => format > agreedOf(kind))) witness.mark("formatsRaised");
    agreed = to;
  };

  const check = (from: string, kind: string, id: string, format: number | undefined) => {
    const key = `${kind} ${id}`;
    if (format === undefined) {
      written.delete(key);
      return;
    }
    if (format > agreedOf(kind))
      throw new Violation(`${from} writes ${key} in format ${format}, agreed is ${agreedOf(kind)}`);
    if (format < (written.get(key) ?? 1))
      throw new Violation(`${from} writes ${key} in format ${format} after ${written.get(key)}`);
    written.set(key, format);
  };

  const checkOfApps = (from: string, key: string, format: number | undefined) => {
    const [kind = "", id = ""] = parseKey(key) ?? [];
    if (kind === "app" || kind === "app-instance") check(from, kind, id, format);
    if (format === undefined || (kind !== "desired" && kind !== "desired.app")) return;
    if (format > agreedOf(kind))
      throw new Violation(`${from} writes ${key} in format ${format}, agreed is ${agreedOf(kind)}`);
    // All read the same record, and some may read less than the fleet has agreed on.
    for (const instance of witness.ledger.apps.instances)
      if (format > 1 && witness.apps.get(instance)?.isNext === false)
        throw new Violation(`${from} writes ${key} in format ${format}, which ${instance} does not read`);
    if (format > 1) witness.mark("appsToldInNewer");
  };

  return {
    id: "S14f",
    says: "the formats that are written only rise, by agreement, and nothing is told in one that its agent does not read",
    ledgerReplaced(how) {
      if (how === "restored") return;
      agreed = {};
      written.clear();
    },
    committed({ from, changes, others, isOfRestore }) {
      // What was agreed on is what the backup says, and everything is as it was then.
      if (isOfRestore) {
        if (others.some(({ key, value }) => key === "event-head" && value === undefined)) agreed = {};
        for (const { key, value } of others)
          if (key === "formats") agreed = (value as { readonly written: Agreed } | undefined)?.written ?? {};
        written.clear();
        return;
      }
      for (const { key, value } of others) {
        if (key === "formats") raise((value as { readonly written: Agreed }).written);
        checkOfApps(from, key, formatOf(value));
      }
      for (const { kind, id, format } of changes) {
        check(from, kind, id, format);
        if (format === undefined) continue;
        const read = kind === "desired.instance" ? witness.reports.get(id)?.state?.desiredFormat : undefined;
        if (read !== undefined && format > read)
          throw new Violation(`${from} tells ${id} in format ${format}, its agent reads ${read}`);
      }
    },
  };
};
