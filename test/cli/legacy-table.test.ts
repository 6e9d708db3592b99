import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LegacyTable } from "../../src/cli/apps/legacy-table.js";
import { type InitStatus, initStatusSchema } from "../../src/contracts/app.js";
import { desiredOfLegacy } from "../../src/contracts/app-status.js";

function migrated(rows: readonly unknown[], defaultVersion: string | null = null) {
  const table = new LegacyTable(defaultVersion);
  for (const row of rows) table.take(row);
  return table.result();
}

describe("the rows of an old table", () => {
  test.each(initStatusSchema.options)("%s says what was wanted, and is kept", (status) => {
    const { apps, unmapped } = migrated([{ app: "mail", status, version: "1.0.0" }]);
    expect(unmapped).toEqual([]);
    expect(apps).toEqual([
      {
        app: "mail",
        ...desiredOfLegacy[status],
        legacyStatus: status,
        content: { version: "1.0.0", source: null, settings: {} },
        rows: 1,
      },
    ]);
  });

  test("may be as the product wrote them: upper case, the version in info, and more that nobody needs", () => {
    const row = {
      _id: "64f0",
      id: "5f1c-mail",
      status: "COMPILER_ERROR_DISABLED",
      info: { name: "Mail", version: "2.1.0" },
      settings: { greeting: { id: "greeting", value: "hello" } },
      updatedAt: "2026-01-01T00:00:00Z",
    };
    expect(migrated([row]).apps).toMatchObject([
      { app: "5f1c-mail", desiredStatus: "enabled", content: { version: "2.1.0", settings: row.settings } },
    ]);
  });

  test.each([
    [17, null, "it is no object"],
    [{ status: "disabled", version: "1" }, null, "it names no app: app, appId or id"],
    [
      { app: "com.example.mail", status: "disabled", version: "1" },
      null,
      '"com.example.mail" is no name of an app: 1 to 63 characters out of A-Z a-z 0-9 _ -',
    ],
    [{ app: "mail", version: "1" }, "mail", "it has no status"],
    [{ app: "mail", status: "sleeping", version: "1" }, "mail", 'its status "sleeping" is none of old'],
    [
      { app: "mail", status: "disabled" },
      "mail",
      "it names no version: give one for such rows by --app-version",
    ],
    [{ app: "mail", status: "disabled", version: "../1" }, "mail", '"../1" is no version'],
    [
      { app: "mail", status: "disabled", version: "1", source: 3 },
      "mail",
      "its source 3 is no text of at most 1,024 characters",
    ],
  ])("%j cannot be mapped, and is told why", (row, app, why) => {
    const { apps, unmapped, rows } = migrated([{ app: "other", status: "disabled", version: "1" }, row]);
    expect(rows).toBe(2);
    expect(apps).toHaveLength(1);
    expect(unmapped).toEqual([{ row: 2, app, why }]);
  });

  test("settings that are too large cannot be mapped", () => {
    const row = { app: "mail", status: "disabled", version: "1", settings: { text: "x".repeat(20_000) } };
    expect(migrated([row]).unmapped).toMatchObject([{ app: "mail", why: expect.stringContaining("16384") }]);
  });

  test("that name no version have the one that is given for them", () => {
    const { apps } = migrated([{ app: "mail", status: "disabled" }], "1.2.3");
    expect(apps).toMatchObject([{ content: { version: "1.2.3" } }]);
  });
});

describe("several rows of one app", () => {
  const row = (status: InitStatus, more: object = {}) => ({ app: "mail", status, version: "1", ...more });

  test("are one app if they agree on what was wanted", () => {
    const { apps } = migrated([row("auto_enabled"), row("error_disabled"), row("manually_enabled")]);
    expect(apps).toMatchObject([{ desiredStatus: "enabled", legacyStatus: "error_disabled", rows: 3 }]);
  });

  test("one that is known counts more than those that are assumed", () => {
    const { apps } = migrated([row("unknown"), row("auto_enabled"), row("initialized")]);
    expect(apps).toMatchObject([{ desiredStatus: "enabled", legacyStatus: "auto_enabled", assumed: false }]);
  });

  test("that disagree are all reported, and nothing is guessed", () => {
    const { apps, unmapped } = migrated([row("auto_enabled"), row("unknown"), row("manually_disabled")]);
    expect(apps).toEqual([]);
    const why = "rows of it disagree: auto_enabled in row 1, manually_disabled in row 3; make them agree";
    expect(unmapped).toEqual([1, 2, 3].map((number) => ({ row: number, app: "mail", why })));
  });

  test("that disagree on what is to run are reported too", () => {
    const { unmapped } = migrated([row("disabled"), row("disabled", { version: "2" })]);
    expect(unmapped[0]?.why).toBe(
      "rows of it disagree on version, source or settings: rows 1 and 2; make them agree",
    );
  });
});

test("no row is lost: each is of an app that there is to be, or reported once", () => {
  const value = fc.oneof(
    fc.record(
      {
        app: fc.constantFrom("a", "b", "c", "d", "not.one", 7),
        status: fc.constantFrom(...initStatusSchema.options, "other", null),
        version: fc.constantFrom("1", "2", "/"),
        settings: fc.constantFrom({}, { a: 1 }, []),
      },
      { requiredKeys: [] },
    ),
    fc.jsonValue(),
  );
  fc.assert(
    fc.property(fc.array(value, { maxLength: 12 }), (rows) => {
      const { apps, unmapped, rows: count } = migrated(rows);
      expect(count).toBe(rows.length);
      const mapped = apps.reduce((sum, app) => sum + app.rows, 0);
      expect(mapped + unmapped.length).toBe(rows.length);
      expect(new Set(unmapped.map(({ row }) => row)).size).toBe(unmapped.length);
      expect(new Set(apps.map(({ app }) => app)).size).toBe(apps.length);
    }),
  );
});
