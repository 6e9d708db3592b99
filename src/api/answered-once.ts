import { isPassing } from "./retry.js";

/** Requests whose answers are kept for those who ask again. */
const keptMax = 1_000;

/**
 * Carries a request out once, however often it arrives: a client that hears nothing sends it again under the same id, and gets
 * the answer of the first. What could not be carried out, or of which that is not known, is not kept.
 */
export class AnsweredOnce {
  readonly #answers = new Map<string, Promise<unknown>>();

  do<T>(id: string | undefined, carryOut: () => Promise<T>): Promise<T> {
    if (id === undefined) return carryOut();
    const known = this.#answers.get(id);
    if (known !== undefined) return known as Promise<T>;
    const answer = carryOut();
    this.#answers.set(id, answer);
    const [oldest = id] = this.#answers.keys();
    if (this.#answers.size > keptMax) this.#answers.delete(oldest);
    answer.catch((thrown: unknown) => {
      if (isPassing(thrown) && this.#answers.get(id) === answer) this.#answers.delete(id);
    });
    return answer;
  }
}
