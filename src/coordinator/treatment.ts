import {
  decideFinding,
  type ReconcileAction,
  type ReconcileItem,
} from "../../machines/reconciliation-plan.js";
import type { FleetEvent } from "../contracts/event-types.js";
import { type Finding, type Mended, mendedSchema } from "../contracts/inventory.js";
import { keys } from "../contracts/keys.js";
import type { Origin } from "../contracts/origin.js";
import { askAsLeader } from "./ask-as-leader.js";
import {
  halfUploadMs,
  namedFiles,
  type ReconciliationParts,
  recordsKnownTo,
} from "./reconciliation-facts.js";

/** An agent may have to end a process before it answers. */
const mendMaxMs = 130_000;

const zombieKinds: ReadonlySet<Finding["kind"]> = new Set(["process", "release", "folder"]);

/** Does what a reconciliation has decided, one thing at a time; each is looked at once more first, since the fleet goes on. */
export class Treatment {
  readonly #parts: ReconciliationParts;

  constructor(parts: ReconciliationParts) {
    this.#parts = parts;
  }

  /** @throws whatever failed; the thing is as it was, or its next look shows it */
  async treat(item: ReconcileItem, origin: Origin): Promise<Mended> {
    const { action } = item;
    if (action === null) return { outcome: "left", why: item.why };
    const treated = await this.#carryOut(action, this.#eventOf(item, origin), origin);
    // What was written in the ledger has its event in the same batch.
    if (treated.outcome === "done" && !isWritten(action))
      await this.#parts.term.writer.add({ events: [this.#eventOf(item, origin)] });
    this.#count(action, treated);
    return treated;
  }

  #eventOf({ object, what, why }: ReconcileItem, origin: Origin): FleetEvent {
    const { fleet } = this.#parts.term;
    return { kind: "fleet", id: fleet, type: "fleet.mended", data: { object, what, why }, ...origin };
  }

  #count(action: ReconcileAction, { outcome }: Mended): void {
    const { counters } = this.#parts.term;
    if (action.type !== "mend") return;
    const { kind } = action.finding;
    if (zombieKinds.has(kind)) counters.zombiesFound++;
    if (zombieKinds.has(kind) && outcome === "done") counters.zombiesRemoved++;
    if (kind === "link" && outcome === "done") counters.linksRepaired++;
  }

  async #carryOut(action: ReconcileAction, event: FleetEvent, origin: Origin): Promise<Mended> {
    switch (action.type) {
      case "tell":
        return await this.#tell(action.instance, origin);
      case "release":
        return await this.#release(action.instance, origin);
      case "dropDesired":
        return await this.#dropDesired(action.instance, event);
      case "dropDeployment":
        return await this.#dropDeployment(action.deployment, event);
      case "dropFile":
        return await this.#dropFile(action.name);
      case "dropUploads":
        return await this.#dropUploads();
      case "mend":
        return await this.#mend(action.instance, action.finding);
    }
  }

  async #tell(instance: string, origin: Origin): Promise<Mended> {
    const { members, rollOuts, term } = this.#parts;
    const member = members.find(instance)?.snapshot();
    if (member === undefined) return { outcome: "gone", why: "it has left the fleet" };
    const { desired, generation } = member.context.record;
    if (member.value.update === "IN_PROGRESS" || member.value.update === "NEEDING_UPDATE")
      return { outcome: "left", why: "it is about to be told something else" };
    // What cannot be written would end the leadership.
    if (desired !== null && !term.catalog.releases.has(desired.release))
      return { outcome: "left", why: `release ${desired.release} is not registered any more` };
    if (desired?.config != null && !term.catalog.configs.has(desired.config))
      return { outcome: "left", why: `configuration ${desired.config} is not registered any more` };
    const deadlineMs = rollOuts.deadlineMsFor(member.context.record);
    await members.ask(instance, { type: "resend", deadlineMs, origin }, () => true);
    return { outcome: "done", why: `told again, as generation ${generation}` };
  }

  async #release(instance: string, origin: Origin): Promise<Mended> {
    const { members, rollOuts } = this.#parts;
    const claim = members.find(instance)?.snapshot().context.record.claim ?? null;
    if (claim === null) return { outcome: "gone", why: "it is not claimed any more" };
    if (rollOuts.isOwner(claim.deployment))
      return { outcome: "left", why: `${claim.deployment} is under way` };
    await members.ask(
      instance,
      { type: "release", completed: false, origin },
      ({ context }) => context.record.claim?.deployment !== claim.deployment,
    );
    return { outcome: "done", why: "the claim is ended" };
  }

  async #dropDesired(instance: string, event: FleetEvent): Promise<Mended> {
    const { members, term } = this.#parts;
    if (members.find(instance) !== undefined) return { outcome: "left", why: "it has joined meanwhile" };
    await term.writer.add({ deletes: [keys.desiredInstance(instance)], events: [event] });
    return { outcome: "done", why: "removed" };
  }

  async #dropDeployment(deployment: string, event: FleetEvent): Promise<Mended> {
    const { rollOuts, term } = this.#parts;
    if (rollOuts.record(deployment) !== undefined) return { outcome: "left", why: "it is at hand" };
    await term.writer.add({ deletes: [keys.deployment(deployment)], events: [event] });
    return { outcome: "done", why: "removed" };
  }

  async #dropFile(name: string): Promise<Mended> {
    const { files, term } = this.#parts;
    if (new Set(namedFiles(term).values()).has(name))
      return { outcome: "left", why: "it has been registered meanwhile" };
    await files?.remove(name);
    return { outcome: "done", why: "removed" };
  }

  async #dropUploads(): Promise<Mended> {
    const removed = await this.#parts.files?.sweep({ olderThanMs: halfUploadMs, dryRun: false });
    return removed === 0 || removed === undefined
      ? { outcome: "gone", why: "there are none any more" }
      : { outcome: "done", why: "removed" };
  }

  async #mend(instance: string, finding: Finding): Promise<Mended> {
    const { members, term } = this.#parts;
    const agent = members.find(instance)?.snapshot().context.record.agent;
    if (agent === undefined) return { outcome: "left", why: `${instance}, whose agent found it, has left` };
    const decided = decideFinding(finding, { instance, agent }, recordsKnownTo(this.#parts));
    if (decided.action === null) return { outcome: "left", why: decided.why };
    const { key } = finding;
    return mendedSchema.parse(
      await askAsLeader(term, term.subjects.ask(instance, "mend"), { key }, mendMaxMs),
    );
  }
}

function isWritten({ type }: ReconcileAction): boolean {
  return type === "dropDesired" || type === "dropDeployment";
}
