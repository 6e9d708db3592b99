import { describe, expect, test } from "vitest";
import { type EndpointName, endpoints } from "../../src/contracts/api.js";
import { refusal } from "../../src/contracts/errors.js";
import { currentFormats, rangesOf } from "../../src/contracts/record-formats.js";
import { createWorld, following, leading } from "./world.js";

type World = ReturnType<typeof createWorld>;

async function discover(world: World, subject: string, body = ""): Promise<Record<string, unknown>[]> {
  const bus = world.hub.connect(`finder-${++finders}`);
  const answers = await world.settled(bus.requestMany(subject, body, { timeoutMs: 1_000, max: 10 }));
  return answers
    .map((answer) => JSON.parse(new TextDecoder().decode(answer.data)) as Record<string, unknown>)
    .toSorted((one, other) => String(one.id).localeCompare(String(other.id)));
}
let finders = 0;

function twoCoordinators() {
  const world = createWorld();
  world.coordinator("c1", leading, { "releases.list": async () => ({ items: [], asOf: 1, epoch: 7 }) });
  world.coordinator("c2", following, { "releases.list": async () => ({ items: [], asOf: 1, epoch: 7 }) });
  return world;
}

const standardOf = (id: string, role: string) => ({
  name: "rollcall",
  id,
  version: "1.2.3",
  metadata: {
    fleet: "default",
    role,
    epoch: "7",
    host: "?",
    started: "1893456000000",
    formats: JSON.stringify(rangesOf(currentFormats)),
    problem: "",
    state: role,
    since: "1893456000000",
    doing: "",
  },
});

describe("the NATS service protocol (ADR-32)", () => {
  test.each(["$SRV.PING", "$SRV.PING.rollcall"])("%s is answered by every coordinator", async (subject) => {
    expect(await discover(twoCoordinators(), subject)).toEqual([
      { type: "io.nats.micro.v1.ping_response", ...standardOf("c1", "leading") },
      { type: "io.nats.micro.v1.ping_response", ...standardOf("c2", "following") },
    ]);
  });

  test.each(["PING", "INFO", "STATS"])(
    "$SRV.%s.rollcall.<id> is answered by that coordinator alone",
    async (verb) => {
      const answers = await discover(twoCoordinators(), `$SRV.${verb}.rollcall.c2`);
      expect(answers.map(({ type, id }) => [type, id])).toEqual([
        [`io.nats.micro.v1.${verb.toLowerCase()}_response`, "c2"],
      ]);
    },
  );

  test.each(["$SRV.PING.other", "$SRV.PING.rollcall.c9", "$SRV.SCHEMA", "$SRV.ping"])(
    "%s is answered by nobody",
    async (subject) => {
      expect(await discover(twoCoordinators(), subject)).toEqual([]);
    },
  );

  test("whatever a discovery request holds, it is answered", async () => {
    expect(await discover(twoCoordinators(), "$SRV.INFO", "{nonsense")).toHaveLength(2);
  });

  test("INFO lists every endpoint with name, subject, queue group and metadata of strings", async () => {
    const [info] = await discover(twoCoordinators(), "$SRV.INFO.rollcall.c1");
    expect(Object.keys(info!).toSorted()).toEqual([
      "description",
      "endpoints",
      "id",
      "metadata",
      "name",
      "type",
      "version",
    ]);
    expect(info).toMatchObject({ type: "io.nats.micro.v1.info_response", ...standardOf("c1", "leading") });
    expect(typeof info!.description).toBe("string");
    const listed = info!.endpoints as {
      name: string;
      subject: string;
      queue_group: string;
      metadata: Record<string, string>;
    }[];
    expect(listed).toHaveLength(Object.keys(endpoints).length);
    for (const { name, subject, queue_group, metadata, ...more } of listed) {
      const endpoint = name.replace("-", ".") as EndpointName;
      const { kind, summary } = endpoints[endpoint];
      expect(more).toEqual({});
      expect(name).toMatch(/^[A-Za-z0-9_-]+$/);
      expect(subject).toBe(`rollcall.v1.default.api.${endpoint}`);
      expect(queue_group).toBe(kind === "read" ? "q" : "");
      expect(metadata).toMatchObject({ kind, summary });
      expect(Object.values(metadata).every((value) => typeof value === "string")).toBe(true);
    }
  });

  test("the metadata of an endpoint holds the JSON Schema of what may be sent and of what comes back", async () => {
    const [info] = await discover(twoCoordinators(), "$SRV.INFO.rollcall.c1");
    const create = (info!.endpoints as { name: string; metadata: Record<string, string> }[]).find(
      ({ name }) => name === "deployments-create",
    );
    const request = JSON.parse(create!.metadata.schema_request!) as Record<string, unknown>;
    expect(request).toMatchObject({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      required: ["selector"],
      additionalProperties: false,
      properties: { progressDeadlineMs: { default: 1_200_000, maximum: 604_800_000 } },
    });
    const reply = JSON.parse(create!.metadata.schema_response!) as { required: string[] };
    expect(reply.required).toContain("why");
  });

  test("an INFO of all endpoints fits into one message with room to spare", async () => {
    const [info] = await discover(twoCoordinators(), "$SRV.INFO.rollcall.c1");
    expect(JSON.stringify(info).length).toBeLessThan(1_048_576 / 2);
  });

  test("STATS counts the requests and errors that this process answered, times in whole nanoseconds", async () => {
    const world = createWorld();
    world.coordinator("c1", leading, {
      "releases.list": async () => {
        await new Promise<void>((resolve) => world.clock.setTimer(3, resolve));
        return { items: [], asOf: 1, epoch: 7 };
      },
      "releases.remove": async () => {
        throw refusal("VERSION_IN_USE", { what: "Release", version: "v1", by: "web-1" });
      },
    });
    const client = world.client();
    for (let at = 0; at < 4; at++) await world.settled(client.releases.list());
    await world.refusalOf(client.releases.remove({ version: "v1" }));
    const [stats] = await discover(world, "$SRV.STATS.rollcall.c1");
    expect(Object.keys(stats!).toSorted()).toEqual([
      "endpoints",
      "id",
      "metadata",
      "name",
      "started",
      "type",
      "version",
    ]);
    expect(stats).toMatchObject({
      type: "io.nats.micro.v1.stats_response",
      started: "2030-01-01T00:00:00.000Z",
      ...standardOf("c1", "leading"),
    });
    const of = (name: string) =>
      (stats!.endpoints as { name: string }[]).find((endpoint) => endpoint.name === name);
    expect(of("releases-list")).toEqual({
      name: "releases-list",
      subject: "rollcall.v1.default.api.releases.list",
      queue_group: "q",
      num_requests: 4,
      num_errors: 0,
      processing_time: 12_000_000,
      average_processing_time: 3_000_000,
    });
    expect(of("releases-remove")).toMatchObject({
      num_requests: 1,
      num_errors: 1,
      last_error: "409:Release v1 is still needed by web-1: deploy something else there first.",
    });
    expect(of("status-get")).toMatchObject({ num_requests: 0, average_processing_time: 0 });
  });
});

test("the list of coordinators holds all that answer, whichever was asked, and none of another fleet", async () => {
  const world = createWorld();
  const about = {
    sinceMs: 5,
    renewedAtMs: 6,
    doing: "leads",
    version: "1.2.3",
    node: "host-a",
    problem: null,
  };
  const self = { id: "c1", role: "leading" as const, epoch: 7, ...about };
  world.coordinator("c1", leading, {
    "coordinators.list": async () => ({ items: [self], asOf: 9, epoch: 7 }),
  });
  world.coordinator("c2", following, {
    "coordinators.list": async () => {
      throw refusal("NO_LEADER", { fleet: "default" });
    },
  });
  world.coordinator("c3", leading, {}, "west");
  world.hub.connect("impostor").subscribe("$SRV.PING.rollcall", (message) => message.respond("{}"));
  const client = world.client();
  const other = {
    id: "c2",
    role: "following",
    epoch: null,
    sinceMs: 1_893_456_000_000,
    renewedAtMs: null,
    doing: "",
    version: "1.2.3",
    node: "?",
    problem: null,
  };
  for (let at = 0; at < 4; at++) {
    expect(await world.settled(client.coordinators.list())).toEqual({
      items: [self, other],
      asOf: 9,
      epoch: 7,
    });
  }
});
