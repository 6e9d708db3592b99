import { instanceOfSubject } from "../../../contracts/subjects.js";
import { type MakeInvariant, Violation } from "../invariant.js";
import type { Commit } from "../ledger-mirror.js";

/** Written without leading: the lease, and the identity of a new ledger. */
const unled: ReadonlySet<string> = new Set(["lease", "epoch", "ledger"]);

/** S3. */
export const fencing: MakeInvariant = (witness) => {
  /** Who took which epoch, by its connection. */
  const owners = new Map<number, string>();
  /** The newest, as it is stored. */
  let epoch = 0;
  let revision = 0;
  /** Of each connection of an agent: the newest epoch whose request it took, and how many it refused. */
  const heard = new Map<string, { readonly epoch: number; readonly refused: number }>();

  const expects = ({ expected }: Commit) =>
    expected.some((expectation) => expectation.key === "epoch" && expectation.revision === revision);

  const take = (commit: Commit, to: { readonly value: unknown; readonly revision: number }) => {
    const next = (to.value as { readonly epoch: number }).epoch;
    if (next <= epoch) throw new Violation(`${commit.from} has taken epoch ${next} after ${epoch}`);
    // A fault of the store's own has no connection.
    if (commit.from !== "" && !expects(commit))
      throw new Violation(`${commit.from} has taken epoch ${next} unconditionally`);
    if (owners.size > 0 && owners.get(epoch) !== commit.from) witness.mark("takeover");
    owners.set(next, commit.from);
    epoch = next;
    revision = to.revision;
  };

  return {
    id: "S3",
    says: "in each epoch one coordinator writes and asks, the server refuses all others, and no agent heeds an epoch that is over",
    committed(commit) {
      const { from, changes, events, others } = commit;
      const taken = others.find(({ key }) => key === "epoch");
      if (taken !== undefined) take(commit, taken);
      else if (changes.length + events.length > 0 || others.some(({ key }) => !unled.has(key))) {
        if (!expects(commit)) throw new Violation(`${from} has written a batch that is not fenced`);
        if (owners.get(epoch) !== from)
          throw new Violation(`${from} has written in epoch ${epoch}, which is ${owners.get(epoch)}'s`);
        for (const { type, audit } of events)
          if (audit.epoch !== epoch)
            throw new Violation(`${from} has written ${type} of epoch ${audit.epoch} in epoch ${epoch}`);
      } else if (others.some(({ key, value }) => key === "lease" && value !== undefined)) {
        if (owners.get(epoch) !== from)
          throw new Violation(`${from} has renewed the lease of ${owners.get(epoch)}`);
      }
    },
    ledgerReplaced(how) {
      // Epochs begin again in an empty one; agents go by the ledger that names them.
      if (how === "restored") return;
      owners.clear();
      epoch = 0;
      revision = 0;
      for (const [by, before] of heard) heard.set(by, { ...before, epoch: 0 });
    },
    refused({ batch }, kind) {
      const fence = batch.writes[0].expect;
      if (kind === "conflict" && fence?.key === "epoch" && fence.revision !== revision)
        witness.mark("staleEpochRefused");
    },
    sent({ from, subject, data }) {
      if (!subject.includes(".ask.")) return;
      const of = epochIn(data);
      if (of !== undefined && owners.get(of) !== from)
        throw new Violation(`${from} asks in epoch ${of}, which is ${owners.get(of)}'s`);
    },
    taken({ subject, data }, by) {
      if (!subject.includes(".ask.")) return;
      const of = epochIn(data);
      const node = witness.agents.get(instanceOfSubject(subject) ?? "");
      if (of === undefined || node?.busName !== by || node.agent === undefined) return;
      const refused = node.agent.stats.complaints.askStale;
      const before = heard.get(by) ?? { epoch: 0, refused: 0 };
      const isRefused = refused > before.refused;
      if (of < before.epoch && !isRefused)
        throw new Violation(`${by} has heeded a request of epoch ${of} after one of ${before.epoch}`);
      if (of === epoch && isRefused)
        throw new Violation(`${by} has refused a request of epoch ${of}, which is the newest`);
      if (isRefused) witness.mark("staleRequestRefused");
      heard.set(by, { epoch: isRefused ? before.epoch : of, refused });
    },
  };
};

function epochIn(data: Uint8Array): number | undefined {
  return (JSON.parse(new TextDecoder().decode(data)) as { readonly epoch?: number }).epoch;
}
