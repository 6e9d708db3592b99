import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Bus, BusMessage } from "../../src/base/ports.js";
import { eventually } from "../kit/eventually.js";

/** The same suite runs over every bus. */
export interface BusWorld {
  connect(name: string): Promise<Bus>;
  /** Cuts all connections off. */
  cut(): Promise<void>;
  heal(): Promise<void>;
  end(): Promise<void>;
}

const text = (message: BusMessage) => new TextDecoder().decode(message.data);

export function busSuite(name: string, open: () => Promise<BusWorld>): void {
  describe(name, () => {
    let world: BusWorld;
    let one: Bus;
    let two: Bus;

    beforeEach(async () => {
      world = await open();
      one = await world.connect("one");
      two = await world.connect("two");
    });
    afterEach(async () => {
      await one.close();
      await two.close();
      await world.end();
    });

    /** Collects what arrives on `subject` at `bus`, as `subject=text`. */
    async function listen(bus: Bus, subject: string, options?: { queue: string }): Promise<string[]> {
      const got: string[] = [];
      bus.subscribe(subject, (message) => got.push(`${message.subject}=${text(message)}`), options);
      await bus.flush();
      return got;
    }

    /** Everything sent before is delivered when this has come through. */
    async function settled(from: Bus, to: Bus): Promise<void> {
      let arrived = false;
      const mark = to.subscribe("mark.settled", () => {
        arrived = true;
      });
      await to.flush();
      from.publish("mark.settled", "");
      await eventually(() => arrived, { everyMs: 2 });
      mark.unsubscribe();
    }

    test("delivers bytes, texts and headers, never in the turn of the sender", async () => {
      const messages: BusMessage[] = [];
      two.subscribe("a.b", (message) => messages.push(message));
      await two.flush();
      one.publish("a.b", "text", { "ce-type": "x y", empty: "" });
      one.publish("a.b", Uint8Array.of(0, 255, 10));
      expect(messages).toEqual([]);
      await eventually(() => messages.length === 2, { everyMs: 2 });
      const [first, second] = messages;
      expect(first && text(first)).toBe("text");
      expect(first?.header("ce-type")).toBe("x y");
      expect(first?.header("empty")).toBe("");
      expect(first?.header("CE-Type")).toBeUndefined();
      expect(first?.expectsReply).toBe(false);
      expect([...(second?.data ?? [])]).toEqual([0, 255, 10]);
      expect(second?.header("ce-type")).toBeUndefined();
      first?.respond("nobody waits for this");
    });

    test("a connection hears itself, and delivery to itself is not synchronous either", async () => {
      const got = await listen(one, "self");
      one.publish("self", "x");
      expect(got).toEqual([]);
      await eventually(() => got.length === 1, { everyMs: 2 });
    });

    test("wildcards: * is one token, > is one or more", async () => {
      const star = await listen(two, "f.*.c");
      const rest = await listen(two, "f.>");
      const exact = await listen(two, "f.b.c");
      for (const subject of ["f", "f.b", "f.b.c", "f.b.c.d", "g.b.c"]) one.publish(subject, "");
      await settled(one, two);
      expect(star).toEqual(["f.b.c="]);
      expect(rest).toEqual(["f.b=", "f.b.c=", "f.b.c.d="]);
      expect(exact).toEqual(["f.b.c="]);
    });

    test("messages of one sender arrive in order, also over several subjects of one listener", async () => {
      const got = await listen(two, "order.*");
      const sent = Array.from({ length: 500 }, (_, index) => `order.s${index % 3}=${index}`);
      for (const line of sent) one.publish(line.split("=")[0] ?? "", line.split("=")[1] ?? "");
      await settled(one, two);
      expect(got).toEqual(sent);
    });

    test("within a queue one subscriber gets each message; others get all", async () => {
      const first = await listen(one, "work", { queue: "workers" });
      const second = await listen(two, "work", { queue: "workers" });
      const otherQueue = await listen(two, "work", { queue: "auditors" });
      const all = await listen(two, "work");
      for (let count = 0; count < 100; count++) one.publish("work", String(count));
      await settled(one, two);
      await settled(one, one);
      expect(first.length + second.length).toBe(100);
      expect(first.length).toBeGreaterThan(0);
      expect(second.length).toBeGreaterThan(0);
      expect(otherQueue).toHaveLength(100);
      expect(all).toHaveLength(100);
    });

    test("an ended subscription gets nothing more, and ending it again does nothing", async () => {
      const got: string[] = [];
      const subscription = two.subscribe("s", (message) => got.push(text(message)));
      await two.flush();
      one.publish("s", "1");
      await settled(one, two);
      subscription.unsubscribe();
      subscription.unsubscribe();
      await two.flush();
      one.publish("s", "2");
      await settled(one, two);
      expect(got).toEqual(["1"]);
    });

    test("a request is answered, with headers, by exactly the responder", async () => {
      two.subscribe("ask.*", (message) => {
        expect(message.expectsReply).toBe(true);
        message.respond(`re: ${text(message)} ${message.header("h")}`, { status: "line one\nline two" });
      });
      await two.flush();
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          one.request("ask.x", String(index), { timeoutMs: 10_000, headers: { h: `h${index}` } }),
        ),
      );
      expect(answers.map(text)).toEqual(Array.from({ length: 50 }, (_, index) => `re: ${index} h${index}`));
      expect(answers[0]?.header("status")).toBe("line one line two");
    });

    test("nobody listening, and nobody answering, are different errors", async () => {
      two.subscribe("silent", () => undefined);
      await two.flush();
      await expect(one.request("nobody.here", "", { timeoutMs: 10_000 })).rejects.toMatchObject({
        code: "NO_RESPONDERS",
        retry: "later",
      });
      await expect(one.request("silent", "", { timeoutMs: 50 })).rejects.toMatchObject({
        code: "REQUEST_TIMEOUT",
        retry: "later",
      });
    });

    test("an answer after the time-out does no harm", async () => {
      const late: BusMessage[] = [];
      two.subscribe("late", (message) => late.push(message));
      await two.flush();
      await expect(one.request("late", "", { timeoutMs: 20 })).rejects.toMatchObject({
        code: "REQUEST_TIMEOUT",
      });
      late[0]?.respond("too late");
      await settled(two, one);
      two.subscribe("prompt", (message) => message.respond("in time"));
      await two.flush();
      expect(text(await one.request("prompt", "", { timeoutMs: 10_000 }))).toBe("in time");
    });

    test("many answers are collected until there are enough or time is up; nobody is an empty list", async () => {
      for (const bus of [one, two]) {
        for (let count = 0; count < 3; count++)
          bus.subscribe("roll.call", (message) => message.respond("here"));
        await bus.flush();
      }
      expect(await one.requestMany("roll.call", "", { timeoutMs: 10_000, max: 4 })).toHaveLength(4);
      expect(await one.requestMany("roll.call", "", { timeoutMs: 300, max: 100 })).toHaveLength(6);
      expect(await one.requestMany("nobody.here", "", { timeoutMs: 10_000, max: 100 })).toEqual([]);
    });

    test("collecting ends with the answer that is said to be the last, and with what saying it throws", async () => {
      two.subscribe("count", (message) => {
        for (const number of ["1", "2", "3"]) message.respond(number);
      });
      await two.flush();
      const ask = (isLast: (answer: BusMessage) => boolean) =>
        one.requestMany("count", "", { timeoutMs: 10_000, max: 100, isLast });
      expect((await ask((answer) => text(answer) === "2")).map(text)).toEqual(["1", "2"]);
      const broken = ask(() => {
        throw new Error("cannot say");
      });
      await expect(broken).rejects.toThrow("cannot say");
    });

    test("what a handler throws or rejects stops nothing and is counted", async () => {
      let calls = 0;
      two.subscribe("bad", () => {
        calls++;
        throw new Error("broken handler");
      });
      const rejecting: (message: BusMessage) => void = async () => {
        calls++;
        throw new Error("broken promise");
      };
      two.subscribe("bad", rejecting);
      const good = await listen(two, "bad");
      for (let count = 0; count < 3; count++) one.publish("bad", String(count));
      await settled(one, two);
      expect(good).toEqual(["bad=0", "bad=1", "bad=2"]);
      expect(calls).toBe(6);
      expect("counts" in two && two.counts).toMatchObject({ handlerErrors: 6 });
    });

    test("no bytes on any subject stop a connection", async () => {
      const got: number[] = [];
      two.subscribe("garbage.>", (message) => {
        got.push(message.data.length);
        message.header("any");
        JSON.parse(text(message));
      });
      await two.flush();
      const token = fc
        .string({ unit: "grapheme", minLength: 1, maxLength: 8 })
        .map((raw) => raw.replace(/[\s.*>]/gu, "_") || "_");
      const message = fc.record({ token, data: fc.uint8Array({ maxLength: 300 }) });
      await fc.assert(
        fc.asyncProperty(fc.array(message, { maxLength: 20 }), async (messages) => {
          got.length = 0;
          for (const { token, data } of messages) one.publish(`garbage.${token}`, data);
          await settled(one, two);
          expect(got).toEqual(messages.map(({ data }) => data.length));
        }),
        { numRuns: 25 },
      );
    });

    test("a message that is too large is refused to the sender, who goes on", async () => {
      const got = await listen(two, "large");
      expect(() => one.publish("large", new Uint8Array(1_048_577))).toThrow(
        expect.objectContaining({ code: "PAYLOAD_TOO_LARGE" }),
      );
      await expect(
        one.request("large", new Uint8Array(1_048_577), { timeoutMs: 1_000 }),
      ).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
      one.publish("large", "small");
      await settled(one, two);
      expect(got).toEqual(["large=small"]);
    });

    test("a subject that cannot be is a defect of the caller", () => {
      for (const subject of ["", ".", "a..b", "a b", "a.", "a.*", "a.>"])
        expect(() => one.publish(subject, "")).toThrow("assertion failed");
      for (const pattern of ["", "a..b", "a b", "a.>.b", ".>"])
        expect(() => one.subscribe(pattern, () => undefined)).toThrow("assertion failed");
    });

    test("cut off and back: statuses tell, requests fail at once, subscriptions live on", async () => {
      const statuses: string[] = [];
      one.onStatus((status) => statuses.push(`one ${status}`));
      two.onStatus((status) => statuses.push(`two ${status}`));
      const got = await listen(two, "news");
      await world.cut();
      await eventually(() => statuses.length === 2, { everyMs: 2 });
      expect(statuses.sort()).toEqual(["one disconnected", "two disconnected"]);
      one.publish("news", "lost");
      await expect(one.request("news", "", { timeoutMs: 10_000 })).rejects.toMatchObject({
        code: "NATS_UNREACHABLE",
        retry: "later",
      });
      await expect(one.requestMany("news", "", { timeoutMs: 10_000, max: 1 })).rejects.toMatchObject({
        code: "NATS_UNREACHABLE",
      });
      await expect(one.flush()).rejects.toMatchObject({ code: "NATS_UNREACHABLE" });
      await world.heal();
      await eventually(() => statuses.length === 4, { everyMs: 2 });
      expect(statuses.slice(2).sort()).toEqual(["one reconnected", "two reconnected"]);
      await two.flush();
      one.publish("news", "kept");
      await eventually(() => got.includes("news=kept"), { everyMs: 2 });
      expect(got).toEqual(["news=kept"]);
    });

    test("a closed connection says so, ends what waits, and takes calls without effect", async () => {
      const statuses: string[] = [];
      one.onStatus((status) => statuses.push(status));
      two.subscribe("silent", () => undefined);
      await two.flush();
      const waiting = expect(one.request("silent", "", { timeoutMs: 30_000 })).rejects.toMatchObject({
        code: "NATS_UNREACHABLE",
      });
      await one.close();
      await one.close();
      await waiting;
      await eventually(() => statuses.length > 0, { everyMs: 2 });
      expect(statuses).toEqual(["closed"]);
      one.publish("anything", "");
      one.subscribe("anything", () => undefined).unsubscribe();
      await expect(one.request("silent", "", { timeoutMs: 1_000 })).rejects.toMatchObject({
        code: "NATS_UNREACHABLE",
      });
    });
  });
}
