import fs from "node:fs";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createModuleEngine, type EmbedAppsOptions, type EmbeddedApps, embedApps } from "../../src/index.js";
import { startClient, startPlane } from "../kit/control-plane.js";
import { eventuallyPasses } from "../kit/eventually.js";
import { withNats } from "../kit/nats.js";
import { refusalOf } from "../kit/refusals.js";
import { makeTempDir } from "../kit/temp-dir.js";

const nats = withNats();

/** An engine that does nothing and remembers what it was asked. */
function notingEngine() {
  const calls: string[] = [];
  const note = (verb: string) => async () => void calls.push(verb);
  const engine = {
    install: note("install"),
    initialize: note("initialize"),
    enable: note("enable"),
    disable: note("disable"),
    uninstall: note("uninstall"),
  };
  return { engine, calls };
}

function serversOf(password = nats().credentials.password) {
  return { servers: nats().url, user: nats().credentials.user, pass: password };
}

async function embed(options: Partial<EmbedAppsOptions>): Promise<EmbeddedApps> {
  const { engine } = notingEngine();
  const apps = await embedApps({ nats: serversOf(), instance: "web-1", engine, ...options });
  onTestFinished(() => apps.stop());
  return apps;
}

describe("what cannot be embedded is refused at once, by the name of the option", () => {
  const { engine } = notingEngine();
  const right = { nats: "nats://127.0.0.1:4222", instance: "web-1", engine };
  const { install: _, ...withoutInstall } = engine;

  test.each<[what: string, wrong: object, message: string]>([
    ["a name with a space", { instance: "web 1" }, "The instance web 1 is not allowed"],
    ["no name", { instance: undefined }, "The instance ? is not allowed"],
    ["a fleet with a space", { fleet: "my fleet" }, "The fleet my fleet is not allowed"],
    ["no address", { nats: undefined }, "The option nats cannot be used"],
    ["an address of something else", { nats: "http://what:ever:foo" }, "The option nats cannot be used"],
    ["an empty address", { nats: { servers: [] } }, "The option nats cannot be used"],
    ["no engine", { engine: undefined }, "no function install, initialize, enable, disable, uninstall"],
    [
      "half an engine",
      { engine: withoutInstall },
      "The option engine cannot be used: it has no function install.",
    ],
    ["a version that no report holds", { version: "x".repeat(65) }, "The option version cannot be used"],
    ["a time limit below 0", { limitsMs: { install: -5 } }, "The option limitsMs.install cannot be used"],
    ["a time limit of no call", { limitsMs: { start: 5 } }, "there is no call start"],
    ["an interval of 0", { reportIntervalMs: 0 }, "The option reportIntervalMs cannot be used"],
    ["an empty folder", { data: "" }, "The option data cannot be used"],
  ])("%s", async (_what, wrong, message) => {
    const refused = await refusalOf(embedApps({ ...right, ...wrong } as EmbedAppsOptions));
    expect(refused.code).toBe(message.includes("not allowed") ? "BAD_NAME" : "BAD_OPTION");
    expect(refused.message).toContain(message);
  });

  test("a folder that another one uses", async () => {
    const data = makeTempDir();
    await embed({ data });
    expect(await refusalOf(embedApps({ ...right, data }))).toMatchObject({ code: "FOLDER_LOCKED" });
  });
});

test("where NATS does not let it in, it runs all the same and says why on the standard error", async () => {
  const written: string[] = [];
  const stderr = vi.spyOn(fs, "writeSync").mockImplementation((file, text) => {
    if (file === 2) written.push(String(text));
    return String(text).length;
  });
  onTestFinished(() => stderr.mockRestore());
  const apps = await embed({ nats: serversOf("wrong") });
  expect(apps.states()).toEqual([]);
  const [line = ""] = written;
  expect(JSON.parse(line)).toMatchObject({
    level: "warn",
    name: "rollcall apps",
    problem: expect.stringContaining("does not allow connecting to"),
    msg: "NATS cannot be reached",
  });
});

test("an app that was disabled while its instance was away is not enabled for a moment when that starts again", async () => {
  await startPlane(nats(), "c1");
  const { client } = await startClient(nats());
  const data = makeTempDir();
  const first = notingEngine();
  const before = await embedApps({ nats: serversOf(), instance: "web-1", engine: first.engine, data });
  await client.apps.add({ app: "mail", version: "1.0.0", desiredStatus: "enabled" });
  await eventuallyPasses(() => expect(before.stateOf("mail")?.initStatus).toBe("manually_enabled"));
  await before.stop();
  await client.apps.disable({ app: "mail" });
  const second = notingEngine();
  const after = await embed({ data, engine: second.engine });
  await eventuallyPasses(() => expect(after.stateOf("mail")?.initStatus).toBe("disabled"));
  expect(second.calls).toEqual([]);
});

test("an engine for modules needs no more than a folder", () => {
  expect(() => createModuleEngine({ folder: makeTempDir() })).not.toThrow();
});
