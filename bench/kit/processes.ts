import type { ChildProcess } from "node:child_process";
import { fork } from "node:child_process";
import { once } from "node:events";

/** What a worker process can be asked to do: one argument that JSON can carry, and an answer of the same kind. */
export type Calls = Readonly<Record<string, (argument: never) => Promise<unknown>>>;

const callMaxMs = 90_000;

interface Question {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** A process of a benchmark's own, so that what it uses is counted apart. */
export class Worker<C extends Calls> {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { done: (value: unknown) => void; failed: (error: Error) => void }>();
  #lastId = 0;

  private constructor(child: ChildProcess, role: string) {
    this.#child = child;
    child.on("message", (answer: Answer) => this.#take(answer));
    child.on("exit", (code, signal) => {
      const error = new Error(`the worker ${role} has ended: ${signal ?? `exit code ${code}`}`);
      for (const { failed } of this.#waiting.values()) failed(error);
      this.#waiting.clear();
    });
  }

  /** @param role one of `bench/worker.ts` */
  static async start<C extends Calls>(role: string, execArgv: readonly string[] = []): Promise<Worker<C>> {
    const entry = new URL(`../worker${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url);
    const child = fork(entry, [role], { execArgv: [...process.execArgv, ...execArgv], stdio: "inherit" });
    await once(child, "spawn");
    return new Worker<C>(child, role);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  call<N extends keyof C & string>(
    name: N,
    argument: Parameters<C[N]>[0],
    { timeoutMs = callMaxMs }: { readonly timeoutMs?: number } = {},
  ): Promise<Awaited<ReturnType<C[N]>>> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error(`no answer to ${name} in ${timeoutMs} ms`)), timeoutMs);
      const done = (value: unknown) => {
        clearTimeout(limit);
        resolve(value as Awaited<ReturnType<C[N]>>);
      };
      this.#waiting.set(id, { done, failed: reject });
      this.#child.send({ id, name, argument } satisfies Question);
    });
  }

  /** Workers end when nobody is connected to them any more, this process killed included. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  #take({ id, value, error }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.done(value);
    else waiting?.failed(new Error(error));
  }
}

/** The other end: answers what this process is asked until its parent is gone. */
export function answerCalls(calls: Calls): void {
  process.on("disconnect", () => process.exit(0));
  process.on("message", ({ id, name, argument }: Question) => {
    const call = calls[name] as ((argument: unknown) => Promise<unknown>) | undefined;
    if (call === undefined) throw new Error(`there is no call ${name}`);
    call(argument).then(
      (value) => process.send?.({ id, value } satisfies Answer),
      (error: unknown) => process.send?.({ id, error: String(error instanceof Error ? error.stack : error) }),
    );
  });
}
