import { RingQueue } from "./ring-queue.js";

interface Save<C> {
  readonly commands: readonly C[];
  outcome: { readonly error: unknown } | "saved" | undefined;
}

/** What a {@link SaveQueue} tells its owner. */
export interface SaveListener<C> {
  /** A save resolved and so did all before it. */
  saved(commands: readonly C[]): void;
  /** A save failed; all before it resolved, and the queue tells nothing of those after it. */
  failed(error: unknown, lost: readonly C[]): void;
  /** One save fewer is under way. */
  settled(): void;
}

/** Saves that are under way at the same time, and whose outcomes are told in the order in which they were begun. */
export class SaveQueue<C> {
  readonly #saves = new RingQueue<Save<C>>();
  readonly #listener: SaveListener<C>;
  #failed = false;

  constructor(listener: SaveListener<C>) {
    this.#listener = listener;
  }

  /** Saves begun whose outcome was not told. */
  get size(): number {
    return this.#saves.size;
  }

  get failed(): boolean {
    return this.#failed;
  }

  add(commands: readonly C[], begin: () => Promise<void>): void {
    const save: Save<C> = { commands, outcome: undefined };
    this.#saves.push(save);
    const settle = (outcome: Save<C>["outcome"]): void => {
      save.outcome = outcome;
      this.#tell();
      this.#listener.settled();
    };
    started(begin).then(
      () => settle("saved"),
      (error: unknown) => settle({ error }),
    );
  }

  #tell(): void {
    for (;;) {
      const first = this.#saves.peek();
      if (first?.outcome === undefined || this.#failed) return;
      this.#saves.shift();
      if (first.outcome === "saved") this.#listener.saved(first.commands);
      else this.#fail(first.outcome.error, first.commands);
    }
  }

  #fail(error: unknown, commands: readonly C[]): void {
    this.#failed = true;
    const lost = [...commands];
    for (let next = this.#saves.shift(); next !== undefined; next = this.#saves.shift())
      lost.push(...next.commands);
    this.#listener.failed(error, lost);
  }
}

async function started(begin: () => Promise<void>): Promise<void> {
  await begin();
}
