import { durationText } from "../contracts/duration.js";
import type { ChaosTally } from "../simulator/chaos/chaos-run.js";
import { type Mark, marks } from "../simulator/chaos/marks.js";
import type { CliIo } from "./cli-io.js";
import { type ProgressBar, progressBar } from "./progress-bar.js";
import { countText } from "./words.js";

const minuteMs = 60_000;

/** How far a run of many lives is: a bar on a terminal; else, when it takes long, a line a minute. */
export class ChaosProgress {
  readonly #io: CliIo;
  readonly #tally: ChaosTally;
  readonly #limitMs: number | undefined;
  readonly #lives: number | undefined;
  readonly #startedAtMs: number;
  readonly #bar: ProgressBar;
  #saidAtMs = 0;

  constructor(
    io: CliIo,
    tally: ChaosTally,
    until: { readonly limitMs: number | undefined; readonly lives: number | undefined },
  ) {
    this.#io = io;
    this.#tally = tally;
    this.#limitMs = until.limitMs;
    this.#lives = until.lives;
    this.#startedAtMs = io.clock.monotonicMs();
    this.#bar = progressBar(io, "living");
  }

  get passedMs(): number {
    return this.#io.clock.monotonicMs() - this.#startedAtMs;
  }

  show(): void {
    const { passedMs } = this;
    const words = figuresText(this.#tally, passedMs);
    if (this.#limitMs !== undefined) this.#bar.show(Math.min(passedMs, this.#limitMs), this.#limitMs, words);
    else if (this.#lives !== undefined) this.#bar.show(this.#tally.lives, this.#lives, words);
    if (this.#io.stderr.isTTY || passedMs - this.#saidAtMs < minuteMs) return;
    this.#saidAtMs = passedMs;
    const missing = unreached(this.#tally);
    const never = missing.length === 0 ? "" : `, never yet ${missing.join(", ")}`;
    this.#io.stderr.write(`${durationText(passedMs)}: ${words}${never}\n`);
  }

  /** Says something that stays. */
  say(line: string): void {
    this.#bar.end();
    this.#io.stderr.write(`${line}\n`);
  }

  end(): void {
    this.#bar.end();
  }
}

/** `120 lives, 1.4 seeds a second, 21.3 h of virtual time, 1 failure` */
export function figuresText({ lives, virtualMs, failures }: ChaosTally, passedMs: number): string {
  const rate = (lives / Math.max(0.001, passedMs / 1_000)).toPrecision(2);
  const hours = (virtualMs / 3_600_000).toFixed(1);
  const failed = failures === 0 ? "" : `, ${countText(failures, "failure")}`;
  return `${countText(lives, "life", "lives")}, ${rate} seeds a second, ${hours} h of virtual time${failed}`;
}

/** What no life has reached. */
export function unreached(tally: ChaosTally): Mark[] {
  return (Object.keys(marks) as Mark[]).filter((mark) => !tally.marks.has(mark));
}
