import { stat, writeFile } from "node:fs/promises";
import { messageOf } from "../../base/errors.js";
import { writeFileAtomic } from "../../base-node/atomic-file.js";
import { refusal } from "../../contracts/errors.js";
import type { Command } from "../../contracts/release.js";
import { endText } from "./commands.js";
import { ifThere } from "./disk-errors.js";
import { removeFile } from "./durable.js";
import type { ReleaseContext } from "./release-context.js";
import { publishedText, routesText } from "./route-files.js";

export interface PublisherOptions {
  /** The path of the one file with the routes of all instances of this host. */
  readonly routesFile: string;
  /** Run after each change of it; its purpose is that the user's proxy reads the file again. */
  readonly reloadCommand: Command | undefined;
}

/**
 * Writes the routes file and has it read. The caller lets only one publish at a time. That a reload is due is
 * remembered on the disk before the file changes, so a crash in between does not lose it.
 */
export class Publisher {
  readonly #context: ReleaseContext;
  readonly #options: PublisherOptions;

  constructor(context: ReleaseContext, options: PublisherOptions) {
    this.#context = context;
    this.#options = options;
  }

  /** The routes file says what the instances' own files say, and was read. @throws RollcallError `RELOAD_FAILED`, `CANCELLED` */
  async publish(signal: AbortSignal | undefined): Promise<void> {
    const { layout } = this.#context;
    const { routesFile, reloadCommand } = this.#options;
    const text = await routesText(layout);
    const isDue = reloadCommand !== undefined && (await ifThere(stat(layout.reloadPending))) !== undefined;
    if (!isDue && text === (await publishedText(routesFile))) return;
    if (reloadCommand !== undefined) await writeFile(layout.reloadPending, "");
    await writeFileAtomic(routesFile, text);
    if (reloadCommand === undefined) return;
    await this.#reload(reloadCommand, signal);
    await removeFile(layout.reloadPending);
  }

  /** The routes file says what the instances' own files say. */
  async isPublished(): Promise<boolean> {
    return (await routesText(this.#context.layout)) === (await publishedText(this.#options.routesFile));
  }

  /** The same after something was put back; a reload that fails stays due, and is told in the log only. */
  async publishRestored(): Promise<void> {
    try {
      await this.publish(undefined);
    } catch (thrown) {
      this.#context.log.warn(
        { problem: messageOf(thrown), routesFile: this.#options.routesFile },
        "the routes are as they were, but the reload command failed for them too: it is run again with the next change",
      );
    }
  }

  async #reload(command: Command, signal: AbortSignal | undefined): Promise<void> {
    const { commands, layout, limits } = this.#context;
    const { end, tail } = await commands.run({
      command,
      cwd: layout.dataDir,
      env: { ROLLCALL_ROUTES_FILE: this.#options.routesFile },
      timeoutMs: limits.reloadTimeoutMs,
      signal,
    });
    if (end.kind === "ended" && end.code === 0) return;
    if (end.kind === "cancelled") throw refusal("CANCELLED");
    const output = tail === "" ? "it printed nothing" : tail;
    throw refusal("RELOAD_FAILED", { how: endText(end), output });
  }
}
