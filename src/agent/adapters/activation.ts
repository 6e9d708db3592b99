import { rm } from "node:fs/promises";
import { z } from "zod";
import { writeFileAtomic } from "../../base-node/atomic-file.js";
import { refusal } from "../../contracts/errors.js";
import type { ActiveRelease, PhaseWork, RouteTarget } from "../ports.js";
import { makeFolder, readMarker, readOwnFile, removeFile } from "./durable.js";
import { completenessOf } from "./instance-release.js";
import type { InstancePlaces } from "./layout.js";
import type { Publisher } from "./publisher.js";
import { type ReleaseContext, scratchName } from "./release-context.js";
import { type Active, activeSchema } from "./route-files.js";
import { pointAt, targetOf, versionOfFolder } from "./symlinks.js";

export const activationSchema = z.strictObject({
  format: z.literal(1),
  before: z.strictObject({
    /** The version that `current` pointed at. */
    release: z.string().nullable(),
    published: activeSchema.nullable(),
  }),
});
/** An activation that has begun: what to go back to. */
export type Activation = z.infer<typeof activationSchema>;

/** Swaps `current` and the published routes of an instance, both or neither. The caller lets only one run at a time. */
export class Activator {
  readonly #context: ReleaseContext;
  readonly #publisher: Publisher;

  constructor(context: ReleaseContext, publisher: Publisher) {
    this.#context = context;
    this.#publisher = publisher;
  }

  /** Writes down what `activate` will publish. */
  async stage(work: PhaseWork, target: RouteTarget): Promise<void> {
    const places = this.#places(work.instance);
    const staged = activeWith(
      { release: work.release.version, config: work.config?.version ?? null },
      target.instance,
      target,
    );
    await makeFolder(places.folder);
    await writeFileAtomic(places.staged, JSON.stringify(staged));
  }

  /** `current` and the routes are those of `active`, whatever they were; also after an activation that was interrupted. */
  async restore(instance: string, active: ActiveRelease): Promise<void> {
    const places = this.#places(instance);
    await makeFolder(places.folder);
    await pointAt(places.current, places.release(active.release), scratchName(this.#context));
    const published = JSON.stringify(activeWith(active, instance, active));
    const found = await readMarker(places.published, activeSchema, this.#context.log);
    if (JSON.stringify(found) !== published) await writeFileAtomic(places.published, published);
    await this.#publisher.publish(undefined);
    await removeFile(places.activation);
  }

  /** @throws RollcallError `RELOAD_FAILED`, `CANCELLED`; `current` and routes are then as they were */
  async activate(work: PhaseWork): Promise<void> {
    const places = this.#places(work.instance);
    const { version } = work.release;
    const staged = await this.#stagedFor(work);
    const begun = await readOwnFile(places.activation, activationSchema);
    if (begun === undefined && staged === undefined && (await this.#isActive(work))) return;
    const looking = { signal: work.signal, digests: true };
    if ((await completenessOf(this.#context, work.instance, work.release, looking)) !== "complete")
      throw refusal("INTERNAL", {
        problem: `release ${version} of instance ${work.instance} is not complete on disk, so it was not activated`,
      });
    const activation = begun ?? (await this.#begin(places));
    try {
      await pointAt(places.current, places.release(version), scratchName(this.#context));
      await writeFileAtomic(places.published, JSON.stringify(await this.#toPublish(work, staged)));
      await this.#publisher.publish(work.signal);
    } catch (thrown) {
      await this.#goBack(places, activation);
      throw thrown;
    }
    await rm(places.staged, { force: true });
    await rm(places.next, { force: true });
    await removeFile(places.activation);
  }

  /** Nothing is staged or begun any more: what an activation had changed is as it was before. */
  async abandon(instance: string): Promise<void> {
    const places = this.#places(instance);
    const begun = await readOwnFile(places.activation, activationSchema);
    if (begun !== undefined) await this.#goBack(places, begun);
    await removeFile(places.next);
    await removeFile(places.staged);
  }

  /** The routes of an instance are gone; `current` stays. @throws RollcallError `RELOAD_FAILED`, the routes are gone from the file all the same */
  async withdraw(instance: string): Promise<void> {
    const places = this.#places(instance);
    const active = await readOwnFile(places.published, activeSchema);
    if (active !== undefined && active.routes.length > 0)
      await writeFileAtomic(places.published, JSON.stringify({ ...active, routes: [] } satisfies Active));
    await this.#publisher.publish(undefined);
  }

  #places(instance: string): InstancePlaces {
    return this.#context.layout.instance(instance);
  }

  async #begin(places: InstancePlaces): Promise<Activation> {
    const release = versionOfFolder(await targetOf(places.current)) ?? null;
    const published = (await readOwnFile(places.published, activeSchema)) ?? null;
    const activation: Activation = { format: 1, before: { release, published } };
    await writeFileAtomic(places.activation, JSON.stringify(activation));
    return activation;
  }

  async #goBack(places: InstancePlaces, { before }: Activation): Promise<void> {
    if (before.release === null) await removeFile(places.current);
    else await pointAt(places.current, places.release(before.release), scratchName(this.#context));
    if (before.published === null) await removeFile(places.published);
    else await writeFileAtomic(places.published, JSON.stringify(before.published));
    await this.#publisher.publishRestored();
    await removeFile(places.activation);
  }

  /** What is staged, if it was staged for this very version: what an earlier deployment left is not published. */
  async #stagedFor(work: PhaseWork): Promise<Active | undefined> {
    const staged = await readOwnFile(this.#places(work.instance).staged, activeSchema);
    return staged !== undefined && isFor(staged, work) ? staged : undefined;
  }

  async #isActive(work: PhaseWork): Promise<boolean> {
    const places = this.#places(work.instance);
    const published = await readOwnFile(places.published, activeSchema);
    if (published === undefined || !isFor(published, work)) return false;
    return (await targetOf(places.current)) === places.release(work.release.version);
  }

  /** Without anything staged, which only a repeat after a crash can be, the routes stay as they are. */
  async #toPublish(work: PhaseWork, staged: Active | undefined): Promise<Active> {
    if (staged !== undefined) return staged;
    const published = await readOwnFile(this.#places(work.instance).published, activeSchema);
    return {
      format: 1,
      release: work.release.version,
      config: work.config?.version ?? null,
      routes: published?.routes ?? [],
    };
  }
}

/** What is published of a release under a port. */
export function activeWith(
  { release, config }: { readonly release: string; readonly config: string | null },
  instance: string,
  { port, routes }: Pick<RouteTarget, "port" | "routes">,
): Active {
  const target = `http://127.0.0.1:${port}`;
  return { format: 1, release, config, routes: routes.map((route) => ({ ...route, instance, target })) };
}

function isFor(active: Active, work: PhaseWork): boolean {
  return active.release === work.release.version && active.config === (work.config?.version ?? null);
}
