/** Work on the files of one instance. */
interface Piece {
  readonly id: number;
  readonly abort: AbortController;
  readonly run: (signal: AbortSignal) => Promise<void>;
}

/**
 * The work on one instance's files, one piece at a time: what was cancelled has settled before the next begins, so two
 * never write to the same folder. Pieces that were cancelled before they began are left out.
 */
export class WorkQueue {
  readonly #waiting: Piece[] = [];
  #current: Piece | undefined;

  /** Takes the place of a waiting piece of the same id, so that no more wait than there are ids. `run` must not reject. */
  add(id: number, run: (signal: AbortSignal) => Promise<void>): void {
    this.#leaveOut((piece) => piece.id === id);
    this.#waiting.push({ id, run, abort: new AbortController() });
    this.#next();
  }

  /** Asks the piece to end soon; without effect on one that is over. */
  cancel(id: number): void {
    if (this.#current?.id === id) this.#current.abort.abort();
    this.#leaveOut((piece) => piece.id === id);
  }

  cancelAll(): void {
    this.#current?.abort.abort();
    this.#leaveOut(() => true);
  }

  #leaveOut(which: (piece: Piece) => boolean): void {
    for (let at = this.#waiting.length - 1; at >= 0; at--) {
      const piece = this.#waiting[at];
      if (piece !== undefined && which(piece)) this.#waiting.splice(at, 1);
    }
  }

  #next(): void {
    if (this.#current !== undefined) return;
    const piece = this.#waiting.shift();
    if (piece === undefined) return;
    this.#current = piece;
    const ended = (): void => {
      this.#current = undefined;
      this.#next();
    };
    piece.run(piece.abort.signal).then(ended, ended);
  }
}
