import { describe, expect, test } from "vitest";
import { createActor } from "xstate";
import { type CoordinatorEvent, coordinatorMachine } from "../../machines/coordinator.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";

const leaseMs = 12_000;
/** A sixth of it stays as a margin. */
const validForMs = 10_000;

/** A coordinator on a clock of its own, whose commands are only written down. */
function drive() {
  const clock = createVirtualClock({ startMs: 0 });
  const actor = createActor(coordinatorMachine, {
    input: { leaseMs },
    clock: {
      setTimeout: (fire: () => void, delayMs: number) => clock.setTimer(delayMs, fire),
      clearTimeout: (timer: { cancel(): void } | undefined) => timer?.cancel(),
    },
  });
  const asked: { readonly command: string; readonly atMs: number }[] = [];
  actor.on("*", ({ type }) => asked.push({ command: type, atMs: clock.nowMs() }));
  actor.start();
  return {
    asked,
    clock,
    commands: () => asked.map(({ command }) => command),
    state: () => actor.getSnapshot().value,
    context: () => actor.getSnapshot().context,
    send: (...events: CoordinatorEvent[]) => {
      const before = asked.length;
      for (const event of events) actor.send(event);
      return asked.slice(before).map(({ command }) => command);
    },
  };
}

function leading() {
  const coordinator = drive();
  coordinator.send(
    { type: "acquired", epoch: 4, validForMs },
    { type: "loaded" },
    { type: "renewed", validForMs },
  );
  expect(coordinator.state()).toEqual({ leading: "steady" });
  return coordinator;
}

test("it stands for the lease, reads the records, then leads", () => {
  const coordinator = drive();
  coordinator.send({ type: "acquired", epoch: 4, validForMs });
  expect(coordinator.commands()).toEqual(["acquire", "load"]);
  expect(coordinator.context().epoch).toBe(4);
  expect(coordinator.send({ type: "loaded" })).toEqual(["lead", "renew"]);
});

test("it follows whoever leads, and looks for a free lease twelve times a lease", async () => {
  const coordinator = drive();
  coordinator.send({ type: "heldBy", leader: "c2", epoch: 7 });
  expect(coordinator.context()).toMatchObject({ leader: "c2", epoch: 7, problem: null });
  await coordinator.clock.advance(999);
  expect(coordinator.commands()).toEqual(["acquire"]);
  await coordinator.clock.advance(1);
  expect(coordinator.commands()).toEqual(["acquire", "acquire"]);
});

test("it stands at once for a lease that another gave back, not for its own", () => {
  const follower = drive();
  follower.send({ type: "heldBy", leader: "c2", epoch: 7 });
  expect(follower.send({ type: "leaseFree" })).toEqual(["acquire"]);
  const deposed = leading();
  deposed.send({ type: "writeFailed", problem: "refused" }, { type: "resigned" });
  expect(deposed.send({ type: "leaseFree" })).toEqual([]);
});

test("it renews the lease four times before it would end", async () => {
  const coordinator = leading();
  for (let renewals = 1; renewals <= 3; renewals++) {
    await coordinator.clock.advance(3_000);
    expect(coordinator.asked.at(-1)).toEqual({ command: "renew", atMs: renewals * 3_000 });
    coordinator.send({ type: "renewed", validForMs });
  }
});

test("an answer that came late leaves less time to act", async () => {
  const coordinator = leading();
  await coordinator.clock.advance(3_000);
  coordinator.send({ type: "renewed", validForMs: 7_000 });
  await coordinator.clock.advance(6_999);
  expect(coordinator.state()).toMatchObject({ leading: {} });
  await coordinator.clock.advance(1);
  expect(coordinator.state()).toBe("steppingDown");
});

test("it tries again when a renewal failed, and leads on when one succeeds", async () => {
  const coordinator = leading();
  await coordinator.clock.advance(3_000);
  coordinator.send({ type: "renewFailed", problem: "no answer" });
  expect(coordinator.context().problem).toBe("no answer");
  await coordinator.clock.advance(1_000);
  expect(coordinator.asked.at(-1)).toEqual({ command: "renew", atMs: 4_000 });
  coordinator.send({ type: "renewed", validForMs });
  expect(coordinator.state()).toEqual({ leading: "steady" });
});

test.each([
  ["that fails", { type: "renewFailed", problem: "no answer" }],
  ["that nobody answers", undefined],
] as const)(
  "a renewal %s, however often it is tried, ends the leadership before the lease can end",
  async (_how, answer) => {
    const coordinator = leading();
    for (let atMs = 0; atMs < leaseMs; atMs += 100) {
      await coordinator.clock.advance(100);
      if (answer !== undefined && coordinator.asked.at(-1)?.command === "renew") coordinator.send(answer);
    }
    const dropped = coordinator.asked.find(({ command }) => command === "drop");
    expect(dropped?.atMs).toBeLessThan(leaseMs);
    expect(coordinator.state()).toBe("steppingDown");
  },
);

describe("it stops acting first, then gives the lease back", () => {
  test.each<CoordinatorEvent>([{ type: "deposed" }, { type: "writeFailed", problem: "refused" }])(
    "on %o",
    (event) => {
      expect(leading().send(event)).toEqual(["drop", "resign"]);
    },
  );

  test("on a stop, which is noted for the audit log", () => {
    expect(leading().send({ type: "stop" })).toEqual(["drop", "handOver", "resign"]);
  });
});

describe("when it is stopped", () => {
  test("while it follows, it is gone at once", () => {
    const coordinator = drive();
    coordinator.send({ type: "unavailable", problem: "no answer" });
    expect(coordinator.send({ type: "stop" })).toEqual([]);
    expect(coordinator.state()).toBe("stopped");
  });

  test("while it asks for the lease, it gives back a lease that it gets all the same", () => {
    const coordinator = drive();
    expect(coordinator.send({ type: "stop" })).toEqual(["resign"]);
    expect(coordinator.send({ type: "acquired", epoch: 4, validForMs })).toEqual(["resign"]);
    coordinator.send({ type: "resigned" });
    expect(coordinator.state()).toBe("stopped");
  });

  test("it does nothing any more", () => {
    const coordinator = leading();
    coordinator.send({ type: "stop" }, { type: "resigned" });
    expect(
      coordinator.send({ type: "acquired", epoch: 9, validForMs }, { type: "loaded" }, { type: "leaseFree" }),
    ).toEqual([]);
    expect(coordinator.clock.pending).toBe(0);
  });
});

test("what it read under an earlier lease does not make it lead under none", () => {
  const coordinator = drive();
  coordinator.send(
    { type: "acquired", epoch: 4, validForMs },
    { type: "renewFailed", problem: "no answer" },
    { type: "resigned" },
  );
  expect(coordinator.send({ type: "loaded" })).toEqual([]);
  expect(coordinator.state()).toBe("following");
});
