import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { beforeAll, describe, expect, test } from "vitest";
import type { Leadership, LedgerBatch } from "../../src/base/ports.js";
import { connectNatsBus, type NatsBus } from "../../src/bus/nats-bus.js";
import { AuditLog } from "../../src/ledger/audit-log.js";
import { openNatsLedger } from "../../src/ledger/nats-ledger.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { eventually } from "../kit/eventually.js";
import { withNats } from "../kit/nats.js";
import { quietLog } from "../kit/quiet-log.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { envOf, startCli } from "./run-cli.js";
import { runHere } from "./run-here.js";

const nats = withNats();
const clock = createRealClock();
const fleet = "audited";

let bus: NatsBus;
let leadership: Leadership;
let env: Record<string, string>;

const of = (kind: string, id: string, what: string, data: Record<string, unknown>, more = {}) =>
  ({ kind, id, type: `${kind}.${what}`, data, actor: "user:alice", cause: "request:k1", ...more }) as const;

async function commit(...events: LedgerBatch["events"]): Promise<void> {
  await leadership.commit({ events, puts: [], deletes: [] });
}

beforeAll(async () => {
  const { url, credentials } = nats();
  const { user, password } = credentials;
  bus = await connectNatsBus({ servers: url, user, pass: password, name: "test", clock, log: quietLog });
  const ledger = await openNatsLedger({ fleet, bus, clock, random: createRealRandom(), log: quietLog });
  const taken = await ledger.acquire({ holder: "c1", leaseMs: 600_000 });
  if ("heldBy" in taken) throw new Error("nobody else leads");
  leadership = taken;
  env = envOf(nats(), { ROLLCALL_FLEET: fleet });
  await commit(
    of("release", "1.0+b", "pushed", { digest: "sha256:1" }),
    of("deployment", "d1", "created", {
      step: 1,
      release: "1.0+b",
      config: null,
      selector: "tier=web",
      matched: 6,
      batch: 2,
      failureThreshold: 1,
      rollbackOf: null,
      retryOf: null,
      reason: "a\u001bfix",
    }),
    of("instance", "web-1", "told", { generation: 2, target: { release: "1.0+b", config: null } }),
    of("instance", "web-1", "failed", {
      version: { release: "1.0+b", config: null },
      reason: { code: "X", message: "It broke." },
    }),
    of("future", "f1", "happened", { much: true }),
  );
  const log = new AuditLog({ fleet, bus, clock });
  await eventually(async () => (await log.end()) >= 5);
});

describe("rollcall events", () => {
  test("says what happened to which object, who asked and why, the newest last", async () => {
    const { code, stdout, stderr } = await runHere(["events"], { env });
    expect([code, stderr]).toEqual([0, ""]);
    const lines = stdout.trimEnd().split("\n");
    expect(lines.map((line) => line.replace(/^\S+Z {2}/, ""))).toEqual([
      "release/1.0+b       is registered, sha256:1  by user:alice, because of request:k1",
      "deployment/d1       is created: release 1.0+b, to tier=web; 6 matched, batch 2, failure threshold 1: a fix  by user:alice, because of request:k1",
      "instance/web-1      is told to run 1.0+b, as generation 2  by user:alice, because of request:k1",
      "instance/web-1      has failed on 1.0+b: It broke.  by user:alice, because of request:k1",
      'future/f1           future.happened {"much":true}  by user:alice, because of request:k1',
    ]);
  });

  test.each([
    [["--object", "deployment/d1"], ["deployment/d1"]],
    [["--object", "release/1.0+b"], ["release/1=2E0=2Bb"]],
    [
      ["--type", "instance"],
      ["instance/web-1", "instance/web-1"],
    ],
    [["--type", "instance.failed"], ["instance/web-1"]],
    [["--limit", "1"], ["future/f1"]],
    [["--since", "1h", "--type", "deployment"], ["deployment/d1"]],
    [["--since", "2999-01-01T00:00:00Z"], []],
  ])("shows only what is asked for by %j", async (flags, subjects) => {
    const { code, stdout } = await runHere(["events", "--json", ...flags], { env });
    const shown = stdout.split("\n").filter((line) => line !== "");
    expect([code, shown.map((line) => JSON.parse(line).subject)]).toEqual([0, subjects]);
  });

  test.each([
    [["--object", "d1"], "Give a kind and a name"],
    [["--since", "soon"], "Give a number with a unit"],
    [["--limit", "100001"], "Give at most 100000"],
    [["--follow", "--file", "x"], "tail -f"],
    [["--file", "not-there"], "cannot be read"],
  ])("%j is wrong usage, and says what is right", async (flags, words) => {
    const { code, stderr } = await runHere(["events", ...flags], { env });
    expect([code, stderr]).toEqual([2, expect.stringContaining(words)]);
  });

  test("follows what comes, each once, while the server restarts, until Ctrl-C", async () => {
    const run = startCli(["events", "--follow", "--json", "--object", "instance/web-7"], { env });
    const seen = () =>
      run
        .stdout()
        .split("\n")
        .filter((line) => line !== "");
    await commit(of("instance", "web-7", "reset", { n: 0 }));
    await eventually(() => seen().length >= 1);
    for (let n = 1; n < 4; n++) await commit(of("instance", "web-7", "reset", { n }));
    await nats().restart();
    await eventually(() => bus.connected);
    await commit(of("instance", "web-8", "reset", {}), of("instance", "web-7", "reset", { n: 4 }));
    await eventually(() => seen().length >= 5);
    run.signal("SIGINT");
    expect(await run.ended).toMatchObject({ code: 130, stderr: "" });
    expect(seen().map((line) => JSON.parse(line).data.n)).toEqual([0, 1, 2, 3, 4]);
  });
});

describe("rollcall events verify", () => {
  test("says how many events there are, from which to which, and that the ledger ends with the last", async () => {
    const { code, stdout } = await runHere(["events", "verify"], { env });
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^\d+ events, from [\w-]+-1 \(\S+Z\) to [\w-]+-\d+ \(\S+Z\): none was changed, removed or added\.\nThe last one is the one that the ledger has written last\.\n$/,
    );
    const { stdout: json } = await runHere(["events", "verify", "--json"], { env });
    expect(JSON.parse(json)).toMatchObject({ first: { sequence: 1 }, ledgers: 1, end: "agrees" });
  });

  test("checks what --json has written, and finds the line that somebody has changed", async () => {
    const file = join(makeTempDir(), "audit.ndjson");
    const { stdout } = await runHere(["events", "--json"], { env });
    // The writer has not ended its last line.
    writeFileSync(file, `${stdout}{"specversion":"1.0","id":"`);
    const whole = await runHere(["events", "verify", "--file", file], { env: {} });
    expect([whole.code, whole.stdout]).toEqual([0, expect.stringContaining("it was not compared")]);
    const shown = await runHere(["events", "--file", file, "--type", "release"], { env: {} });
    expect(shown.stdout).toContain("release/1.0+b       is registered");
    const lines = readFileSync(file, "utf8").split("\n");
    writeFileSync(file, [lines[0], lines[2], ...lines.slice(3)].join("\n"));
    const gap = await runHere(["events", "verify", "--file", file, "--json"], { env: {} });
    const { error } = JSON.parse(gap.stdout);
    expect([gap.code, error.code]).toEqual([3, "AUDIT_BROKEN"]);
    expect(error.message).toMatch(
      /event [\w-]+-3 does not follow [\w-]+-1: events between them were removed/,
    );
    writeFileSync(file, stdout.replace("user:alice", "user:mallory"));
    const changed = await runHere(["events", "verify", "--file", file], { env: {} });
    expect([changed.code, changed.stderr]).toEqual([3, expect.stringMatching(/event [\w-]+-1 was changed/)]);
  });

  test("finds an event that was cut off the end of the stream", async () => {
    const { url, credentials } = nats();
    const { user, password } = credentials;
    const other = await connectNatsBus({
      servers: url,
      user,
      pass: password,
      name: "x",
      clock,
      log: quietLog,
    });
    const manager = await jetstreamManager(other.connection);
    const stream = `ROLLCALL_${fleet}_EVENTS`;
    const { config, state } = await manager.streams.info(stream);
    const kept = await Promise.all(
      Array.from({ length: state.messages - 1 }, (_, at) =>
        manager.streams.getMessage(stream, { seq: at + 1 }),
      ),
    );
    await manager.streams.delete(stream);
    const { sources: _, republish: __, ...alone } = config;
    await manager.streams.add({
      ...alone,
      subjects: ["planted.>"],
      subject_transform: { src: "planted.>", dest: ">" },
    });
    for (const message of kept)
      if (message !== null)
        other.connection.publish(`planted.${message.subject}`, message.data, { headers: message.header });
    await other.flush();
    const run = await runHere(["events", "verify", "--wait", "1s"], { env });
    expect([run.code, run.stderr]).toEqual([3, expect.stringContaining("the others were cut off")]);
    await other.close();
  });
});
