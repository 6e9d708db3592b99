import { describe, expect, test } from "vitest";
import { type DrivenDeployment, restoreDeployment } from "./drive.js";
import {
  batchFull,
  begun,
  contextOf,
  look,
  pause,
  published,
  recordOf,
  resume,
  type Seen,
  twoFailed,
} from "./looks.js";
import { calm, deeds, flightOf, mass } from "./samples.js";

describe("paused and held", () => {
  const heldSeen: Seen = { ...batchFull, silence: mass };
  const calmAgain = (calmSinceMs: number): Seen => ({ ...batchFull, silence: { ...calm, calmSinceMs } });

  test("nobody new is told while it is paused; after that it goes on", () => {
    const deployment = begun();
    deployment.send(pause(2_000));
    expect(published(deployment).state).toBe("paused");
    const free: Seen = { ...batchFull, flights: [], succeeded: 2 };
    expect(deeds(look(deployment, 3_000, free))).toEqual([]);
    expect(deeds(deployment.send(resume(4_000)))).toEqual(["tell"]);
    expect(recordOf(deployment)).toMatchObject({ paused: null, generation: 3 });
  });

  test("nobody new is told while a rule holds it; it goes on when the silence was over for one window", () => {
    const deployment = begun();
    look(deployment, 2_000, heldSeen);
    expect(published(deployment).state).toBe("held");
    expect(recordOf(deployment).held?.reason).toBe("4 instances that are not in flight went silent at once");
    const free: Seen = { ...calmAgain(3_000), flights: [], succeeded: 2 };
    expect(deeds(look(deployment, 9_999, free))).toEqual([]);
    expect(deeds(look(deployment, 10_000, free))).toEqual(["tell"]);
    expect(published(deployment).state).toBe("rolling");
  });

  test("a pause hides a hold, and both must clear", () => {
    const deployment = begun();
    look(deployment, 2_000, heldSeen);
    deployment.send(pause(3_000));
    expect(published(deployment).state).toBe("paused");
    expect(recordOf(deployment)).toMatchObject({ held: { by: "rollcall" }, paused: { by: "anna" } });
    deployment.send(resume(4_000));
    expect(published(deployment).state).toBe("held");
    look(deployment, 12_000, calmAgain(5_000));
    expect(published(deployment).state).toBe("rolling");
  });

  test("a hold that ends under a pause leaves it paused", () => {
    const deployment = begun();
    deployment.send(pause(2_000));
    look(deployment, 3_000, heldSeen);
    look(deployment, 12_000, calmAgain(5_000));
    expect(published(deployment).state).toBe("paused");
    expect(recordOf(deployment).held).toBeNull();
    deployment.send(resume(13_000));
    expect(published(deployment).state).toBe("rolling");
  });

  test("a person may force a held one on, and it is not held again by the same silence", () => {
    const deployment = begun();
    look(deployment, 2_000, heldSeen);
    deployment.send(resume(3_000));
    expect(published(deployment).state).toBe("held");
    deployment.send(resume(4_000, true));
    expect(published(deployment).state).toBe("rolling");
    look(deployment, 5_000, heldSeen);
    expect(published(deployment).state).toBe("rolling");
    look(deployment, 6_000, calmAgain(5_500));
    expect(recordOf(deployment).forced).toBe(false);
    look(deployment, 7_000, heldSeen);
    expect(published(deployment).state).toBe("held");
  });

  test("one request forces a paused and held one on, and counts as one", () => {
    const deployment = begun();
    look(deployment, 2_000, heldSeen);
    deployment.send(pause(3_000));
    const { generation } = recordOf(deployment);
    deployment.send(resume(4_000, true));
    expect(published(deployment).state).toBe("rolling");
    expect(recordOf(deployment).generation).toBe(generation + 1);
  });

  test.each([
    ["paused", (deployment: DrivenDeployment) => deployment.send(pause(2_000))],
    ["held", (deployment: DrivenDeployment) => look(deployment, 2_000, heldSeen)],
  ])("the threshold still rolls back while it is %s", (_how, stop) => {
    const deployment = begun();
    stop(deployment);
    expect(deeds(look(deployment, 3_000, { ...twoFailed, silence: mass }))).toEqual(["beginRollback"]);
    expect(recordOf(deployment)).toMatchObject({ outcome: "failed", paused: null, held: null });
  });

  test("a mass silence in the eyes of a leader that has just taken over holds nothing yet", () => {
    const deployment = begun({}, 10_000);
    look(deployment, 9_999, heldSeen);
    expect(published(deployment).state).toBe("rolling");
    look(deployment, 10_000, heldSeen);
    expect(published(deployment).state).toBe("held");
  });

  test("a look that sees many silent in a fleet that is calm as a whole holds it, once", () => {
    const deployment = begun();
    look(deployment, 20_000, { ...batchFull, silence: { ...mass, calmSinceMs: 0 } });
    expect(published(deployment).state).toBe("held");
  });
});

describe("deadlines", () => {
  const expired = (commands: ReturnType<typeof look>) =>
    commands.flatMap((command) => (command.type === "expire" ? command.instances : []));

  test("pass for an instance that was told so long ago, and only once", () => {
    const deployment = begun();
    expect(expired(look(deployment, 100_999, batchFull))).toEqual([]);
    expect(expired(look(deployment, 101_000, batchFull))).toEqual(["i1", "i2"]);
    expect(expired(look(deployment, 102_000, batchFull, 2))).toEqual([]);
  });

  test("stand still while it is paused: what remained remains", () => {
    const deployment = begun();
    deployment.send(pause(51_000));
    expect(expired(look(deployment, 900_000, batchFull))).toEqual([]);
    deployment.send(resume(951_000));
    expect(expired(look(deployment, 1_000_999, batchFull))).toEqual([]);
    expect(expired(look(deployment, 1_001_000, batchFull))).toEqual(["i1", "i2"]);
  });

  test("stand still while it is held", () => {
    const deployment = begun();
    look(deployment, 51_000, { ...batchFull, silence: mass });
    look(deployment, 951_000, { ...batchFull, silence: { ...calm, calmSinceMs: 60_000 } });
    expect(expired(look(deployment, 1_000_999, batchFull))).toEqual([]);
    expect(expired(look(deployment, 1_001_000, batchFull))).toEqual(["i1", "i2"]);
  });

  test("stand still until the last of pause and hold is over", () => {
    const deployment = begun();
    look(deployment, 51_000, { ...batchFull, silence: mass });
    deployment.send(pause(60_000), resume(70_000));
    expect(recordOf(deployment).clock).toEqual({ ranMs: 50_000, runningSinceMs: null });
    look(deployment, 80_000, { ...batchFull, silence: { ...calm, calmSinceMs: 71_000 } });
    expect(recordOf(deployment).clock).toEqual({ ranMs: 50_000, runningSinceMs: 80_000 });
  });

  test("go on over a change of leader, which judges nobody before it has listened", () => {
    const { record } = contextOf(begun());
    const deployment = restoreDeployment(record, 200_000, 204_000);
    deployment.send({ type: "takenOver" });
    expect(expired(look(deployment, 203_999, batchFull))).toEqual([]);
    expect(expired(look(deployment, 204_000, batchFull))).toEqual(["i1", "i2"]);
  });

  test("are looked at when they pass, without a report: after each look, and when it goes on after a pause", () => {
    const deployment = begun();
    const wakes = (commands: ReturnType<typeof look>) =>
      commands.flatMap((command) => (command.type === "wake" ? command.atMs : []));
    expect(contextOf(deployment).wakeAtMs).toBe(101_000);
    deployment.send(pause(51_000));
    expect(wakes(look(deployment, 60_000, batchFull))).toEqual([Number.POSITIVE_INFINITY]);
    expect(wakes(deployment.send(resume(951_000)))).toEqual([1_001_000]);
    const later = { ...batchFull, flights: [flightOf("i2", { toldAtMs: 5_000 })] };
    expect(wakes(look(deployment, 952_000, later))).toEqual([1_006_000]);
  });

  test("are asked for once: a look that finds the same ones as the look before asks for nothing", () => {
    const deployment = begun();
    expect(look(deployment, 31_000, batchFull)).toEqual([]);
    expect(look(deployment, 32_000, { ...batchFull, succeeded: 1 })).toEqual([]);
  });
});
