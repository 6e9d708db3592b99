import { parentPort, workerData } from "node:worker_threads";
import type { AppSettings } from "../../contracts/app.js";

/** What the thread of an app is made with, and what it and its engine say to each other. */
export interface ModuleThread {
  readonly app: string;
  readonly version: string;
  /** Of the module. */
  readonly url: string;
  readonly settings: AppSettings;
}
export interface ModuleAsk {
  readonly number: number;
  readonly verb: "initialize" | "enable" | "disable" | "ping";
}
export interface ModuleFailure {
  /** As the app named it; `undefined` for whatever it threw. */
  readonly failure: string | undefined;
  readonly permanent: boolean | undefined;
  readonly message: string;
}
export interface ModuleAnswer {
  readonly number: number;
  readonly failed: ModuleFailure | null;
}

type AppFunction = (about: Omit<ModuleThread, "url">) => unknown;

/** What an app's module may export. */
type AppModule = Partial<Record<"initialize" | "enable" | "disable", AppFunction>>;

/** A module that Node itself could not compile or link, and not one that parsed something wrong. */
function isCompilerError(thrown: unknown): boolean {
  if (!(thrown instanceof SyntaxError)) return false;
  const [frame = ""] = /^\s+at .*$/m.exec(thrown.stack ?? "") ?? [];
  return frame.includes("node:internal/");
}

function failureOfImport(thrown: unknown): ModuleFailure {
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
  if (isCompilerError(thrown)) return { ...failureIn(thrown), failure: "compiler" };
  return code === "ERR_MODULE_NOT_FOUND"
    ? { ...failureIn(thrown), failure: "installation" }
    : failureIn(thrown);
}

function failureIn(thrown: unknown): ModuleFailure {
  const facts: { failure?: unknown; permanent?: unknown } =
    typeof thrown === "object" && thrown !== null ? thrown : {};
  return {
    failure: typeof facts.failure === "string" ? facts.failure : undefined,
    permanent: typeof facts.permanent === "boolean" ? facts.permanent : undefined,
    message: thrown instanceof Error ? thrown.message : String(thrown),
  };
}

const { app, version, url, settings } = workerData as ModuleThread;
let loaded: AppModule | undefined;

async function carryOut(verb: ModuleAsk["verb"]): Promise<ModuleFailure | null> {
  if (verb === "ping") return null;
  try {
    loaded ??= (await import(url)) as AppModule;
  } catch (thrown) {
    return failureOfImport(thrown);
  }
  try {
    await loaded[verb]?.({ app, version, settings });
    return null;
  } catch (thrown) {
    return failureIn(thrown);
  }
}

parentPort?.on("message", ({ number, verb }: ModuleAsk) => {
  void carryOut(verb).then((failed) => parentPort?.postMessage({ number, failed } satisfies ModuleAnswer));
});
