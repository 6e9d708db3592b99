import { statSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../kit/eventually.js";
import type { Running, World } from "./world.js";

const root = join(import.meta.dirname, "../..");
export const patience = { withinMs: 90_000 };
export const testMaxMs = 180_000;

/** As `npm start` runs it, which builds first. */
function storyCommand(): string[] {
  const changedAtMs = (path: string) => statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const built = "dist/examples/hello-fleet/story.js";
  if (changedAtMs(built) < changedAtMs("examples/hello-fleet/story.ts"))
    throw new Error("the story is not built: npm run build");
  return [process.execPath, join(root, built)];
}

export function startStory(world: World, ...args: string[]): Promise<Running> {
  return world.startProgram([...storyCommand(), ...args]);
}

export async function says(story: Running, text: string): Promise<void> {
  const ended = story.ended.then(({ code, stdout, stderr }) => {
    throw new Error(`the story ended with ${code} before it said ${text}:\n${stdout}\n${stderr}`);
  });
  await Promise.race([eventually(() => story.stdout().includes(text), patience), ended]);
}
