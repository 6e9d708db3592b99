import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { tallyOf } from "../../machines/app-look.js";
import { appViewOf, conditionTimes } from "../../machines/app-view.js";
import { connectNatsBus } from "../../src/bus/nats-bus.js";
import { countText } from "../../src/cli/words.js";
import type { ControlPlane, ParsedRequestOf } from "../../src/contracts/api.js";
import type { DesiredStatus } from "../../src/contracts/app.js";
import type { AppView } from "../../src/contracts/app-api.js";
import { refusal } from "../../src/contracts/errors.js";
import { openNatsLedger } from "../../src/ledger/nats-ledger.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { withNats } from "../kit/nats.js";
import { quietLog } from "../kit/quiet-log.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { askedApp, viewNowMs } from "../machines/app-samples.js";
import { startFakeFleet } from "./fake-fleet.js";
import { envOf } from "./run-cli.js";
import { runHere, startHere } from "./run-here.js";

const nats = withNats({ storeBytesMax: 16 * 1_024 ** 3 });
const sizes = { keysBytes: 8 * 1_048_576, eventsBytes: 8 * 1_048_576, filesBytes: 8 * 1_048_576 };
let fleets = 0;

function viewOf(app: string, desiredStatus: DesiredStatus): AppView {
  const asked = askedApp(desiredStatus, { app });
  const tally = tallyOf(asked, []);
  return appViewOf(asked, tally, conditionTimes(undefined, asked, tally, viewNowMs, 0), viewNowMs);
}

/** A control plane that keeps apps, over a ledger that can be backed up. */
class Fleet {
  readonly dir = makeTempDir();
  readonly name = `m${++fleets}`;
  readonly apps = new Map<string, AppView>();
  readonly added: ParsedRequestOf<"apps.add">[] = [];
  #onAdded: () => void = () => undefined;

  static async made(): Promise<Fleet> {
    const fleet = new Fleet();
    const { user, password } = nats().credentials;
    const clock = createRealClock();
    const parts = { clock, log: quietLog };
    const bus = await connectNatsBus({ servers: nats().url, user, pass: password, name: "test", ...parts });
    onTestFinished(() => bus.close());
    await openNatsLedger({ fleet: fleet.name, bus, random: createRealRandom(), sizes, ...parts });
    const plane: Partial<ControlPlane> = {
      "apps.list": async () => ({ items: [...fleet.apps.values()], asOf: viewNowMs, epoch: 7, next: null }),
      "apps.add": async (request) => {
        const { app, desiredStatus } = request;
        if (fleet.apps.has(app)) throw refusal("APP_EXISTS", { app, desiredStatus });
        fleet.added.push(request);
        fleet.#onAdded();
        fleet.apps.set(app, viewOf(app, desiredStatus));
        return viewOf(app, desiredStatus);
      },
    };
    await startFakeFleet(nats(), plane, { fleet: fleet.name });
    return fleet;
  }

  write(name: string, text: string): string {
    writeFileSync(join(this.dir, name), text);
    return name;
  }

  async migrate(from: string, ...flags: string[]) {
    const env = envOf(nats(), { ROLLCALL_FLEET: this.name, ROLLCALL_USER: "ann" });
    return await runHere(["apps", "migrate", "--from", from, ...flags], { env, cwd: this.dir });
  }

  /** Ctrl-C comes when so many apps are added. */
  async migrateUntilAdded(from: string, count: number) {
    const env = envOf(nats(), { ROLLCALL_FLEET: this.name, ROLLCALL_USER: "ann" });
    const run = startHere(["apps", "migrate", "--from", from], { env, cwd: this.dir });
    this.#onAdded = () => {
      if (this.added.length === count) run.interrupt();
    };
    return await run.ended;
  }

  get backups(): string[] {
    return readdirSync(this.dir).filter((name) => name.endsWith(".tar.gz"));
  }
}

const lines = (...rows: unknown[]) => rows.map((row) => JSON.stringify(row)).join("\n");
const row = (app: string, status: string, more: object = {}) => ({ app, status, version: "1.0.0", ...more });

describe("rollcall apps migrate", () => {
  test("adds each app as its old status says, after a backup, and tells what could not be mapped", async () => {
    const fleet = await Fleet.made();
    const from = fleet.write(
      "legacy.ndjson",
      `${lines(
        row("mail", "auto_enabled", { settings: { greeting: "hello" } }),
        row("chat", "compiler_error_disabled"),
        row("poll", "manually_disabled", { source: "./poll" }),
        row("idle", "initialized"),
        row("odd", "asleep"),
      )}\n\n{"app": \n`,
    );
    const { code, stdout, stderr } = await fleet.migrate(from);
    expect(stderr).toBe("");
    expect(code).toBe(8);
    const [backup = ""] = fleet.backups;
    expect(stdout).toMatch(
      new RegExp(
        [
          `The ledger as it was before is in ${join(fleet.dir, backup)}.`,
          "6 rows in legacy.ndjson: 4 apps were added, 2 to be enabled and 2 to be disabled.",
          "Assumed to be unwanted, since nobody is known to have enabled them: idle.",
          "2 rows could not be mapped:",
          '  row 5 \\(odd\\): its status "asleep" is none of old',
          "  row 6: it is no JSON: .+",
        ].join("\n"),
      ),
    );
    const byName = new Map(fleet.added.map((one) => [one.app, one]));
    expect(byName.get("mail")).toMatchObject({
      desiredStatus: "enabled",
      legacyStatus: "auto_enabled",
      settings: { greeting: "hello" },
      by: "ann",
      reason: "migrated from legacy.ndjson: auto_enabled",
    });
    expect(byName.get("chat")).toMatchObject({
      desiredStatus: "enabled",
      legacyStatus: "compiler_error_disabled",
    });
    expect(byName.get("poll")).toMatchObject({ desiredStatus: "disabled", source: "./poll" });
    expect(byName.get("idle")).toMatchObject({ desiredStatus: "disabled", legacyStatus: "initialized" });
  });

  test("run twice it changes nothing more, and what an administrator asked in between stays", async () => {
    const fleet = await Fleet.made();
    const from = fleet.write(
      "legacy.json",
      JSON.stringify([row("mail", "auto_enabled"), row("chat", "disabled")]),
    );
    expect(await fleet.migrate(from)).toMatchObject({ code: 0 });
    fleet.apps.set("mail", viewOf("mail", "uninstalled"));
    const { code, stdout } = await fleet.migrate(from, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      dryRun: false,
      rows: 2,
      backup: null,
      added: [],
      there: [
        { app: "chat", desiredStatus: "disabled" },
        { app: "mail", desiredStatus: "uninstalled" },
      ],
      unmapped: [],
      left: 0,
    });
    expect(fleet.added).toHaveLength(2);
    expect(fleet.backups).toHaveLength(1);
  });

  test("--dry-run says what would be added, and adds nothing", async () => {
    const fleet = await Fleet.made();
    const from = fleet.write("legacy.json", JSON.stringify([row("mail", "auto_enabled")]));
    const { code, stdout } = await fleet.migrate(from, "--dry-run");
    expect(code).toBe(0);
    expect(stdout).toBe(
      "1 row in legacy.json: 1 app would be added, 1 to be enabled and 0 to be disabled.\n",
    );
    expect([fleet.added, fleet.backups]).toEqual([[], []]);
  });

  test("after Ctrl-C it adds no more and says what is left, which the next run adds", async () => {
    const fleet = await Fleet.made();
    const rows = Array.from({ length: 60 }, (_, at) => row(`app-${at}`, "disabled"));
    const from = fleet.write("legacy.ndjson", lines(...rows));
    const { code, stdout } = await fleet.migrateUntilAdded(from, 1);
    expect(code).toBe(130);
    const { length: added } = fleet.added;
    expect(added).toBeLessThan(60);
    expect(stdout).toContain(`60 rows in legacy.ndjson: ${countText(added, "app")}`);
    expect(stdout).toContain(`Interrupted: ${60 - added} apps are not added yet; the same command goes on`);
    const again = await fleet.migrate(from);
    expect(again.code).toBe(0);
    expect(again.stdout).toContain("There already, and left as they are: app-");
    expect(fleet.added).toHaveLength(60);
  });

  test("a file that another program has begun with a byte order mark is read", async () => {
    const fleet = await Fleet.made();
    const rows = [row("mail", "auto_enabled"), row("chat", "disabled")];
    for (const text of [JSON.stringify(rows), lines(...rows)]) {
      const from = fleet.write("legacy.json", `\uFEFF${text}`);
      const { code, stdout } = await fleet.migrate(from, "--dry-run");
      expect([code, stdout]).toEqual([0, expect.stringContaining("2 rows in legacy.json: 2 apps")]);
    }
  });

  test("where the backup cannot be written nothing is added", async () => {
    const fleet = await Fleet.made();
    const from = fleet.write("legacy.json", JSON.stringify([row("mail", "auto_enabled")]));
    const file = fleet.write("there.tar.gz", "");
    expect((await fleet.migrate(from, "--backup", file)).code).toBe(3);
    const { code, stderr } = await fleet.migrate(from, "--backup", `${file}/backup.tar.gz`);
    expect(code).toBe(3);
    expect(stderr).toContain("backup.tar.gz cannot be written (ENOTDIR");
    expect(fleet.added).toEqual([]);
    expect(readFileSync(join(fleet.dir, file), "utf8")).toBe("");
  });

  test("more apps than a fleet can have are refused before anything is added", async () => {
    const fleet = await Fleet.made();
    const rows = Array.from({ length: 1_001 }, (_, at) => row(`app-${at}`, "disabled"));
    const { code, stderr } = await fleet.migrate(fleet.write("legacy.ndjson", lines(...rows)));
    expect(code).toBe(3);
    expect(stderr).toContain(
      "The table has 1001 apps that the fleet has not, and the fleet has 0: it can have 1000.",
    );
    expect([fleet.added, fleet.backups]).toEqual([[], []]);
  });

  test("100,000 rows, of 100 apps on 1,000 instances, are one run", async () => {
    const fleet = await Fleet.made();
    const rows = Array.from({ length: 100_000 }, (_, at) =>
      row(`app-${at % 100}`, at % 3 === 0 ? "auto_enabled" : "error_disabled", {
        instanceId: `web-${at % 1_000}`,
      }),
    );
    const { code, stdout } = await fleet.migrate(fleet.write("legacy.ndjson", lines(...rows)), "--json");
    expect(code).toBe(0);
    const { rows: read, added } = JSON.parse(stdout) as { rows: number; added: unknown[] };
    expect([read, added.length]).toEqual([100_000, 100]);
  });

  test.each([
    ["missing.json", undefined, "missing.json cannot be read"],
    ["legacy.json", "[1,", "legacy.json cannot be read: it is no JSON"],
    [".", undefined, "cannot be read: it is no file"],
  ])("%s with %s ends with 2", async (name, text, problem) => {
    const fleet = await Fleet.made();
    if (text !== undefined) fleet.write(name, text);
    const { code, stderr } = await fleet.migrate(name);
    expect(code).toBe(2);
    expect(stderr).toContain(problem);
    expect(fleet.backups).toEqual([]);
  });
});
