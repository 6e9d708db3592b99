import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createModuleEngine, type EmbeddedApps, embedApps } from "../../src/index.js";
import { eventually } from "../kit/eventually.js";
import { refusalOf, World } from "./world.js";

const world = new World();
const instances = ["web-1", "web-2"];
const embedded: EmbeddedApps[] = [];

/** Puts a version of the app on an instance. */
function write(instance: string, version: string, text: string): void {
  const folder = join(world.dir, instance, "mail", version);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "index.mjs"), text);
}

/** Who has the app how, as old clients read it. */
async function statuses(): Promise<Record<string, string>> {
  type Report = Record<string, { instanceId: string; desiredStatus: string; initStatus: string }[]>;
  const { mail = [] } = await world.json<Report>("apps", "status", "mail");
  return Object.fromEntries(mail.map(({ instanceId, initStatus }) => [instanceId, initStatus]));
}

describe("rollcall apps, as administrators run it", () => {
  beforeAll(async () => {
    await world.up(["--apps-every", "1s", "--app-alert-after", "2s"]);
    const { url, user, password } = world.context();
    const nats = { servers: url, user: user ?? "", pass: password ?? "" };
    for (const instance of instances) {
      write(instance, "1.0.0", "export function enable() {}");
      const engine = createModuleEngine({ folder: join(world.dir, instance) });
      embedded.push(await embedApps({ nats, instance, engine }));
    }
  });

  afterAll(async () => {
    await Promise.all(embedded.map((apps) => apps.stop()));
  });

  test("an app is added and enabled on every instance", async () => {
    const said = await world.ok("apps", "add", "mail", "1.0.0", "--enable", "--reason", "ticket 12");
    expect(said).toContain("mail 1.0.0 is to be enabled (generation 1)");
    await eventually(async () =>
      expect(await statuses()).toEqual({ "web-1": "manually_enabled", "web-2": "manually_enabled" }),
    );
    expect(await world.ok("apps", "ls")).toMatch(/^mail {3}1\.0\.0 {5}enabled {8}2\/2 {11}0 /m);
    expect(await world.ok("apps", "status")).toContain("2 as asked, 0 not, 0 not heard");
  });

  test("a version that does not compile on one instance is shown there, with why and what to do", async () => {
    write("web-1", "2.0.0", "export function enable() {}");
    write("web-2", "2.0.0", "export function enable() { let x = ; }");
    await world.ok("apps", "set", "mail", "--app-version", "2.0.0", "--expected-generation", "1");
    const shown = await eventually(async () => {
      const text = await world.ok("apps", "status");
      expect(text).toMatch(/^web-2 {6}compiler_error_disabled .* 1 +if asked/m);
      return text;
    });
    expect(shown).not.toContain("web-1");
    const why = await world.ok("apps", "why", "mail", "--instance", "web-2");
    expect(why).toContain("web-2 has not enabled mail: App mail does not compile");
    expect(why).toContain("See docs/troubleshooting.md#app_compiler_error.");
    expect(await world.ok("apps", "show", "mail")).toMatch(/^in sync +no, .*As asked on 1 of 2 heard\.$/m);
  });

  test("who has not seen that change is refused, and told of it", async () => {
    const stale = ["apps", "disable", "mail", "--expected-generation", "1", "--json"];
    const refused = refusalOf(await world.run(stale));
    expect(refused).toMatchObject({ exit: 3, code: "GENERATION_MISMATCH" });
    expect(refused.message).toContain("has changed version since");
  });

  test("it raises one alert, and once the cause is gone and somebody asks, the alert ends", async () => {
    const history = () => world.ok("apps", "history", "mail", "--instance", "web-2");
    await eventually(async () => expect(await history()).toContain("is not as asked on web-2"));
    write("web-2", "2.0.0", "export function enable() {}");
    const said = await world.ok("apps", "reconcile", "--app", "mail", "--reason", "mended");
    expect(said).toContain("1 pair of app and instance was not as asked: 1 tried again now");
    await eventually(async () => expect(await history()).toContain("is as asked on web-2 again"));
    const lines = (await history()).split("\n");
    expect(lines.filter((line) => line.includes("is not as asked on"))).toHaveLength(1);
    expect(lines.some((line) => line.includes("is added") && line.includes("ticket 12"))).toBe(true);
  });

  test("an uninstalled app is gone once every instance has confirmed it", async () => {
    await world.ok("apps", "uninstall", "mail");
    await eventually(async () =>
      expect(await world.ok("apps", "ls", "--uninstalled")).toContain("There are no apps yet"),
    );
    expect(refusalOf(await world.run(["apps", "show", "mail", "--json"])).code).toBe("UNKNOWN_APP");
  });

  test("a table of old is migrated after a backup, once", async () => {
    const rows = [
      { appId: "mail", status: "AUTO_ENABLED", info: { version: "1.0.0" } },
      { appId: "chat", status: "MANUALLY_DISABLED", info: { version: "1.0.0" } },
      { appId: "odd", status: "ASLEEP", info: { version: "1.0.0" } },
    ];
    writeFileSync(join(world.dir, "legacy.json"), JSON.stringify(rows));
    const migrate = ["apps", "migrate", "--from", "legacy.json"];
    const first = await world.run(migrate);
    expect(first.stdout).toContain(
      "3 rows in legacy.json: 2 apps were added, 1 to be enabled and 1 to be disabled.",
    );
    expect(first.code).toBe(8);
    const backups = () => readdirSync(world.dir).filter((name) => name.includes("-before-apps-"));
    expect(backups()).toHaveLength(1);
    await eventually(async () =>
      expect(await statuses()).toEqual({ "web-1": "manually_enabled", "web-2": "manually_enabled" }),
    );
    const second = await world.run(migrate);
    expect(second.stdout).toContain("0 apps were added");
    expect([second.code, backups().length]).toEqual([8, 1]);
  });
});
