import {
  type CoordinatorCommand,
  type CoordinatorEvent,
  coordinatorMachine,
} from "../../machines/coordinator.js";
import { messageOf, RollcallError } from "../base/errors.js";
import type { Leadership, Log, Subscription } from "../base/ports.js";
import type { AnswerSource, LedgerPlace } from "../contracts/answer-source.js";
import { type ControlPlane, type EndpointName, endpoints, type ReplyOf } from "../contracts/api.js";
import { refusal } from "../contracts/errors.js";
import { keys } from "../contracts/keys.js";
import { currentFormats, type Formats } from "../contracts/record-formats.js";
import type { CoordinatorView } from "../contracts/views.js";
import type { Actor } from "../runtime/actor.js";
import { believed, written } from "./believed.js";
import { createControlPlane, type LeaderPlane } from "./control-plane.js";
import type { Coordinator, CoordinatorOptions, CoordinatorPorts } from "./coordinator-ports.js";
import { type AskPeers, assertReadable, writtenFormats } from "./fleet-formats.js";
import { noteHandOver } from "./hand-over.js";
import { knownCoordinators, leaseSoon } from "./known-coordinators.js";
import { knownBy } from "./known-fleet.js";
import { LastingProblem } from "./lasting-problem.js";
import { Leader } from "./leader.js";
import { ledgerView } from "./ledger-view.js";
import { type AuditPages, isRead } from "./reads.js";
import { type Role, roleAfter } from "./roles.js";
import { SelfWatch } from "./self-watch.js";
import { Standby } from "./standby.js";

/** After a takeover, until every instance will have reported once. */
const inventoryMs = 10_000;

const nobody: AskPeers = async () => [];
const noAudit =
  (fleet: string): AuditPages =>
  async () => {
    throw refusal("LEDGER_UNAVAILABLE", { fleet, problem: "this coordinator cannot read the audit log" });
  };

/**
 * Makes a coordinator. The machine `machines/coordinator.ts` decides when it leads; this does what it says.
 *
 * @example
 * const coordinator = createCoordinator(ports, { fleet: "default", name: "c1", leaseMs: 3_000, version: "1.0.0", node: "here" });
 * coordinator.start();
 */
export function createCoordinator(ports: CoordinatorPorts, options: CoordinatorOptions): Coordinator {
  return new HostedCoordinator(ports, options);
}

class HostedCoordinator implements Coordinator {
  readonly #ports: CoordinatorPorts;
  readonly #options: CoordinatorOptions;
  readonly #log: Log;
  readonly plane: ControlPlane;
  #actor: Actor<typeof coordinatorMachine> | undefined;
  #leadership: Leadership | undefined;
  #leader: Leader | undefined;
  /** The end of the audit log's note of it. */
  #handedOver: Promise<void> | undefined;
  #answers: LeaderPlane | undefined;
  readonly #standby: Standby;
  readonly #audit: AuditPages;
  #role: Role = "campaigning";
  #roleSinceMs: number;
  readonly #stopped: (() => void)[] = [];
  #lease: Subscription | undefined;
  readonly #problems: LastingProblem;
  readonly #selfWatch: SelfWatch;

  constructor(ports: CoordinatorPorts, options: CoordinatorOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#log = ports.log.child({ fleet: options.fleet, coordinator: options.name });
    this.#problems = new LastingProblem(ports.clock, this.#log);
    this.#selfWatch = new SelfWatch(({ rule, sentence }, times) =>
      this.#log.error({ code: "RULE_BROKEN", rule, times }, sentence),
    );
    this.#roleSinceMs = ports.clock.nowMs();
    this.#audit = ports.audit ?? noAudit(options.fleet);
    this.#standby = new Standby(options.name, this.#audit, {
      ...ports,
      log: this.#log,
      fleet: options.fleet,
      formats: this.#formats,
      onLeaseFree: () => this.#actor?.send({ type: "leaseFree" }),
    });
    this.plane = this.#guardedPlane();
  }

  start(): void {
    this.#actor = this.#ports.host.spawn({
      kind: "coordinator",
      id: this.#options.name,
      machine: coordinatorMachine,
      input: { leaseMs: this.#options.leaseMs },
      // However many members have something to handle, the lease is renewed in time.
      urgent: true,
      perform: (command) => this.#perform(command),
      publicView: ({ context }) => ({ ...context }),
      onTransition: (snapshot) => {
        const state = typeof snapshot.value === "string" ? snapshot.value : Object.keys(snapshot.value)[0];
        this.#noteRole(state ?? "", snapshot.context.problem);
        if (snapshot.status === "done") for (const done of this.#stopped.splice(0)) done();
      },
    });
    this.#lease = this.#ports.ledger.watch(keys.lease, ({ value }) => {
      if (value === undefined) this.#actor?.send({ type: "leaseFree" });
    });
  }

  async stop(): Promise<void> {
    const actor = this.#actor;
    this.#lease?.unsubscribe();
    this.#standby.stop();
    if (actor === undefined || actor.snapshot().status === "done") return;
    await new Promise<void>((done) => {
      this.#stopped.push(done);
      if (!actor.send({ type: "stop" })) done();
    });
    actor.stop();
  }

  leads(): boolean {
    const { clock } = this.#ports;
    return (
      this.#role === "leading" &&
      this.#answers !== undefined &&
      this.#leadership !== undefined &&
      clock.monotonicMs() < this.#leadership.validUntilMs()
    );
  }

  view(): CoordinatorView {
    const { name, version, node } = this.#options;
    return {
      id: name,
      role: this.#role,
      epoch: this.#leadership?.epoch ?? null,
      sinceMs: this.#roleSinceMs,
      renewedAtMs: null,
      doing: this.#doing(),
      version,
      node,
      // A leader that a full ledger ends leads again within seconds, and has the problem all the same.
      problem: this.#actor?.snapshot().context.problem ?? this.#problems.lately ?? this.#selfWatch.problem,
    };
  }

  source(): AnswerSource | undefined {
    if (!this.leads() || this.#leader === undefined) return this.#standby.source();
    const { revision, term } = this.#leader;
    return { ledgerId: term.ledgerId, revision, copy: null };
  }

  isFresh(): boolean {
    return this.#standby.isFresh;
  }

  async reaches(place: LedgerPlace, withinMs: number): Promise<boolean> {
    return (await this.#standby.copy?.reaches(place, withinMs)) ?? false;
  }

  leader(): { readonly name: string | null; readonly epoch: number } {
    const context = this.#actor?.snapshot().context;
    const name = this.leads() ? this.#options.name : (context?.leader ?? null);
    return { name, epoch: context?.epoch ?? 0 };
  }

  #noteRole(state: string, problem: string | null): void {
    const before = this.#role;
    const role = roleAfter(before, state);
    if (role === before) return;
    this.#role = role;
    this.#roleSinceMs = this.#ports.clock.nowMs();
    if (role === "following") this.#standby.start();
    if (role === "leading") this.#standby.stop();
    const facts = { role, epoch: this.#leadership?.epoch ?? null, ...(problem === null ? {} : { problem }) };
    if (before === "leading" && state === "steppingDown")
      this.#log.warn(
        facts,
        "this coordinator steps down: its lease has ended or was taken, or one of its writes failed",
      );
    else if (role === "leading" || role === "stopping")
      this.#log.info(facts, "the role of this coordinator has changed");
    else this.#log.debug(facts, "the role of this coordinator has changed");
  }

  #perform(command: CoordinatorCommand): void {
    switch (command.type) {
      case "acquire":
        this.#do(this.#acquire());
        break;
      case "load":
        this.#do(this.#load());
        break;
      case "lead":
        this.#leader?.lead();
        this.#sayWhatIsLost();
        break;
      case "renew":
        this.#do(this.#renew());
        break;
      case "drop":
        this.#drop();
        break;
      case "handOver":
        this.#handedOver = noteHandOver(this.#leadership, this.#ports.clock, this.#log);
        break;
      case "resign":
        this.#do(this.#resign());
        break;
    }
  }

  /** Effects end in an event of their own; what escapes one is a defect that must be seen. */
  #do(effect: Promise<void>): void {
    effect.catch((error: unknown) =>
      this.#log.error({ error: messageOf(error) }, "an effect of the coordinator failed"),
    );
  }

  async #acquire(): Promise<void> {
    const { ledger } = this.#ports;
    try {
      if (!(await this.#isFit())) return;
      const got = await ledger.acquire({ holder: this.#options.name, leaseMs: this.#options.leaseMs });
      if ("heldBy" in got) {
        this.#actor?.send({ type: "heldBy", leader: got.heldBy, epoch: got.epoch });
        return;
      }
      this.#leadership = got;
      // It was stopped while it asked.
      if (
        this.#actor?.send({ type: "acquired", epoch: got.epoch, validForMs: this.#validForMs(got) }) === false
      )
        await got.resign();
    } catch (error) {
      this.#actor?.send({ type: "unavailable", problem: messageOf(error) });
    }
  }

  /** Whether this version can read what is written: one that cannot does not take the lease from those who can. */
  async #isFit(): Promise<boolean> {
    const { ledger } = this.#ports;
    const written = await writtenFormats(this.#options.fleet, ledger);
    try {
      assertReadable(this.#formats, written);
      return true;
    } catch (error) {
      this.#problems.log("error", error, "this coordinator cannot lead");
      const held = await ledger.lease();
      const { heldBy: leader = null, epoch = null } = held ?? {};
      this.#actor?.send({ type: "unfit", problem: messageOf(error), leader, epoch });
      return false;
    }
  }

  get #formats(): Formats {
    return this.#options.formats ?? currentFormats;
  }

  /** How long from now on it may act; less than the lease by the time that the answer took. */
  #validForMs(leadership: Leadership): number {
    return Math.max(0, leadership.validUntilMs() - this.#ports.clock.monotonicMs());
  }

  async #load(): Promise<void> {
    const { ledger, clock, random, log, bus, host, unsentAtMs } = this.#ports;
    const leadership = this.#leadership;
    if (leadership === undefined) return;
    const leader: Leader = new Leader({
      ...this.#options,
      ledger,
      leadership,
      clock,
      random,
      log,
      bus,
      host,
      formats: this.#formats,
      askPeers: this.#ports.askPeers ?? nobody,
      files: this.#ports.files,
      unsentAtMs,
      selfWatch: this.#selfWatch,
      onFailed: (error) => {
        if (this.#leader === leader) this.#termFailed(error);
      },
    });
    this.#leader = leader;
    try {
      await leader.load();
      // Lost in the meantime: what was read is dropped already.
      if (this.#leader !== leader) return;
      this.#answers = createControlPlane(leader, this.#ports.files, this.#audit);
      this.#actor?.send({ type: "loaded" });
    } catch (error) {
      if (this.#leader !== leader) return;
      this.#drop();
      this.#problems.log("error", error, "the fleet's records could not be read");
      this.#actor?.send({ type: "unavailable", problem: messageOf(error) });
    }
  }

  /** A ledger that was lost or restored knows less than the instances: that is told once a term. */
  #sayWhatIsLost(): void {
    const leader = this.#leader;
    this.#ports.clock.setTimer(inventoryMs, () => {
      if (leader === undefined || this.#leader !== leader) return;
      const { notice, ...facts } = ledgerView(knownBy(leader));
      if (notice !== null) this.#log.warn(facts, notice);
    });
  }

  async #renew(): Promise<void> {
    const leadership = this.#leadership;
    let outcome: CoordinatorEvent;
    try {
      await leadership?.renew();
      outcome = { type: "renewed", validForMs: leadership === undefined ? 0 : this.#validForMs(leadership) };
    } catch (error) {
      outcome = isDeposed(error) ? { type: "deposed" } : { type: "renewFailed", problem: messageOf(error) };
    }
    // What became of an earlier lease says nothing of this one.
    if (this.#leadership === leadership) this.#actor?.send(outcome);
  }

  #termFailed(error: unknown): void {
    const sentence = "what is known may differ from the ledger, and is read anew";
    if (isDeposed(error)) this.#log.warn({ error: messageOf(error) }, sentence);
    else this.#problems.log("warn", error, sentence);
    // From now on nobody is answered by what may not be so; the machine hears of it in a later turn.
    this.#drop();
    if (isDeposed(error)) this.#actor?.send({ type: "deposed" });
    else this.#actor?.send({ type: "writeFailed", problem: messageOf(error) });
  }

  #drop(): void {
    this.#leader?.drop(refusal("NO_LEADER", { fleet: this.#options.fleet }));
    this.#leader = undefined;
    this.#answers = undefined;
  }

  async #resign(): Promise<void> {
    const leadership = this.#leadership;
    this.#leadership = undefined;
    this.#drop();
    try {
      await this.#handedOver;
      await leadership?.resign();
    } catch (error) {
      // The lease ends by itself.
      this.#log.debug({ error: messageOf(error) }, "the lease was not given back");
    }
    this.#actor?.send({ type: "resigned" });
  }

  #guardedPlane(): ControlPlane {
    const names = Object.keys(endpoints) as EndpointName[];
    const guarded = names.map((name) => [name, (request: never) => this.#answer(name, request)] as const);
    return Object.fromEntries(guarded) as unknown as ControlPlane;
  }

  async #answer(name: EndpointName, request: never): Promise<unknown> {
    if (name === "coordinators.list") return this.#coordinators();
    const leader = this.#leader;
    if (leader !== undefined && this.#answers !== undefined && this.leads()) {
      const answer = this.#answers[name](request) as Promise<unknown>;
      const reply = await believed(leader.term.fleet, answer, () => this.#leader === leader);
      if (isRead(name)) await written(leader);
      return reply;
    }
    const { reads } = this.#standby;
    if (!isRead(name) || reads === undefined) throw refusal("NO_LEADER", { fleet: this.#options.fleet });
    return reads[name](request);
  }

  async #coordinators(): Promise<ReplyOf<"coordinators.list">> {
    const lease = await leaseSoon(this.#ports.ledger, this.#ports.clock);
    return { items: knownCoordinators(this.view(), lease), asOf: this.#nowMs(), epoch: this.leader().epoch };
  }

  /** Ledger time, as far as it is known. */
  #nowMs(): number {
    const term = this.leads() ? this.#leader?.term : undefined;
    return term?.nowMs() ?? this.#standby.copy?.nowMs() ?? this.#ports.clock.nowMs();
  }

  #doing(): string {
    if (this.leads()) return "leads";
    const problem = this.#actor?.snapshot().context.problem;
    if (problem != null) return problem;
    return this.#role === "following" ? this.#standby.doing : this.#role;
  }
}

function isDeposed(error: unknown): boolean {
  return error instanceof RollcallError && error.code === "DEPOSED";
}
