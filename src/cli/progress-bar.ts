import { createLogUpdate } from "log-update";
import type { CliIo } from "./cli-io.js";
import { paintFor } from "./paint.js";

/** How far something is that takes a while. */
export interface ProgressBar {
  /** @param words said beside it, in place of the numbers */
  show(done: number, all: number, words?: string): void;
  /** Takes the bar away. */
  end(): void;
}

const widthMax = 40;
const nothing: ProgressBar = { show: () => undefined, end: () => undefined };

/** A bar on the standard error, if that is a terminal; whoever reads the output of a program is not told. */
export function progressBar({ stderr, env }: CliIo, doing: string): ProgressBar {
  if (!stderr.isTTY || env.TERM === "dumb") return nothing;
  const draw = createLogUpdate(stderr);
  const paint = paintFor(stderr, env);
  return {
    show(done, all, words = `${done} of ${all}`) {
      const full = Math.round((done / all) * widthMax);
      const bar = `${"█".repeat(full)}${paint("dim", "░".repeat(widthMax - full))}`;
      draw(`${doing}  ${bar}  ${words}`);
    },
    end: () => draw.clear(),
  };
}
