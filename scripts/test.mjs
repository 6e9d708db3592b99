// `npm test`: everything that must hold before a change lands, in this order, up to the first step that fails.
// Arguments go to vitest: `npm test -- test/agent`.
import { spawnSync } from "node:child_process";

const steps = [
  ["build", "npm", ["run", "--silent", "build"]],
  ["typecheck", "npm", ["run", "--silent", "typecheck"]],
  ["lint", "npm", ["run", "--silent", "lint"]],
  ["vitest", "npx", ["--no-install", "vitest", "run", ...process.argv.slice(2)]],
];

for (const [name, command, args] of steps) {
  const startedAtMs = performance.now();
  const { status, signal, error } = spawnSync(command, args, { stdio: "inherit" });
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
  if (status !== 0) {
    console.error(
      `\nnpm test: ${name} FAILED after ${seconds} s (${error?.message ?? signal ?? `exit code ${status}`})`,
    );
    process.exit(1);
  }
  console.log(`npm test: ${name} passed in ${seconds} s`);
}
