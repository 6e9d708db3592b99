import type { AppList, DesiredApp } from "../src/contracts/app.js";
import { type Accepted, accept, isNewer } from "./accepted.js";

/*
 * How an instance knows that it has heard all that is asked of its apps: every record says which change of the list it made. Whoever
 * has heard them one after the other has missed nothing; whoever has missed one reads the list. Pure; the agent asks and acts.
 */

/** How far an instance has heard. */
export interface HeardApps extends Accepted {
  /** Of the list: everything up to it has been heard. */
  readonly generation: number;
  /** The highest that a record has named. */
  readonly ahead: number;
}

export const nothingHeard: HeardApps = { accepted: null, retired: [], generation: 0, ahead: 0 };

/** @returns how far it has heard now, and whether something before it was missed, so that the list has to be read */
export function hearRecord(
  heard: HeardApps,
  { ledgerId, appsGeneration }: Pick<DesiredApp, "ledgerId" | "appsGeneration">,
): { readonly heard: HeardApps; readonly missed: boolean } {
  if (heard.accepted?.ledgerId !== ledgerId) return { heard, missed: isNewer(heard, ledgerId, 0) };
  const ahead = Math.max(heard.ahead, appsGeneration);
  const isNext = appsGeneration === heard.generation + 1;
  const generation = isNext ? appsGeneration : heard.generation;
  return { heard: { ...heard, ahead, generation }, missed: ahead > generation };
}

/** What is here of an app. */
export interface KnownApp {
  readonly ledgerId: string | null;
  readonly generation: number;
}

/** What a list asks for. */
export interface ListReading {
  readonly heard: HeardApps;
  /** Apps whose record is not what is known. */
  readonly read: readonly string[];
  /** Apps that the list does not have. */
  readonly missing: readonly string[];
}

/**
 * Takes a list in that was found at a revision.
 *
 * @returns how far it has heard once every app to be read has been; `undefined` for a list that is older than what is known
 */
export function hearList(
  heard: HeardApps,
  list: Pick<AppList, "ledgerId" | "generation" | "apps">,
  revision: number,
  known: ReadonlyMap<string, KnownApp>,
): ListReading | undefined {
  const { ledgerId, generation, apps } = list;
  const isKnown = heard.accepted?.ledgerId === ledgerId && heard.accepted.revision === revision;
  if (!isKnown && !isNewer(heard, ledgerId, revision)) return undefined;
  const ofThis = heard.accepted?.ledgerId === ledgerId ? heard : nothingHeard;
  const read = Object.entries(apps).flatMap(([app, wanted]) => {
    const here = known.get(app);
    return here?.ledgerId === ledgerId && here.generation >= wanted ? [] : [app];
  });
  return {
    heard: {
      ...accept(heard, ledgerId, revision),
      generation: Math.max(generation, ofThis.generation),
      ahead: ofThis.ahead,
    },
    read,
    missing: [...known.keys()].filter((app) => !Object.hasOwn(apps, app)),
  };
}

/** Something is known to have been asked that was not heard, a record or as somebody has said. */
export function isBehind({ generation, ahead }: HeardApps, told = 0): boolean {
  return Math.max(ahead, told) > generation;
}
