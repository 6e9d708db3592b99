import { expect, test } from "vitest";
import type { Leadership } from "../../src/base/ports.js";
import { keys } from "../../src/contracts/keys.js";
import { byClock } from "../../src/contracts/origin.js";
import { type BrokenRule, SelfWatch } from "../../src/coordinator/self-watch.js";
import { Writer } from "../../src/coordinator/writer.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";
import { FleetWorld } from "../kit/fleet.js";
import { quietLog } from "../kit/quiet-log.js";
import { deploymentOf, instanceOf } from "../machines/samples.js";
import { desiredOf } from "../simulator/invariants/staged-fleet.js";

function watching() {
  const broken: BrokenRule[] = [];
  const watch = new SelfWatch((found) => void broken.push(found));
  const put = (key: string, value: unknown, inFlight = 0) =>
    watch.writing({ puts: [{ key, value }], deletes: [], inFlightOf: () => inFlight });
  return {
    watch,
    broken,
    put,
    rules: () => broken.map(({ rule }) => rule),
    putDeployment: (changes: Parameters<typeof deploymentOf>[0], inFlight = 0) =>
      put(keys.deployment("d1"), deploymentOf(changes), inFlight),
    tell: (generation: number) => put(keys.desiredInstance("i1"), desiredOf({ generation })),
    load: (epoch: number, revision: number, ledgerId = "m1") =>
      watch.loaded(
        { ledgerId, epoch, revision },
        [deploymentOf({ outcome: "completed", stage: "finished" })],
        [instanceOf({ generation: 5 })],
      ),
  };
}

test("a second outcome is noticed, also of a deployment that an earlier leader has ended; the same one again is not", () => {
  const { load, putDeployment, broken } = watching();
  load(1, 10);
  putDeployment({ outcome: "completed", stage: "finished" });
  expect(broken).toEqual([]);
  putDeployment({ outcome: "aborted", stage: "finished" });
  expect(broken).toEqual([{ rule: "outcomeStands", sentence: "d1 was completed and would become aborted" }]);
});

test("more in flight than the batch is noticed; what a rollback tells at once is not", () => {
  const { putDeployment, broken } = watching();
  putDeployment({ stage: "running", batch: 2 }, 2);
  putDeployment({ stage: "running", batch: 2, rollbackOf: "d0" }, 3);
  expect(broken).toEqual([]);
  putDeployment({ stage: "running", batch: 2 }, 3);
  expect(broken).toEqual([{ rule: "batchHolds", sentence: "d1 has 3 in flight, its batch is 2" }]);
});

test("a generation that falls is noticed, but not of an instance that has left and come back", () => {
  const { watch, load, tell, broken, rules } = watching();
  load(1, 10);
  tell(6);
  tell(6);
  expect(broken).toEqual([]);
  tell(5);
  expect(rules()).toEqual(["generationGrows"]);
  watch.writing({ puts: [], deletes: [keys.instance("i1")], inFlightOf: () => 0 });
  tell(1);
  expect(rules()).toEqual(["generationGrows"]);
});

test("a generation of an app, or of the list of apps, that falls is noticed, also of one that was cleared and is added again", () => {
  const { watch, load, put, broken } = watching();
  load(1, 10);
  put(keys.desiredApp("mail"), { app: "mail", generation: 3 });
  put(keys.desiredApps, { generation: 3 });
  put(keys.desiredApp("mail"), { app: "mail", generation: 4 });
  watch.writing({ puts: [], deletes: [keys.desiredApp("mail")], inFlightOf: () => 0 });
  expect(broken).toEqual([]);
  put(keys.desiredApp("mail"), { app: "mail", generation: 1 });
  put(keys.desiredApps, { generation: 2 });
  expect(broken.map(({ sentence }) => sentence)).toEqual([
    "app mail would be told generation 1 after 4",
    "the list of apps would be told generation 2 after 3",
  ]);
});

test("an epoch that does not grow is noticed, and a ledger that holds less than it has confirmed", () => {
  const { watch, load, rules } = watching();
  load(3, 10);
  watch.written(20);
  load(4, 20);
  expect(rules()).toEqual([]);
  load(4, 21);
  expect(rules()).toEqual(["epochGrows"]);
  load(5, 15);
  watch.written(14);
  expect(rules()).toEqual(["epochGrows", "ledgerGrows", "ledgerGrows"]);
  expect(watch.found.get("ledgerGrows")?.times).toBe(2);
  load(1, 1, "m2");
  expect(rules()).toHaveLength(3);
});

test("a ledger that has lost what it had confirmed is said to have: in the log, and in the status", async () => {
  const logged: object[] = [];
  const log = { ...quietLog, error: (facts: object) => void logged.push(facts), child: () => log };
  const world = new FleetWorld({ log, syncAlways: false });
  await world.startCoordinator("c1");
  world.addAgent("web-1");
  await world.advance(3_000);
  expect((await world.call("status.get", {})).broken).toEqual([]);
  await world.advance(60_000);
  await world.pushRelease("v1");
  await world.advance(1_000);
  world.store.crash({ loseMs: 3_000 }).unsubscribe();
  await world.advance(30_000);
  const { broken } = await world.call("status.get", {});
  expect(broken).toContainEqual(expect.objectContaining({ rule: "ledgerGrows", times: 1 }));
  expect(world.coordinators.get("c1")?.coordinator.view().problem).toMatch(
    /^RULE_BROKEN ledgerGrows, once: /,
  );
  expect(logged).toContainEqual(expect.objectContaining({ code: "RULE_BROKEN", rule: "ledgerGrows" }));
});

test("what a leader wrote last, and is told of once it leads no more, is not looked at: another one may have written since", async () => {
  const clock = createVirtualClock();
  const written: number[] = [];
  let confirm: (revision: number) => void = () => undefined;
  const writer = new Writer({
    leadership: {
      commit: () =>
        new Promise((resolve) => {
          confirm = (revision) => resolve({ revisions: new Map([["x", revision]]) });
        }),
    } as unknown as Leadership,
    clock,
    toStore: (_, record) => record,
    isBusy: () => false,
    onWriting: () => undefined,
    onWritten: (revision) => void written.push(revision),
    onFailed: () => undefined,
  });
  const event = { kind: "app", id: "mail", type: "app.cleared", data: { confirmed: 1 } } as const;
  const add = () => writer.add({ events: [{ ...event, ...byClock("apps", "tombstone") }] });
  const first = add();
  await clock.advance(10);
  confirm(5);
  await first;
  const last = add();
  await clock.advance(10);
  writer.close(new Error("the term is over"));
  confirm(6);
  await last;
  expect(written).toEqual([5]);
});
