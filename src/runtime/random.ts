import { hash, randomBytes, randomInt } from "node:crypto";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";
import type { Random } from "../base/ports.js";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** 62^22 is more than 2^128. */
const idLength = 22;

/** The largest multiple of 62 in a byte: what is above would favour the first letters. */
const fairByteMax = 248;

/** Randomness that repeats: the same seed and label give the same numbers. */
export interface SeededRandom extends Random {
  /** A stream of its own, whatever was drawn from this one before. */
  fork(label: string): SeededRandom;
}

/** The randomness of the operating system. */
export function createRealRandom(): Random {
  return { id: randomId, unit: () => randomInt(2 ** 47) / 2 ** 47 };
}

function randomId(): string {
  let id = "";
  while (id.length < idLength) {
    for (const byte of randomBytes(idLength + 8)) {
      if (byte < fairByteMax && id.length < idLength) id += alphabet.charAt(byte % alphabet.length);
    }
  }
  return id;
}

/**
 * Randomness for tests and simulation. Give every consumer a stream of its own, so that one that
 * draws more does not change what the others see.
 *
 * @example createSeededRandom(42).fork("coordinator").fork("ids").id();
 */
export function createSeededRandom(seed: number | string): SeededRandom {
  const digest = hash("sha256", String(seed), "buffer");
  const generator = xoroshiro128plusFromState([0, 4, 8, 12].map((at) => digest.readInt32LE(at)));
  return {
    id() {
      let id = "";
      while (id.length < idLength) id += alphabet.charAt(uniformInt(generator, 0, alphabet.length - 1));
      return id;
    },
    unit: () => uniformFloat64(generator),
    fork: (label) => createSeededRandom(`${seed}/${label}`),
  };
}
