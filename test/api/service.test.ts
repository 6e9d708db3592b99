import { describe, expect, test } from "vitest";
import { RollcallError } from "../../src/base/errors.js";
import { errorReplySchema } from "../../src/contracts/api.js";
import { refusal } from "../../src/contracts/errors.js";
import { aDeployment, anInstance } from "./fake-plane.js";
import { createWorld, following, leaderless, leading } from "./world.js";

const api = "rollcall.v1.default.api";

/** Asks without the client: what another program sees. */
async function ask(world: ReturnType<typeof createWorld>, subject: string, body: string | Uint8Array) {
  const bus = world.hub.connect(`raw-${world.clock.monotonicMs()}-${Math.abs(subject.length)}-${++asked}`);
  const message = await world.settled(bus.request(subject, body, { timeoutMs: 5_000 }));
  return {
    body: JSON.parse(new TextDecoder().decode(message.data)) as unknown,
    error: message.header("Nats-Service-Error"),
    code: message.header("Nats-Service-Error-Code"),
  };
}
let asked = 0;

describe("a request", () => {
  test("is answered with the handler's reply as JSON and no error headers", async () => {
    const world = createWorld();
    world.coordinator("c1", leading, {
      "instances.get": async ({ instance }) => anInstance({ id: instance }),
    });
    expect(await ask(world, `${api}.instances.get`, '{"instance":"web-7"}')).toEqual({
      body: anInstance({ id: "web-7" }),
      error: undefined,
      code: undefined,
    });
  });

  test("reaches its handler with the defaults filled in", async () => {
    const world = createWorld();
    const got: unknown[] = [];
    world.coordinator("c1", leading, {
      "deployments.create": async (request) => {
        got.push(request);
        return aDeployment();
      },
    });
    await ask(world, `${api}.deployments.create`, '{"release":"v2","selector":null}');
    expect(got).toEqual([
      {
        release: "v2",
        config: null,
        selector: null,
        batch: 1,
        failureThreshold: 1,
        progressDeadlineMs: 1_200_000,
        onStuck: "fail",
        rollback: "auto",
        by: "unknown",
        reason: null,
      },
    ]);
  });

  test("may be empty where nothing is needed", async () => {
    const world = createWorld();
    world.coordinator("c1", leading, { "releases.list": async () => ({ items: [], asOf: 5, epoch: 7 }) });
    expect((await ask(world, `${api}.releases.list`, "")).body).toEqual({ items: [], asOf: 5, epoch: 7 });
  });

  test("without a reply subject is not carried out", async () => {
    const world = createWorld();
    const got: unknown[] = [];
    world.coordinator("c1", leading, {
      "deployments.abort": async (request) => {
        got.push(request);
        return aDeployment();
      },
    });
    world.hub.connect("shouter").publish(`${api}.deployments.abort`, '{"deployment":"d1"}');
    await world.clock.advance(1_000);
    expect(got).toEqual([]);
  });
});

describe("a refusal", () => {
  test("carries sentence and status in the headers, and code, sentence, retry and details in the body", async () => {
    const world = createWorld();
    world.coordinator("c1", leading, {
      "deployments.create": async () => {
        throw refusal("ROLLOUT_IN_PROGRESS", { other: "d0", shared: 2, example: "web-1" });
      },
    });
    const sentence =
      "Deployment d0 is not finished and has 2 of these instances, web-1 among them: wait for it, or stop it by rollcall deployments abort d0.";
    expect(await ask(world, `${api}.deployments.create`, '{"release":"v2","selector":null}')).toEqual({
      body: {
        error: {
          code: "ROLLOUT_IN_PROGRESS",
          message: sentence,
          retry: "later",
          details: { other: "d0", shared: 2, example: "web-1" },
        },
      },
      error: sentence,
      code: "409",
    });
  });

  test.each([
    ["{", "it is no JSON text in UTF-8"],
    ["[]", "expected object, received array"],
    ["null", "expected object, received null"],
    ['{"instance":5}', "instance: expected string, received number"],
    ["{}", "instance: expected string, received undefined"],
    [
      '{"instance":5,"colour":"red"}',
      'instance: expected string, received number; Unrecognized key: "colour"',
    ],
  ])("of the request %s says what is wrong with it", async (body, problem) => {
    const world = createWorld();
    world.coordinator("c1", leading, {});
    const answer = await ask(world, `${api}.instances.get`, body);
    expect(answer.code).toBe("400");
    expect(answer.error).toBe(`The request is not valid: ${problem}. Correct it and send it again.`);
    expect(errorReplySchema.parse(answer.body).error).toMatchObject({ code: "BAD_REQUEST", retry: "never" });
  });

  test("of a request with a field of another version names it, and the version that does not know it", async () => {
    const world = createWorld();
    world.coordinator("c1", leading, {});
    const answer = await ask(world, `${api}.instances.get`, '{"instance":"web-1","colour":"red","size":2}');
    expect(answer.code).toBe("400");
    expect(answer.error).toBe(
      'The control plane (version 1.2.3) does not know "colour", "size" in a request of instances.get: upgrade it if the client is newer, else leave that out.',
    );
    expect(errorReplySchema.parse(answer.body).error).toMatchObject({
      code: "UNKNOWN_FIELD",
      retry: "never",
    });
  });

  test("of a request with many problems names three and counts the rest", async () => {
    const world = createWorld();
    world.coordinator("c1", leading, {});
    const body = '{"release":1,"config":2,"selector":3,"batch":true,"by":4}';
    const answer = await ask(world, `${api}.deployments.create`, body);
    expect(answer.error).toBe(
      "The request is not valid: release: expected string, received number; config: expected string, received number; selector: expected string, received number; and 2 more. Correct it and send it again.",
    );
  });

  test.each(["..", "a/b", "", "a".repeat(64), "é", "a b", "-a", "a.b"])(
    "of the instance name %j says which names are allowed",
    async (name) => {
      const world = createWorld();
      world.coordinator("c1", leading, {});
      const answer = await ask(world, `${api}.instances.get`, JSON.stringify({ instance: name }));
      expect(answer.code).toBe("400");
      expect(errorReplySchema.parse(answer.body).error.code).toBe("BAD_NAME");
      expect(errorReplySchema.parse(answer.body).error.message).toBe(
        `The name in instance ${JSON.stringify(name)} is not allowed: a name has 1 to 63 characters out of A-Z a-z 0-9 _ -, the first a letter or digit.`,
      );
    },
  );

  test.each(["..", ".", "a/b", "", "a".repeat(65), "é"])(
    "of the version %j says which versions are allowed",
    async (version) => {
      const world = createWorld();
      world.coordinator("c1", leading, {});
      const answer = await ask(world, `${api}.releases.remove`, JSON.stringify({ version }));
      expect(answer.code).toBe("400");
      expect(errorReplySchema.parse(answer.body).error.message).toBe(
        `The version in version ${JSON.stringify(version)} is not allowed: a version has 1 to 64 characters out of A-Z a-z 0-9 . _ + -, the first a letter or digit.`,
      );
    },
  );

  test("of something unexpected is INTERNAL, logged with its cause, and stops nothing", async () => {
    const world = createWorld();
    const defect = new TypeError("undefined is no function");
    world.coordinator("c1", leading, {
      "status.get": async () => {
        throw defect;
      },
      "releases.list": async () => ({ items: [], asOf: 1, epoch: 7 }),
    });
    const answer = await ask(world, `${api}.status.get`, "{}");
    expect(answer.code).toBe("500");
    expect(errorReplySchema.parse(answer.body).error).toMatchObject({ code: "INTERNAL", retry: "later" });
    expect(answer.error).toContain("undefined is no function");
    expect(world.lines).toContainEqual({
      level: "error",
      facts: { subject: `${api}.status.get`, error: defect },
      sentence: answer.error,
    });
    expect((await ask(world, `${api}.releases.list`, "{}")).code).toBeUndefined();
  });

  test("whose sentence has several lines is one line in its header", async () => {
    const world = createWorld();
    world.coordinator("c1", leading, {
      "status.get": async () => {
        throw refusal("BAD_REQUEST", { problem: "one\r\ntwo" });
      },
    });
    const answer = await ask(world, `${api}.status.get`, "{}");
    expect(answer.error).toBe("The request is not valid: one two. Correct it and send it again.");
  });

  test("with details that JSON cannot carry arrives without them", async () => {
    const world = createWorld();
    const details: Record<string, unknown> = {};
    details.self = details;
    world.coordinator("c1", leading, {
      "status.get": async () => {
        throw new RollcallError("BAD_REQUEST", "No.", { details });
      },
    });
    const answer = await ask(world, `${api}.status.get`, "{}");
    expect(answer.body).toEqual({
      error: { code: "BAD_REQUEST", message: "No.", retry: "never", details: {} },
    });
  });

  test("of an answer that fits into no message says to ask for less", async () => {
    const world = createWorld();
    const note = "x".repeat(1_000);
    const items = Array.from({ length: 2_000 }, (_, at) => anInstance({ id: `web-${at}`, note }));
    world.coordinator("c1", leading, {
      "instances.list": async () => ({ items, asOf: 1, epoch: 7, next: null }),
    });
    const answer = await ask(world, `${api}.instances.list`, "{}");
    expect(answer.code).toBe("413");
    expect(answer.error).toMatch(
      /^The answer of \d{7} bytes is larger than 1048576: ask for less at once, by a selector, a limit or a single name\.$/,
    );
  });

  test("of an endpoint that there is not comes from the leader", async () => {
    const world = createWorld();
    world.coordinator("c1", leading, {});
    world.coordinator("c2", following, {});
    const answer = await ask(world, `${api}.deployments.explode`, "{}");
    expect(answer.code).toBe("404");
    expect(answer.error).toBe(
      "The control plane (version 1.2.3) has no endpoint deployments.explode: upgrade it if the client is newer; $SRV.INFO.rollcall tells which it has.",
    );
  });

  test("of one request too many under way says to ask again", async () => {
    const world = createWorld();
    world.coordinator("c1", leading, { "status.get": () => new Promise(() => undefined) });
    const bus = world.hub.connect("crowd");
    for (let at = 0; at < 1_000; at++) {
      bus.request(`${api}.status.get`, "{}", { timeoutMs: 60_000 }).catch(() => undefined);
    }
    await world.clock.settle();
    const answer = await ask(world, `${api}.status.get`, "{}");
    expect(answer.error).toContain("1000 requests under way");
  });
});

describe("several coordinators", () => {
  test("a write is answered by the leader alone, once", async () => {
    const world = createWorld();
    const answered: string[] = [];
    for (const [node, role] of [
      ["c1", leading],
      ["c2", following],
      ["c3", following],
    ] as const) {
      world.coordinator(node, role, {
        "deployments.abort": async () => {
          answered.push(node);
          return aDeployment();
        },
      });
    }
    const bus = world.hub.connect("asker");
    const answers = await world.settled(
      bus.requestMany(`${api}.deployments.abort`, '{"deployment":"d1"}', { timeoutMs: 5_000, max: 3 }),
    );
    expect(answers).toHaveLength(1);
    expect(answered).toEqual(["c1"]);
  });

  test("a read is answered by one of them, whoever leads", async () => {
    const world = createWorld();
    const answered: string[] = [];
    for (const [node, role] of [
      ["c1", leading],
      ["c2", following],
    ] as const) {
      world.coordinator(node, role, {
        "releases.list": async () => {
          answered.push(node);
          return { items: [], asOf: 1, epoch: 7 };
        },
      });
    }
    for (let at = 0; at < 4; at++) await ask(world, `${api}.releases.list`, "{}");
    expect(answered.toSorted()).toEqual(["c1", "c1", "c2", "c2"]);
  });

  test("a write is refused with NO_LEADER when nobody leads", async () => {
    const world = createWorld();
    world.coordinator("c1", leaderless, {});
    world.coordinator("c2", leaderless, {});
    const answer = await ask(world, `${api}.deployments.abort`, '{"deployment":"d1"}');
    expect(answer.code).toBe("503");
    expect(errorReplySchema.parse(answer.body).error).toMatchObject({ code: "NO_LEADER", retry: "later" });
  });

  test("followers stay silent while somebody leads who does not answer", async () => {
    const world = createWorld();
    world.coordinator("c2", following, {});
    world.coordinator("c3", following, {});
    const bus = world.hub.connect("asker");
    const asking = bus.request(`${api}.deployments.abort`, '{"deployment":"d1"}', { timeoutMs: 5_000 });
    expect((await world.refusalOf(asking)).code).toBe("REQUEST_TIMEOUT");
  });

  test("a follower that has not heard of the new leader leaves it the time to answer", async () => {
    const world = createWorld();
    let known: string | null = null;
    world.coordinator("c1", leading, { "deployments.abort": async () => aDeployment() });
    world.coordinator("c2", () => ({ leading: false, epoch: 7, leader: known }), {});
    const bus = world.hub.connect("asker");
    const asking = bus.requestMany(`${api}.deployments.abort`, '{"deployment":"d1"}', {
      timeoutMs: 5_000,
      max: 2,
    });
    await world.clock.advance(100);
    known = "c1";
    const answers = await world.settled(asking);
    expect(answers.map((answer) => answer.header("Nats-Service-Error"))).toEqual([undefined]);
  });

  test("a follower that came to lead while it waited refuses, since others may have refused too", async () => {
    const world = createWorld();
    let role = leaderless;
    world.coordinator("c1", () => role, { "deployments.abort": async () => aDeployment() });
    const bus = world.hub.connect("asker");
    const asking = bus.request(`${api}.deployments.abort`, '{"deployment":"d1"}', { timeoutMs: 5_000 });
    await world.clock.advance(100);
    role = leading;
    expect((await world.settled(asking)).header("Nats-Service-Error-Code")).toBe("503");
  });
});

describe("a follower that knows no answers", () => {
  const ignorant = async () => {
    throw refusal("NO_LEADER", { fleet: "default" });
  };

  test("passes a read on to the leader, and its answer and its refusal back", async () => {
    const world = createWorld();
    world.coordinator("c1", leading, {
      "instances.get": async ({ instance }) => {
        if (instance !== "web-1") throw refusal("UNKNOWN_INSTANCE", { instance });
        return anInstance();
      },
    });
    world.coordinator("c2", following, { "instances.get": ignorant });
    for (let at = 0; at < 4; at++) {
      expect((await ask(world, `${api}.instances.get`, '{"instance":"web-1"}')).body).toEqual(anInstance());
      const refused = await ask(world, `${api}.instances.get`, '{"instance":"web-2"}');
      expect([refused.code, refused.error]).toEqual([
        "404",
        "There is no instance web-2: see rollcall instances ls, and for those with apps rollcall apps status --all.",
      ]);
    }
  });

  test("refuses when the leader does not answer it either", async () => {
    const world = createWorld();
    world.coordinator("c2", following, { "status.get": ignorant });
    const answer = await ask(world, `${api}.status.get`, "{}");
    expect(errorReplySchema.parse(answer.body).error).toMatchObject({ code: "NO_LEADER", retry: "later" });
  });

  test("refuses at once when nobody leads, and does not ask itself when it is about to lead", async () => {
    const world = createWorld();
    const loading = { leading: false, epoch: 8, leader: "c1" };
    world.coordinator("c1", loading, { "status.get": ignorant });
    const startedMs = world.clock.monotonicMs();
    expect((await ask(world, `${api}.status.get`, "{}")).code).toBe("503");
    expect(world.clock.monotonicMs()).toBe(startedMs);
  });
});

test("a write that meets a leader which still loads is refused soon, not swallowed", async () => {
  const world = createWorld();
  world.coordinator("c1", { leading: false, epoch: 8, leader: "c1" }, {});
  world.coordinator("c2", following, {});
  const answer = await ask(world, `${api}.deployments.abort`, '{"deployment":"d1"}');
  expect(errorReplySchema.parse(answer.body).error.code).toBe("NO_LEADER");
});

test("fleets share nothing: a request of one reaches no coordinator of another", async () => {
  const world = createWorld();
  world.coordinator(
    "c1",
    leading,
    { "releases.list": async () => ({ items: [], asOf: 1, epoch: 7 }) },
    "east",
  );
  const bus = world.hub.connect("asker");
  const asking = bus.request("rollcall.v1.west.api.releases.list", "{}", { timeoutMs: 5_000 });
  expect((await world.refusalOf(asking)).code).toBe("NO_RESPONDERS");
});

test("a stopped service answers nothing, discovery included", async () => {
  const world = createWorld();
  const coordinator = world.coordinator("c1", leading, {});
  coordinator.stop();
  const bus = world.hub.connect("asker");
  for (const subject of [
    `${api}.status.get`,
    `${api}.deployments.abort`,
    `${api}.x.y`,
    "$SRV.PING",
    "$SRV.INFO.rollcall.c1",
  ]) {
    expect((await world.refusalOf(bus.request(subject, "{}", { timeoutMs: 1_000 }))).code).toBe(
      "NO_RESPONDERS",
    );
  }
});
