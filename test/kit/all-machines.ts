import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type AnyStateMachine, StateMachine } from "xstate";

export interface FoundMachine {
  /** Its file in `machines/`, without the ending. */
  readonly file: string;
  readonly machine: AnyStateMachine;
}

const root = fileURLToPath(new URL("../../", import.meta.url));
export const machinesFolder = join(root, "machines");
export const picturesFolder = join(root, "docs", "machines");

/** Every machine that a file in `machines/` exports. */
export async function allMachines(): Promise<FoundMachine[]> {
  const found: FoundMachine[] = [];
  for (const name of readdirSync(machinesFolder).sort()) {
    if (!name.endsWith(".ts")) continue;
    const exported: Record<string, unknown> = await import(pathToFileURL(join(machinesFolder, name)).href);
    for (const value of Object.values(exported)) {
      if (value instanceof StateMachine) found.push({ file: name.slice(0, -".ts".length), machine: value });
    }
  }
  return found;
}
