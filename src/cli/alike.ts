import { namesText } from "./words.js";

/** What was said of an object, perhaps on one of many instances, which the sentence names. */
export interface Said {
  readonly object: string;
  readonly atMs: number;
  readonly instance: string | null;
  readonly sentence: string;
}

/** The first of those that say the same, each of another instance, and the one sentence for all of them. */
export interface Alike<T> {
  readonly first: T;
  readonly count: number;
  readonly sentence: string;
}

/** How long after the first one may say the same to be a part of it. */
const togetherMs = 60_000;
/** Instances in a sentence, by name. */
const namesShownMax = 3;

/**
 * What a thousand instances say alike, one after the other, as one. What is said of the object itself ends that, so that nobody reads
 * what came after as what was before.
 */
export function alikeTogether<T>(items: readonly T[], saidOf: (item: T) => Said): Alike<T>[] {
  const found: { readonly first: T; readonly said: Said; readonly names: string[] }[] = [];
  const open = new Map<string, Map<string, (typeof found)[number]>>();
  for (const item of items) {
    const said = saidOf(item);
    const { object, instance, sentence, atMs } = said;
    const next = { first: item, said, names: instance === null ? [] : [instance] };
    if (instance === null || !sentence.includes(` ${instance}`)) {
      open.delete(object);
      found.push(next);
      continue;
    }
    const ofObject = open.get(object) ?? new Map<string, typeof next>();
    open.set(object, ofObject);
    const words = sentence.replace(` ${instance}`, "");
    const group = ofObject.get(words);
    if (group !== undefined && atMs - group.said.atMs <= togetherMs) group.names.push(instance);
    else {
      ofObject.set(words, next);
      found.push(next);
    }
  }
  return found.map(({ first, said: { sentence, instance }, names }) => ({
    first,
    count: Math.max(1, names.length),
    sentence:
      names.length < 2
        ? sentence
        : sentence.replace(` ${instance}`, () => ` ${namesText(names, namesShownMax)}`),
  }));
}
