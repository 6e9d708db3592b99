import { expect, test } from "vitest";
import type { AppRecord, DesiredStatus } from "../../../src/contracts/app.js";
import { keys } from "../../../src/contracts/keys.js";
import type { AppNode } from "../../../src/simulator/chaos/app-node.js";
import { appInstances } from "../../../src/simulator/chaos/invariants/app-instances.js";
import { appsAsked } from "../../../src/simulator/chaos/invariants/apps-asked.js";
import { appsReached } from "../../../src/simulator/chaos/invariants/apps-reached.js";
import { tombstones } from "../../../src/simulator/chaos/invariants/tombstones.js";
import { desiredApp } from "../../machines/app-samples.js";
import { StagedFleet } from "./staged-fleet.js";

function madeIn(
  generation: number,
  desiredStatus: DesiredStatus = "disabled",
): AppRecord["requests"][number] {
  return { key: `r${generation}`, generation, desiredStatus, version: "1.0.0" };
}

function recordOf(generation: number, desiredStatus: DesiredStatus): AppRecord {
  const mark = { by: "anna", reason: null, atMs: 0 };
  return {
    format: 1,
    app: "mail",
    generation,
    desiredStatus,
    content: { version: "1.0.0", source: null, settings: {} },
    added: mark,
    changed: mark,
    changedIn: { desiredStatus: generation, version: 1, source: 1, settings: 1 },
    requests: [madeIn(generation, desiredStatus)],
    legacyStatus: null,
  };
}

const eventOf = (type: string) => ({
  kind: "app",
  id: "mail",
  type,
  data: {},
  actor: "user:anna",
  cause: "request:r1",
});

/** A fleet in which `mail` is asked for as the test says. */
function led(make: typeof appsAsked) {
  const fleet = new StagedFleet(make);
  fleet.lead("c1");
  const endpoints = {
    enabled: "apps.enable",
    disabled: "apps.disable",
    uninstalled: "apps.uninstall",
  } as const;
  const store = (generation: number, status: DesiredStatus, told = generation) =>
    fleet.write({
      events: [eventOf(`app.${status}`)],
      puts: {
        [keys.app("mail")]: recordOf(generation, status),
        [keys.desiredApp("mail")]: desiredApp(told, status, { app: "mail" }),
      },
    });
  const attempt = (generation: number) =>
    fleet.asked.push({
      endpoint: "apps.enable",
      request: { requestKey: `r${generation}` },
      atMs: 0,
      answer: undefined,
    });
  return {
    fleet,
    attempt,
    store,
    ask: (generation: number, status: DesiredStatus) => {
      attempt(generation);
      store(generation, status);
    },
    grant: (generation: number, status: DesiredStatus, desiredStatus = status) =>
      fleet.answer({
        endpoint: endpoints[status],
        request: { app: "mail" },
        answer: { reply: { app: "mail", generation, desiredStatus } },
      }),
  };
}

test("what was granted and is not in the ledger is noticed, then and at the end", () => {
  const { ask, grant, fleet } = led(appsAsked);
  ask(1, "enabled");
  grant(1, "enabled");
  expect(() => grant(2, "disabled")).toThrow(/granted as generation 2, disabled, and in the ledger/);
  expect(() => grant(1, "disabled")).toThrow(/granted as generation 1/);
  expect(() => grant(1, "disabled", "enabled")).toThrow(/was granted, and it is enabled/);
  ask(2, "uninstalled");
  grant(2, "uninstalled");
  expect(() => fleet.invariant.atRest?.()).not.toThrow();
  fleet.ledger.apps.records.set("mail", recordOf(1, "enabled"));
  expect(() => fleet.invariant.atRest?.()).toThrow(/granted as generation 2, and is at 1/);
});

test("what was overtaken in the batch in which it was written is granted all the same", () => {
  const { attempt, store, grant, fleet } = led(appsAsked);
  attempt(2);
  expect(() => grant(1, "enabled")).toThrow(/granted as generation 1/);
  fleet.write({ events: [{ ...eventOf("app.enabled"), generation: 1 }] });
  store(2, "disabled");
  expect(() => grant(1, "enabled")).not.toThrow();
});

test("an app that goes back, is not told, that nobody has changed, or that is gone, is noticed", () => {
  const { ask, store, attempt, fleet } = led(appsAsked);
  ask(2, "enabled");
  expect(() => ask(1, "enabled")).toThrow(/generation 1 after 2/);
  attempt(3);
  expect(() => store(3, "disabled", 2)).toThrow(/not told in the same batch/);
  expect(() => store(4, "disabled")).toThrow(/r4, which nobody asked/);
  const twice = { ...recordOf(5, "disabled"), requests: [madeIn(5), madeIn(5)] };
  attempt(5);
  expect(() =>
    fleet.write({
      events: [eventOf("app.disabled")],
      puts: { [keys.app("mail")]: twice, [keys.desiredApp("mail")]: desiredApp(5, "disabled") },
    }),
  ).toThrow(/changed by r5 twice/);
  const clear = () => fleet.write({ events: [eventOf("app.cleared")], deletes: [keys.app("mail")] });
  expect(clear).toThrow(/mail is gone, it was disabled/);
  ask(6, "uninstalled");
  expect(clear).not.toThrow();
  expect(fleet.marks).toContain("appCleared");
});

/** A process on which `mail` runs, or does not. */
function running(runs: string | undefined, state: object = {}, installed = runs) {
  const { fleet, ask } = led(appsReached);
  const of = (version: string | undefined) => new Map(version === undefined ? [] : [["mail", version]]);
  const node = {
    id: "p1",
    agent: { stateOf: () => state },
    engine: { running: of(runs), installed: of(installed) },
  };
  fleet.apps.set("p1", node as unknown as AppNode);
  return {
    asked: (status: DesiredStatus) => {
      ask(1, status);
      fleet.invariant.atRest?.();
      return fleet.marks;
    },
  };
}

test("an instance that is not as it should be at rest is noticed, unless it shows a permanent cause", () => {
  expect(() => running("1.0.0").asked("enabled")).not.toThrow();
  expect(() => running("0.9.0").asked("enabled")).toThrow(/on p1 runs 0.9.0/);
  const license = { initStatus: "invalid_license_disabled", reason: { code: "APP_LICENSE_INVALID" } };
  expect(() => running(undefined, license).asked("enabled")).toThrow(/runs nothing/);
  expect(running(undefined, { ...license, stopped: true }).asked("enabled")).toContain("appBroken");
  const failed = { ...license, reason: { code: "APP_FAILED" }, stopped: true };
  expect(() => running(undefined, failed).asked("enabled")).toThrow(/APP_FAILED/);
  expect(() => running("1.0.0").asked("disabled")).toThrow(/1.0.0 of it runs on p1/);
  expect(() => running(undefined, {}, "1.0.0").asked("disabled")).not.toThrow();
  expect(() => running(undefined, {}, "1.0.0").asked("uninstalled")).toThrow(/1.0.0 of it is on p1/);
});

test("an instance that enables an app whose tombstone it has seen is noticed", () => {
  const { fleet } = led(tombstones);
  const node = { id: "p1", busName: "apps-p1-1" } as AppNode;
  const hear = (generation: number, status: DesiredStatus, ledgerId?: string) =>
    fleet.invariant.taken?.(
      {
        from: "ledger-store",
        to: [],
        subject: "_INBOX.1",
        data: new TextEncoder().encode(
          JSON.stringify(desiredApp(generation, status, { app: "mail", ...(ledgerId && { ledgerId }) })),
        ),
      },
      "apps-p1-1",
    );
  const enable = () => fleet.invariant.appEnabled?.(node, { app: "mail", version: "1.0.0" });
  hear(2, "uninstalled");
  hear(1, "enabled");
  expect(enable).not.toThrow();
  fleet.nowMs = 2_000;
  expect(enable).toThrow(/p1 enables mail 1.0.0, and has seen 2000 ms ago that it is uninstalled/);
  hear(3, "enabled");
  expect(enable).not.toThrow();
  hear(4, "uninstalled");
  fleet.nowMs = 4_000;
  expect(enable).toThrow(/seen 2000 ms ago/);
  // A newer ledger asks for it again, under lower generations; an older one has nothing to say.
  hear(1, "enabled", "m2000000000000-b");
  expect(enable).not.toThrow();
  hear(9, "uninstalled", "m0000000000001-c");
  fleet.nowMs = 8_000;
  expect(enable).not.toThrow();
});

test("an instance that was said to be forgotten and never was out of the fleet is noticed", () => {
  const { fleet } = led(appInstances);
  const coming = (type: string) => ({ ...eventOf(type), kind: "app-instance", id: "p1" });
  const at = (nowMs: number, type: string, puts: object, deletes: string[] = []) => {
    fleet.nowMs = nowMs;
    fleet.write({ events: [coming(type)], puts: { ...puts }, deletes });
  };
  const forgotten = (atMs: number) => () =>
    fleet.answer({
      endpoint: "apps.forget",
      request: { instance: "p1" },
      answer: { reply: { instance: "p1" } },
      atMs,
    });
  const record = { [keys.appInstance("p1")]: {} };
  at(1_000, "app-instance.joined", record);
  expect(forgotten(2_000)).toThrow(/p1 was acknowledged to be forgotten, and is in the ledger/);
  at(3_000, "app-instance.left", {}, [keys.appInstance("p1")]);
  expect(forgotten(2_000)).not.toThrow();
  // It lives, and is heard again.
  at(3_500, "app-instance.joined", record);
  expect(forgotten(2_000)).not.toThrow();
  expect(forgotten(4_000)).toThrow(/is in the ledger/);
});

test("an app that is forgotten while something of it is where that is known is noticed", () => {
  const { fleet } = led(appInstances);
  const engine = { running: new Map<string, string>(), installed: new Map([["mail", "1.0.0"]]) };
  fleet.apps.set("p1", { id: "p1", engine } as unknown as AppNode);
  const clear = () => fleet.write({ events: [eventOf("app.cleared")] });
  // Nobody knows that instance.
  expect(clear).not.toThrow();
  fleet.write({ puts: { [keys.appInstance("p1")]: {} } });
  expect(clear).toThrow(/mail is forgotten, and 1.0.0 of it is on p1/);
  engine.installed.clear();
  expect(clear).not.toThrow();
});

test("what is lost with a ledger is no loss of what was granted; what was in the backup has to be there again", () => {
  const restored = (generations: readonly number[]) => {
    const { fleet, ask, grant } = led(appsAsked);
    ask(1, "enabled");
    grant(1, "enabled");
    ask(2, "disabled");
    grant(2, "disabled");
    fleet.invariant.backsUp?.()();
    ask(3, "enabled");
    grant(3, "enabled");
    fleet.ledger.clear();
    for (const generation of generations)
      fleet.ledger.apps.records.set("mail", recordOf(generation, "disabled"));
    return { fleet, ask, replace: (how: "lost" | "restored") => fleet.invariant.ledgerReplaced?.(how) };
  };
  expect(() => restored([]).replace("lost")).not.toThrow();
  expect(() => restored([2]).replace("restored")).not.toThrow();
  expect(() => restored([1]).replace("restored")).toThrow(
    /generation 2 before the backup, and is restored as 1/,
  );
  expect(() => restored([]).replace("restored")).toThrow(/restored as undefined/);
  const { fleet, ask, replace } = restored([2]);
  replace("restored");
  expect(fleet.marks).toContain("appsRestored");
  expect(() => fleet.invariant.atRest?.()).not.toThrow();
  expect(() => ask(2, "enabled")).toThrow(/generation 2 after 2/);
});

test("an app of an earlier ledger that instances are told of without anybody who asks is noticed", () => {
  const { fleet } = led(appsAsked);
  fleet.invariant.ledgerReplaced?.("lost");
  const tell = (actor: string) => () =>
    fleet.write({
      events: [{ ...eventOf("app.told"), actor }],
      puts: { [keys.desiredApp("mail")]: desiredApp(1, "enabled", { app: "mail" }) },
    });
  expect(tell("agent:p1")).toThrow(/mail is told to instances, and nobody has asked for that/);
  fleet.ledger.clear();
  fleet.write({ events: [eventOf("app.cleared")], deletes: [keys.desiredApp("mail")] });
  expect(tell("user:anna")).not.toThrow();
  // It is told already: an instance that reads only older formats has it told once more.
  expect(tell("agent:p1")).not.toThrow();
});

test("an app that the ledger does not know any more is kept as it is said to be, and one that was cleared is not", () => {
  const { fleet } = led(appsReached);
  const state = { generation: 0, initStatus: "auto_enabled" };
  const running = new Map([["mail", "1.0.0"]]);
  const node = { id: "p1", agent: { stateOf: () => state }, engine: { running, installed: running } };
  fleet.apps.set("p1", node as unknown as AppNode);
  const rest = () => fleet.invariant.atRest?.();
  expect(rest).toThrow(/mail is forgotten, and on p1 it is still/);
  fleet.invariant.ledgerReplaced?.("lost");
  expect(rest).not.toThrow();
  expect(fleet.marks).toContain("appUnknown");
  state.initStatus = "disabled";
  expect(rest).toThrow(/mail, which the ledger does not know, is said to be disabled on p1/);
});
