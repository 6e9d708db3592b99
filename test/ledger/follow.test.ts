import { jetstreamManager } from "@nats-io/jetstream";
import { describe, expect, test } from "vitest";
import type { LedgerEntry } from "../../src/base/ports.js";
import { connectNatsBus } from "../../src/bus/nats-bus.js";
import { keys } from "../../src/contracts/keys.js";
import { streamOf, subjectOfKey } from "../../src/ledger/ledger-reader.js";
import { eventually } from "../kit/eventually.js";
import { withNats } from "../kit/nats.js";
import { quietLog } from "../kit/quiet-log.js";
import { followSuite } from "./follow-suite.js";
import { openMemoryWorld } from "./memory-world.js";
import { openNatsWorld } from "./nats-world.js";

const nats = withNats();

followSuite("following the ledger in memory", openMemoryWorld);
followSuite("following the ledger in JetStream", () => openNatsWorld(nats()));

describe("following the ledger in JetStream", () => {
  /** Follows, and writes past all rules, as only a test or a restore does. */
  async function followed() {
    const world = await openNatsWorld(nats());
    const { ledger } = await world.open("follower");
    const { user, password } = nats().credentials;
    const raw = await connectNatsBus({
      servers: nats().url,
      user,
      pass: password,
      name: "raw",
      clock: world.clock,
      log: quietLog,
    });
    const copy = new Map<string, LedgerEntry>();
    const story: string[] = [];
    ledger.follow({
      began: () => {
        story.push("began");
        copy.clear();
      },
      entry: (entry) => void copy.set(entry.key, entry),
      inStep: () => story.at(-1) === "in step" || story.push("in step"),
      failed: ({ code }) => void story.push(code),
    });
    await eventually(() => story.at(-1) === "in step");
    const put = (key: string, body: string) => raw.publish(subjectOfKey(world.fleet, key), body);
    const end = async () => {
      await raw.close();
      await world.end();
    };
    return { world, raw, copy, story, put, end };
  }

  test("another identity of the ledger in the midst of it: the copy is begun anew", async () => {
    const { copy, story, put, end } = await followed();
    put("instance.web-1", '"a"');
    await eventually(() => copy.has("instance.web-1"));
    put(keys.ledger, '{"format":1,"ledgerId":"another"}');
    await eventually(() => story.join() === "began,in step,began,in step");
    expect(copy.get(keys.ledger)?.value).toMatchObject({ ledgerId: "another" });
    expect(copy.has("instance.web-1")).toBe(true);
    await end();
  });

  test("what is no JSON is a problem, until it is put right", async () => {
    const { story, put, end } = await followed();
    put("instance.web-1", "{");
    await eventually(() => story.at(-1) === "LEDGER_CORRUPT");
    await end();
  });

  test("a consumer that the server has lost is made anew", async () => {
    const { world, raw, copy, story, put, end } = await followed();
    const { consumers } = await jetstreamManager(raw.connection);
    for (const { name } of await consumers.list(streamOf(world.fleet)).next())
      await consumers.delete(streamOf(world.fleet), name);
    put("instance.web-1", '"b"');
    await eventually(() => copy.get("instance.web-1")?.value === "b");
    expect(story).toEqual(["began", "in step", "LEDGER_UNAVAILABLE", "began", "in step"]);
    await end();
  });

  test("a hundred thousand records come without blocking the process for long", async () => {
    const { world, raw, copy, end } = await followed();
    const { ledger } = await world.open("second");
    const { streams } = await jetstreamManager(raw.connection);
    await streams.update(streamOf(world.fleet), { max_bytes: 256 * 1_048_576 });
    const body = JSON.stringify({ filler: "x".repeat(200) });
    const total = 100_000;
    for (let n = 0; n < total; n++) {
      raw.publish(subjectOfKey(world.fleet, `instance.web-${n}`), body);
      if (n % 5_000 === 0) await raw.flush();
    }
    await raw.flush();
    let count = 0;
    await eventually(() => copy.size >= total, { withinMs: 60_000 });
    let done = false;
    let inTurn = 0;
    let mostInTurn = 0;
    const turn = (): void => {
      mostInTurn = Math.max(mostInTurn, inTurn);
      inTurn = 0;
      if (!done) setImmediate(turn);
    };
    turn();
    ledger.follow({
      began: () => undefined,
      entry: () => {
        count++;
        inTurn++;
      },
      inStep: () => {
        done = true;
      },
      failed: () => undefined,
    });
    await eventually(() => done, { withinMs: 60_000 });
    expect(count).toBeGreaterThanOrEqual(total);
    // Others have their turn in between: time says less, on a machine that is busy with something else.
    expect(mostInTurn).toBeLessThan(total / 10);
    await end();
  });
});
