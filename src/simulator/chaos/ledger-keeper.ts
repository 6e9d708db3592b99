import { restoreBackup } from "../../backup/restore.js";
import { snapshotOf } from "../../backup/snapshot.js";
import type { OpenBackup } from "../../backup/verify.js";
import { messageOf } from "../../base/errors.js";
import { createMemoryObjects } from "../../ledger/memory-objects.js";
import type { LedgerParts } from "../../ledger/store-ledger.js";
import type { Fleet } from "./fleet.js";
import type { HappeningOf } from "./life-plan.js";

/** Until somebody tries again what has failed. */
const againMs = 5_000;

const part = { file: "records.ndjson", sizeBytes: 0, sha256: "0".repeat(64) };

/** What whoever looks after the ledger does that others are to know of. */
export interface KeeperListener {
  /** A backup is begun: what was granted before is in it. @returns what is called once it is taken */
  backsUp(): () => void;
  /** The ledger is empty. */
  lost(): void;
  /** The newest backup that was taken stands in the ledger. */
  restored(): void;
}

/** Whoever looks after the ledger: takes backups, and puts one back, with the coordinators stopped, when it is lost or somebody wants it so. */
export class LedgerKeeper {
  readonly #fleet: Fleet;
  readonly #listener: KeeperListener;
  #backup: OpenBackup | undefined;
  #tools = 0;
  #underWay = 0;

  constructor(fleet: Fleet, listener: KeeperListener) {
    this.#fleet = fleet;
    this.#listener = listener;
  }

  /** Nobody leads until it has come to its end. */
  get isAtWork(): boolean {
    return this.#underWay > 0;
  }

  /** One that fails is no backup. */
  backUp(): void {
    const { world } = this.#fleet;
    const taken = this.#listener.backsUp();
    this.#take().then(taken, (error: unknown) =>
      world.log.warn({ error: messageOf(error) }, "a backup was not taken"),
    );
  }

  /** @returns the coordinators that are stopped for it; nobody where the one before it is still at work */
  replace({ how }: HappeningOf<"replaceLedger">): readonly string[] {
    if (this.isAtWork) return [];
    const { coordinators, world } = this.#fleet;
    const stopped = [...coordinators.keys()];
    this.#underWay++;
    this.#replaced(how)
      .catch((error: unknown) => world.log.error({ error: messageOf(error) }, "the ledger was not replaced"))
      .finally(() => {
        this.#underWay--;
        for (const node of [...coordinators.values()]) if (node.ended) this.#fleet.replace(node);
      });
    return stopped;
  }

  async #take(): Promise<void> {
    const { fleet, store, clock } = this.#fleet.world;
    const parts = this.#reach();
    const { ledgerId, revision, epoch, head, entries } = await snapshotOf({
      fleet,
      store: parts.store,
      async *events() {
        yield* store.events(fleet);
      },
      objects: createMemoryObjects(),
    });
    const manifest: OpenBackup["manifest"] = {
      format: 1,
      rollcall: "1.0.0",
      fleet,
      ledgerId,
      revision,
      epoch,
      takenAtMs: Math.round(clock.nowMs()),
      head,
      counts: { deployments: 0, instances: 0, releases: 0, configs: 0, others: 0, events: 0, files: 0 },
      withFiles: false,
      records: part,
      events: part,
      files: [],
    };
    this.#backup = { manifest, entries, events: [], findings: [], pathOf: () => "" };
  }

  async #replaced(how: "lost" | "restored"): Promise<void> {
    const { world } = this.#fleet;
    this.#endCoordinators();
    if (how === "lost" || this.#backup === undefined) {
      world.store.lose(world.fleet);
      this.#listener.lost();
      return;
    }
    while (!(await this.#restored(this.#backup)))
      await new Promise<void>((resolve) => world.clock.setTimer(againMs, resolve));
    this.#listener.restored();
  }

  /** @returns false if it has to be tried again: one of the killed holds its lease, or the ledger does not answer */
  async #restored(backup: OpenBackup): Promise<boolean> {
    this.#endCoordinators();
    try {
      await restoreBackup(this.#reach(), createMemoryObjects(), backup, {
        file: "backup.tar.gz",
        by: "anna",
        holder: `restore-${this.#tools}`,
        force: true,
        saveFirst: async () => "before.tar.gz",
      });
      return true;
    } catch (error) {
      this.#fleet.world.log.warn({ error: messageOf(error) }, "the ledger could not be restored yet");
      return false;
    }
  }

  #endCoordinators(): void {
    for (const node of this.#fleet.coordinators.values()) node.kill();
  }

  /** A process of its own, over a connection of its own. */
  #reach(): LedgerParts {
    const { fleet, store, hub, clock } = this.#fleet.world;
    const bus = hub.connect(`tool-${++this.#tools}`);
    return { ...store.parts({ fleet, bus }), clock };
  }
}
