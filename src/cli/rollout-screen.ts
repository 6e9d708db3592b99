import { createLogUpdate } from "log-update";
import type { DeploymentSnapshot } from "../api/watch-deployment.js";
import type { RollcallError } from "../base/errors.js";
import { durationText } from "../contracts/duration.js";
import type { CliIo } from "./cli-io.js";
import { paintFor } from "./paint.js";
import { rolloutChanges } from "./rollout-changes.js";
import { endSentence, type RolloutPicture } from "./rollout-picture.js";
import { rolloutLines } from "./rollout-view.js";

/** Where a roll-out is shown while it is followed. */
export interface RolloutScreen {
  /** Every look, also one without a change. */
  look(picture: RolloutPicture): void;
  /** Only what changed. */
  change(before: RolloutPicture | undefined, after: RolloutPicture, snapshot: DeploymentSnapshot): void;
  /** The control plane does not answer at the moment. */
  away(problem: RollcallError, forMs: number): void;
  /** Nothing more comes; without a picture when the watching ended before the roll-out. */
  end(picture: RolloutPicture | undefined): void;
}

/** In place on a terminal, one line a change where output goes elsewhere, one JSON object a change with `--json`. */
export function createRolloutScreen(io: CliIo, json: boolean): RolloutScreen {
  if (json) return jsonScreen(io);
  return canDrawIn(io) ? liveScreen(io) : plainScreen(io);
}

/** A terminal without a size (a pseudo-terminal that nobody told) has no place to draw. */
function canDrawIn({ stdout, env }: CliIo): boolean {
  return stdout.isTTY && env.TERM !== "dumb" && stdout.columns > 0 && stdout.rows > 0;
}

function jsonScreen({ stdout }: CliIo): RolloutScreen {
  return {
    look: () => undefined,
    change: (_before, _after, snapshot) => void stdout.write(`${JSON.stringify(snapshot)}\n`),
    away: () => undefined,
    end: () => undefined,
  };
}

function plainScreen({ stdout, stderr }: CliIo): RolloutScreen {
  let isAway = false;
  return {
    look() {
      isAway = false;
    },
    change(before, after) {
      for (const line of rolloutChanges(before, after)) stdout.write(`${line}\n`);
    },
    away(problem) {
      if (!isAway) stderr.write(`${problem.message} Still trying.\n`);
      isAway = true;
    },
    end(picture) {
      if (picture !== undefined) stdout.write(`${endSentence(picture)}\n`);
    },
  };
}

/** Looks are at least 250 ms apart, so at most four frames are drawn a second. */
function liveScreen(io: CliIo): RolloutScreen {
  const { stdout } = io;
  const draw = createLogUpdate(stdout);
  const paint = paintFor(stdout, io.env);
  let frame: string[] = [];
  return {
    look(picture) {
      frame = rolloutLines(picture, { columns: stdout.columns, rows: stdout.rows, paint });
      draw(frame.join("\n"));
    },
    change: () => undefined,
    away(problem, forMs) {
      const notice = `No answer for ${durationText(forMs)}, what stands above is old: ${problem.message}`;
      draw([...frame, "", paint("yellow", notice.slice(0, stdout.columns - 1))].join("\n"));
    },
    end(picture) {
      draw.done();
      if (picture !== undefined) stdout.write(`\n${endSentence(picture)}\n`);
    },
  };
}
