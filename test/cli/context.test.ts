import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Context, readContext, writeContext } from "../../src/cli/context.js";
import { aDeployment } from "../api/fake-plane.js";
import { withNats } from "../kit/nats.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { startFakeFleet } from "./fake-fleet.js";
import { runHere } from "./run-here.js";

const nats = withNats();
const why = async () => aDeployment().why;

function contextOf(fleet: string): Context {
  const { url, credentials } = nats();
  return { format: 1, url, ...credentials, fleet, pid: process.pid, natsPid: null, startedAtMs: 1 };
}

test("what was written is read again, and only its owner may read it", async () => {
  const data = join(makeTempDir(), "state");
  await writeContext(data, contextOf("shop"));
  expect(await readContext(data)).toEqual(contextOf("shop"));
  expect(statSync(join(data, "context.json")).mode & 0o777).toBe(0o600);
});

test("a folder without one has none", async () => {
  expect(await readContext(makeTempDir())).toBeUndefined();
});

test("a command in a folder with a context needs nothing else", async () => {
  const cwd = makeTempDir();
  await writeContext(
    join(cwd, ".rollcall"),
    contextOf(await startFakeFleet(nats(), { "deployments.why": why })),
  );
  expect(await runHere(["deployments", "why", "d1"], { cwd })).toEqual({
    code: 0,
    stdout: "Waiting for web-1.\n",
    stderr: "",
  });
});

test("a flag beats the environment, which beats the context", async () => {
  const data = makeTempDir();
  const fleets = await Promise.all(
    ["context", "environment", "flag"].map((sentence) =>
      startFakeFleet(nats(), { "deployments.why": async () => ({ ...aDeployment().why, sentence }) }),
    ),
  );
  const [ofContext = "", ofEnv = "", ofFlag = ""] = fleets;
  await writeContext(data, contextOf(ofContext));
  const ask = async (args: string[], env: Record<string, string>) =>
    (await runHere(["deployments", "why", "d1", "--data", data, ...args], { env })).stdout.trim();
  expect(await ask([], {})).toBe("context");
  expect(await ask([], { ROLLCALL_FLEET: ofEnv })).toBe("environment");
  expect(await ask(["--fleet", ofFlag], { ROLLCALL_FLEET: ofEnv })).toBe("flag");
  expect(await ask([], { ROLLCALL_FLEET: "" })).toBe("context");
});

test("ROLLCALL_DATA names the folder, and --data another", async () => {
  const [one, other] = [makeTempDir(), makeTempDir()];
  await writeContext(one, contextOf(await startFakeFleet(nats(), { "deployments.why": why })));
  expect((await runHere(["deployments", "why", "d1"], { env: { ROLLCALL_DATA: one } })).code).toBe(0);
  expect(
    (await runHere(["deployments", "why", "d1", "--data", other], { env: { ROLLCALL_DATA: one } })).code,
  ).toBe(7);
});

test("the credentials of a context go to its own server only", async () => {
  const data = makeTempDir();
  const fleet = await startFakeFleet(nats(), { "deployments.why": why });
  await writeContext(data, { ...contextOf(fleet), url: "nats://127.0.0.1:1" });
  const { code, stderr } = await runHere(["deployments", "why", "d1", "--data", data, "--nats", nats().url]);
  expect(code).toBe(3);
  expect(stderr).toContain("does not allow connecting");
  await writeContext(data, contextOf(fleet));
  expect((await runHere(["deployments", "why", "d1", "--data", data, "--nats", nats().url])).code).toBe(0);
});

test.each([
  ["{", "cannot be used"],
  ["{}", "it is not of the format that this Rollcall writes"],
  ['{"format":2}', "it is not of the format that this Rollcall writes"],
])("a context that holds %s is refused by its path", async (content, problem) => {
  const data = makeTempDir();
  writeFileSync(join(data, "context.json"), content);
  const { code, stderr } = await runHere(["status", "--data", data]);
  expect(code).toBe(2);
  expect(stderr).toContain(join(data, "context.json"));
  expect(stderr).toContain(problem);
  expect(stderr).toContain("run rollcall up again there, or give --nats URL.");
});
