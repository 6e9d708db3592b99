import type { Subscription } from "../../base/ports.js";
import type { Delivery } from "../../bus/memory-bus.js";
import type { SeededRandom } from "../../runtime/random.js";
import { Dice } from "./dice.js";
import type { Fleet } from "./fleet.js";
import type { Happening, HappeningOf } from "./life-plan.js";
import type { Wish } from "./people.js";

export type Fault = Exclude<Happening, Wish | { do: "backup" | "replaceLedger" }>;
type Cut = HappeningOf<"agents">["how"];

const roomBytes = 1_073_741_824;
/** On top of what is used when a store gets full: what is under way fits, little more does. */
const restBytes = 2_000;

/** Whether a message belongs to an area, by its subject. */
const areas: Readonly<Record<HappeningOf<"messages">["of"], (delivery: Delivery) => boolean>> = {
  health: ({ subject }) => subject.includes(".health."),
  desired: ({ subject }) => subject.includes(".desired."),
  ask: ({ subject }) => subject.includes(".ask."),
  api: ({ subject, from, to }) => subject.includes(".api.") || from === "people" || to === "people",
  ledger: ({ from, to }) => from === "ledger-store" || to === "ledger-store",
  all: () => true,
};

/** What goes wrong in a life, and its end. */
export class Faults {
  readonly #fleet: Fleet;
  readonly #inFlight: () => string | undefined;
  readonly #random: SeededRandom;
  /** What ends each fault that lasts. */
  readonly #lasting = new Set<() => void>();
  /** Connections that are cut off in some direction. */
  readonly #cutUntilMs = new Map<string, number>();
  /** When the last disturbance of messages, the ledger or a coordinator is, or was, over. */
  #disturbedUntilMs = Number.NEGATIVE_INFINITY;

  /** @param inFlight who is on its way to something; undefined: nobody is */
  constructor(fleet: Fleet, inFlight: () => string | undefined) {
    this.#fleet = fleet;
    this.#inFlight = inFlight;
    this.#random = fleet.world.random.fork("faults");
  }

  get lasting(): number {
    return this.#lasting.size;
  }

  /** When something else than agents and their hosts was last disturbed; now, while it is. */
  disturbedAtMs(): number {
    return Math.min(this.#disturbedUntilMs, this.#fleet.world.clock.nowMs());
  }

  /** What it sends or what is sent to it gets lost. */
  isCutOff(bus: string): boolean {
    return (this.#cutUntilMs.get(bus) ?? 0) > this.#fleet.world.clock.nowMs();
  }

  /** Everything works again. */
  endAll(): void {
    this.#cutUntilMs.clear();
    for (const end of [...this.#lasting]) end();
    const { store, fleet } = this.#fleet.world;
    store.spareNextCommit(fleet);
  }

  /** @returns the names of the processes that it strikes */
  begin(fault: Fault): readonly string[] {
    if (fault.do === "messages" || fault.do === "ledger" || fault.do === "coordinator") {
      const untilMs = this.#fleet.world.clock.nowMs() + fault.forMs;
      this.#disturbedUntilMs = Math.max(this.#disturbedUntilMs, untilMs);
    }
    switch (fault.do) {
      case "messages":
        this.#messages(fault);
        return [];
      case "coordinator":
        return this.#coordinator(fault);
      case "agent":
        return this.#agent(fault);
      case "agents":
        return this.#agents(fault);
      case "crash":
        return this.#crash(fault);
      case "sick":
        return this.#sick(fault);
      case "clockStep":
        return this.#clockStep(fault);
      case "ledger":
        this.#ledger(fault);
        return [];
      case "appNode":
        return this.#appNode(fault);
      case "appEnds": {
        const node = this.#fleet.apps.at(fault.which);
        return node !== undefined && this.#fleet.apps.end(node, fault.app) ? [node.id] : [];
      }
      case "newHost":
        return this.#fleet.newHost(fault.instance);
      case "double": {
        const double = this.#fleet.double(fault.instance);
        if (double === undefined) return [];
        this.#later(fault.forMs, double.end);
        return [double.id];
      }
      case "join":
        return [this.#fleet.join(fault.labels)];
      case "leave":
        return this.#fleet.leave(fault.instance);
    }
  }

  /** A stream of its own for each fault: what it draws is the same whatever else happens. */
  #diceOf({ do: kind, atMs }: Fault): Dice {
    return new Dice(this.#random.fork(`${kind}/${atMs}`));
  }

  #messages(fault: HappeningOf<"messages">): void {
    const { how, of, share, ms, forMs } = fault;
    const { hub } = this.#fleet.world;
    const dice = this.#diceOf(fault);
    const which = (delivery: Delivery) => areas[of](delivery) && dice.chance(share);
    switch (how) {
      case "lose":
        this.#lasts(hub.drop(which), forMs);
        break;
      case "duplicate":
        this.#lasts(hub.duplicate(which), forMs);
        break;
      case "delay":
        this.#lasts(hub.delay(ms, which), forMs);
        break;
      case "reorder":
        this.#lasts(
          hub.delay(() => dice.int(0, ms), which),
          forMs,
        );
        break;
    }
  }

  #coordinator({ which, how, forMs }: HappeningOf<"coordinator">): readonly string[] {
    const fleet = this.#fleet;
    const node = which === "leader" ? fleet.leader() : fleet.coordinatorAt(which);
    if (node === undefined) return [];
    switch (how) {
      case "stall":
        node.clock.stall(forMs);
        break;
      case "kill":
        node.kill();
        this.#later(forMs, () => fleet.replace(node));
        break;
      case "stop":
        fleet.stop(node);
        this.#later(forMs, () => fleet.replace(node));
        break;
      case "upgrade":
        fleet.stop(node);
        this.#later(forMs, () => fleet.replace(node, { isNext: true }));
        break;
      default:
        this.#cut(node.name, how, forMs);
        break;
    }
    return [node.name];
  }

  #agent({ which, how, forMs }: HappeningOf<"agent">): readonly string[] {
    const node =
      which === "inFlight" ? this.#fleet.agents.get(this.#inFlight() ?? "") : this.#fleet.agentAt(which);
    if (node === undefined) return [];
    switch (how) {
      case "stall":
        node.clock.stall(forMs);
        break;
      case "diskFull":
        node.host.records.setFull(true);
        this.#later(forMs, () => node.host.records.setFull(false));
        break;
      case "upgrade":
        this.#fleet.upgradeAgent(node);
        break;
      case "stop":
        this.#later(forMs, this.#fleet.stopAgent(node));
        break;
      case "kill":
      case "reboot":
        node[how]();
        this.#later(forMs, () => this.#fleet.startAgent(node));
        break;
      default:
        this.#cutAgent(node.id, how, forMs);
        break;
    }
    return [node.id];
  }

  #appNode({ which, how, forMs }: HappeningOf<"appNode">): readonly string[] {
    const { apps } = this.#fleet;
    const node = apps.at(which);
    if (node === undefined) return [];
    switch (how) {
      case "stall":
        node.clock.stall(forMs);
        break;
      case "diskFull":
        node.records.setFull(true);
        this.#later(forMs, () => node.records.setFull(false));
        break;
      case "stop":
      case "leave":
        this.#later(forMs, apps.stop(node, { leave: how === "leave" }));
        break;
      case "upgrade":
        apps.upgrade(node);
        break;
      case "kill":
        node.kill();
        this.#later(forMs, () => apps.startNode(node));
        break;
      default:
        if (node.busName !== undefined) this.#cut(node.busName, how, forMs);
        break;
    }
    return [node.id];
  }

  #agents(fault: HappeningOf<"agents">): readonly string[] {
    const dice = this.#diceOf(fault);
    const struck = [...this.#fleet.agents.keys()].filter(() => dice.chance(fault.share));
    for (const id of struck) this.#cutAgent(id, fault.how, fault.forMs);
    return struck;
  }

  #crash({ instance }: HappeningOf<"crash">): readonly string[] {
    const node = this.#fleet.agentAt(instance);
    const living = node?.host.processes.living[0];
    if (node === undefined || living === undefined) return [];
    node.host.processes.crash(living.identity.pid);
    return [node.id];
  }

  #sick({ instance, forMs }: HappeningOf<"sick">): readonly string[] {
    const node = this.#fleet.agentAt(instance);
    if (node === undefined) return [];
    const { probes } = node.host;
    probes.setFailing(true);
    this.#later(forMs, () => probes.setFailing(false));
    return [node.id];
  }

  #clockStep({ of, which, byMs }: HappeningOf<"clockStep">): readonly string[] {
    if (of === "agent") {
      const node = this.#fleet.agentAt(which);
      node?.clock.stepWall(byMs);
      return node === undefined ? [] : [node.id];
    }
    const node = this.#fleet.coordinatorAt(which);
    node?.clock.stepWall(byMs);
    return node === undefined ? [] : [node.name];
  }

  #cutAgent(id: string, how: Cut, forMs: number): void {
    const bus = this.#fleet.agents.get(id)?.busName;
    if (bus !== undefined) this.#cut(bus, how, forMs);
  }

  #cut(bus: string, how: Cut, forMs: number): void {
    const { hub, clock } = this.#fleet.world;
    this.#cutUntilMs.set(bus, Math.max(this.#cutUntilMs.get(bus) ?? 0, clock.nowMs() + forMs));
    if (how === "deaf")
      this.#lasts(
        hub.drop(({ to }) => to === bus),
        forMs,
      );
    else if (how === "mute")
      this.#lasts(
        hub.drop(({ from }) => from === bus),
        forMs,
      );
    else if (hub.knows(bus)) {
      hub.disconnect(bus);
      this.#later(forMs, () => this.#fleet.reconnect(bus));
    }
  }

  #ledger(fault: HappeningOf<"ledger">): void {
    const { how, ms, forMs } = fault;
    const { store, fleet } = this.#fleet.world;
    const dice = this.#diceOf(fault);
    switch (how) {
      case "refuse":
        store.refuseNextCommit(fleet);
        break;
      case "loseAnswer":
        store.loseNextAnswer(fleet);
        break;
      case "hold":
        this.#later(forMs, store.holdNextCommit(fleet));
        break;
      case "unavailable":
        this.#lasts(store.unavailable(), forMs);
        break;
      case "restart": {
        const gone = store.crash({ reconnectMs: () => dice.int(0, ms) });
        this.#later(forMs, () => {
          gone.unsubscribe();
          this.#fleet.noteServerBack();
        });
        break;
      }
      case "lag":
        this.#lasts(
          store.lag(() => dice.int(0, ms)),
          forMs,
        );
        break;
      case "depose":
        store.depose(fleet);
        break;
      case "full":
        store.limit(fleet, store.used(fleet) + restBytes);
        this.#later(forMs, () => store.limit(fleet, roomBytes));
        break;
    }
  }

  #lasts(fault: Subscription, forMs: number): void {
    this.#later(forMs, () => fault.unsubscribe());
  }

  /** Ends after so long, or with all faults. */
  #later(forMs: number, end: () => void): void {
    const once = (): void => {
      if (!this.#lasting.delete(once)) return;
      timer.cancel();
      end();
    };
    this.#lasting.add(once);
    const timer = this.#fleet.world.clock.setTimer(forMs, once);
  }
}
