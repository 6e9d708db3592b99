import { isNewerLedger } from "../../../base/ledger-id.js";
import { currentFormats } from "../../../contracts/record-formats.js";
import { subjectsOf } from "../../../contracts/subjects.js";
import { type MakeInvariant, Violation } from "../invariant.js";
import { nextFormats } from "../next-formats.js";

/** From what is heard to what is done: a call that is under way is told to end, and a record is written. */
const underWayMs = 1_000;

/** What one life of a process has heard last of an app. */
interface Heard {
  readonly ledgerId: string;
  readonly generation: number;
  readonly isTombstone: boolean;
  readonly atMs: number;
}

/** A3. */
export const tombstones: MakeInvariant = (witness) => {
  const desiredBegin = subjectsOf("default").desired("desired.app.");
  const heard = new Map<string, Heard>();

  return {
    id: "A3",
    says: "an instance never runs an app whose tombstone it has seen",
    taken({ from, subject, data }, by) {
      if (from !== "ledger-store" || !by.startsWith("apps-") || data.length === 0) return;
      if (!subject.startsWith(desiredBegin) && subject.startsWith("rollcall.")) return;
      const node = [...witness.apps.values()].find(({ busName }) => busName === by);
      // What a process cannot read it has not seen.
      const formats = node?.isNext === false ? currentFormats : nextFormats;
      const read = formats["desired.app"].read(JSON.parse(decoder.decode(data)));
      if (!("record" in read)) return;
      const { app, ledgerId, generation, desiredStatus } = read.record;
      const key = `${by} ${app}`;
      const last = heard.get(key);
      const isNews =
        last === undefined ||
        (last.ledgerId === ledgerId ? generation > last.generation : isNewerLedger(ledgerId, last.ledgerId));
      if (!isNews) return;
      heard.set(key, {
        ledgerId,
        generation,
        isTombstone: desiredStatus === "uninstalled",
        atMs: witness.nowMs(),
      });
    },
    appEnabled({ id, busName }, { app, version }) {
      const last = heard.get(`${busName} ${app}`);
      if (last?.isTombstone && witness.nowMs() - last.atMs > underWayMs)
        throw new Violation(
          `${id} enables ${app} ${version}, and has seen ${witness.nowMs() - last.atMs} ms ago that it is uninstalled`,
        );
    },
  };
};

const decoder = new TextDecoder();
