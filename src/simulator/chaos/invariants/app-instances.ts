import { type MakeInvariant, Violation } from "../invariant.js";

const comings: ReadonlySet<string> = new Set(["app-instance.joined", "app-instance.left"]);

/** A4. */
export const appInstances: MakeInvariant = (witness) => {
  const { apps } = witness.ledger;
  /** When each was last out of the fleet: a moment before it joined, or from when it left. */
  const outAtMs = new Map<string, number>();
  let replacedAtMs = -1;

  return {
    id: "A4",
    says: "who is forgotten is out of the fleet until it is heard again, and no app is forgotten while something of it is where that is known",
    ledgerReplaced() {
      // Everybody was out of it for a moment.
      replacedAtMs = witness.nowMs();
    },
    committed({ atMs, events }) {
      for (const { type, id } of events) {
        if (comings.has(type)) outAtMs.set(id, atMs);
        if (type === "app.cleared") checkCleared(id);
      }
    },
    answered({ endpoint, request, answer, atMs }) {
      if (endpoint !== "apps.forget" || answer === undefined || !("reply" in answer)) return;
      const { instance } = request as { readonly instance: string };
      witness.mark("appInstanceForgotten");
      const lastAtMs = Math.max(outAtMs.get(instance) ?? -1, replacedAtMs);
      if (apps.instances.has(instance) && lastAtMs < atMs)
        throw new Violation(`${instance} was acknowledged to be forgotten, and is in the ledger`);
    },
  };

  function checkCleared(app: string): void {
    for (const id of apps.instances) {
      const engine = witness.apps.get(id)?.engine;
      const left = engine?.running.get(app) ?? engine?.installed.get(app);
      if (left !== undefined) throw new Violation(`${app} is forgotten, and ${left} of it is on ${id}`);
    }
  }
};
