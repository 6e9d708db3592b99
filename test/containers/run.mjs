// `npm run test:containers`: the tests that talk to NATS, with the server in a container, started by Testcontainers.
// It is no dependency of the project (its 128 packages would triple the install) and is asked for here.
import { startVitest } from "vitest/node";

// 12 needs Node 22.
const packageName = "@testcontainers/nats@11.11.0";

const { getContainerRuntimeClient } = await import("testcontainers").catch(() => {
  console.error(
    `Testcontainers is not installed here. Do so and ask again:\n\n  npm install --no-save ${packageName}\n`,
  );
  process.exit(1);
});
try {
  const { info } = await getContainerRuntimeClient();
  console.log(`container engine ${info.containerRuntime.serverVersion} at ${info.containerRuntime.host}`);
} catch (error) {
  console.error(`No container engine answers: ${error.message}\nStart one, or name it by DOCKER_HOST.`);
  process.exit(1);
}
const vitest = await startVitest("test", process.argv.slice(2), {
  config: false,
  watch: false,
  include: [
    "test/kit/nats.test.ts",
    "test/bus/nats*.test.ts",
    "test/ledger/**/*.test.ts",
    "test/containers/**/*.test.ts",
  ],
  pool: "forks",
  maxWorkers: 1,
  testTimeout: 120_000,
  hookTimeout: 180_000,
  env: { ROLLCALL_TEST_NATS: "container" },
});
await vitest.close();
