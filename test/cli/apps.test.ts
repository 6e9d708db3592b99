import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { tallyOf } from "../../machines/app-look.js";
import type { AppInstance, AskedApp } from "../../machines/app-standing.js";
import { unaskedRowOf } from "../../machines/app-unasked.js";
import { appViewOf, conditionTimes } from "../../machines/app-view.js";
import { appRowOf, whyOfPair } from "../../machines/app-why.js";
import type { ControlPlane, EndpointName, ParsedRequestOf, ReplyOf } from "../../src/contracts/api.js";
import { appRowsMax } from "../../src/contracts/app-api.js";
import { type ErrorCode, refusal } from "../../src/contracts/errors.js";
import { withNats } from "../kit/nats.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { appInstance, appState, askedApp, failedApp, viewNowMs } from "../machines/app-samples.js";
import { startFakeFleet } from "./fake-fleet.js";
import { envOf } from "./run-cli.js";
import { runHere } from "./run-here.js";

const nats = withNats();

const failed = failedApp({
  mismatchSinceMs: viewNowMs - 252_000,
  attempts: 3,
  nextAttemptAtMs: viewNowMs + 12_000,
});
const stopped = appState({
  initStatus: "compiler_error_disabled",
  reason: { code: "APP_COMPILER_ERROR", message: "App mail does not compile: Unexpected token." },
  mismatchSinceMs: viewNowMs - 3_600_000,
  attempts: 1,
  stopped: true,
});
const on = (instance: string, one: AppInstance): AppInstance => ({ ...one, instance });
const mail = askedApp("enabled");
const fleet = [
  on("web-1", appInstance([appState()])),
  on("web-2", appInstance([failed])),
  on("web-3", appInstance([stopped], { alertedAtMs: { mail: viewNowMs - 3_000_000 } })),
  on("web-4", appInstance([appState()], { hearing: "silent", reportAgeMs: 60_000 })),
  on("web-5", appInstance([failed])),
];

function viewOf(asked: AskedApp = mail, instances: readonly AppInstance[] = fleet) {
  const tally = tallyOf(asked, instances);
  return appViewOf(asked, tally, conditionTimes(undefined, asked, tally, viewNowMs, 0), viewNowMs);
}

const rowsOf = (instances: readonly AppInstance[]) => instances.map((one) => appRowOf(mail, one, viewNowMs));
const listed = { asOf: viewNowMs, epoch: 7, next: null };

async function run(plane: Partial<ControlPlane>, ...args: string[]) {
  const fleet = await startFakeFleet(nats(), plane);
  return await runHere(["apps", ...args, "--fleet", fleet], {
    env: { ...envOf(nats()), ROLLCALL_USER: "ann" },
  });
}

/** Runs a command that asks one thing, and hands back what it asked. */
async function asks<E extends EndpointName>(endpoint: E, reply: unknown, ...args: string[]) {
  const asked: ParsedRequestOf<E>[] = [];
  const answer = async (request: ParsedRequestOf<E>) => {
    asked.push(request);
    return reply;
  };
  const ended = await run({ [endpoint]: answer } as unknown as Partial<ControlPlane>, ...args);
  expect(ended.stderr).toBe("");
  expect(ended.code).toBe(0);
  return { ...ended, asked };
}

describe("what administrators ask of an app", () => {
  test("add says what there is to run, and whether it is to be enabled", async () => {
    const { asked, stdout } = await asks(
      "apps.add",
      viewOf(),
      ...["add", "mail", "1.0.0", "--enable", "--source", "./apps/mail", "--reason", "ticket 12"],
      ...["--settings", "greeting=hello", "--settings", "retries=3", "--settings", '{"deep":[1]}'],
    );
    expect(asked).toEqual([
      {
        app: "mail",
        version: "1.0.0",
        source: "./apps/mail",
        settings: { greeting: "hello", retries: 3, deep: [1] },
        desiredStatus: "enabled",
        legacyStatus: null,
        by: "ann",
        reason: "ticket 12",
        requestKey: expect.any(String),
      },
    ]);
    expect(stdout).toBe(
      "mail 1.0.0 is to be enabled (generation 3): 1 of 4 heard have it so. Follow it by rollcall apps status mail\n",
    );
  });

  test.each(["enable", "disable", "uninstall"] as const)(
    "%s asks for it, of the generation that was seen",
    async (verb) => {
      const { asked } = await asks(`apps.${verb}`, viewOf(), verb, "mail", "--expected-generation", "3");
      expect(asked).toMatchObject([{ app: "mail", by: "ann", reason: null, expectedGeneration: 3 }]);
    },
  );

  test("set changes what is given, and leaves the rest", async () => {
    const file = join(makeTempDir(), "mail.json");
    writeFileSync(file, '{ "greeting": "hi" }');
    const of = async (...flags: string[]) =>
      (await asks("apps.set", viewOf(), "set", "mail", ...flags)).asked[0];
    const none = { app: "mail", by: "ann", reason: null, requestKey: expect.any(String) };
    expect(await of("--app-version", "1.1.0")).toEqual({ ...none, version: "1.1.0" });
    expect(await of("--settings", `@${file}`)).toEqual({ ...none, settings: { greeting: "hi" } });
    expect(await of("--no-source")).toEqual({ ...none, source: null });
  });

  test.each([
    ["--settings", "nonsense"],
    ["--settings", "@missing.json"],
    ["--settings", "{bad"],
    ["--settings", "@/dev/null"],
    ["--expected-generation", "0"],
  ])("%s %s is a wrong command line", async (flag, value) => {
    const { code, stderr } = await run({}, "set", "mail", flag, value);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^rollcall: .+\n$/);
  });

  test("set has to be told what is to be another", async () => {
    const { code, stderr } = await run({}, "set", "mail");
    expect(code).toBe(2);
    expect(stderr).toContain("--app-version");
  });

  test("a stale change is refused with 3, and told what somebody else has changed", async () => {
    const mismatch = refusal("GENERATION_MISMATCH", {
      app: "mail",
      found: 4,
      told: 1,
      expected: 3,
      by: "bob",
      changed: "desiredStatus",
      reason: "it is slow",
    });
    const plane = {
      "apps.disable": async () => {
        throw mismatch;
      },
    };
    const { code, stderr } = await run(plane, "disable", "mail", "--expected-generation", "3");
    expect(code).toBe(3);
    expect(stderr).toBe(
      "rollcall: App mail is at generation 4, not 3: bob has changed desiredStatus since (it is slow). Look at it by rollcall apps show mail, and ask again with the new generation.\n",
    );
    const { stdout } = await run(plane, "disable", "mail", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "GENERATION_MISMATCH", retry: "never" } });
  });

  test("adopt keeps what an instance has, of that one if it is named", async () => {
    const { asked, stdout } = await asks("apps.adopt", viewOf(), "adopt", "mail", "--instance", "web-2");
    expect(asked).toEqual([
      { app: "mail", instance: "web-2", by: "ann", reason: null, requestKey: expect.any(String) },
    ]);
    expect(stdout).toContain("mail 1.0.0 is to be enabled");
  });

  test.each<[code: ErrorCode, details: object, said: string]>([
    [
      "TOO_MANY_APPS",
      { max: 1_000 },
      "The fleet has 1000 apps, and cannot have more: uninstall one; its place is free when every instance has confirmed that.",
    ],
    [
      "APP_UNASKED",
      { app: "mail", holders: "web-1 and 2 more" },
      "Nobody asked for app mail in this ledger, yet it is on web-1 and 2 more: keep it by rollcall apps adopt mail, or remove it everywhere by rollcall apps uninstall mail.",
    ],
    [
      "APP_NOT_EXPLAINED",
      { app: "mail", instance: "web-1", problem: "no answer" },
      "web-1 did not say what it has of app mail (no answer): ask another by --instance, or say it yourself by rollcall apps add mail VERSION --enable.",
    ],
  ])("what is refused by %s ends with 3 and says what to do", async (code, details, said) => {
    const refuse = async () => {
      throw refusal(code, { ...details });
    };
    const plane = { "apps.add": refuse, "apps.disable": refuse, "apps.adopt": refuse };
    for (const args of [
      ["add", "mail", "1.0.0"],
      ["disable", "mail"],
      ["adopt", "mail"],
    ]) {
      const ended = await run(plane, ...args);
      expect(ended).toMatchObject({ code: 3, stderr: `rollcall: ${said}\n` });
    }
  });

  test("reconcile has to be told what it is about", async () => {
    const { code, stderr } = await run({}, "reconcile");
    expect(code).toBe(2);
    expect(stderr).toContain("--all-mismatched");
  });

  test("reconcile says what is tried again, and why it was not as asked", async () => {
    const reply = {
      found: 4,
      told: 1,
      retried: 3,
      left: 1,
      unreachable: [],
      byCause: { APP_FAILED: 1, APP_COMPILER_ERROR: 2 },
    };
    const { asked, stdout } = await asks("apps.reconcile", reply, "reconcile", "--app", "mail");
    expect(asked).toMatchObject([{ app: "mail", instance: null, by: "ann" }]);
    expect(stdout).toBe(
      "1 app is told to this ledger's instances now.\n4 pairs of app and instance were not as asked: 3 tried again now, 1 at it anyway.\nCauses: 2 × APP_COMPILER_ERROR, 1 × APP_FAILED.\n",
    );
  });

  test("reconcile ends with 5 when an instance does not answer", async () => {
    const reply = { found: 1, told: 0, retried: 0, left: 0, unreachable: ["web-4"], byCause: {} };
    const { code, stdout } = await run(
      { "apps.reconcile": async () => reply },
      "reconcile",
      "--all-mismatched",
    );
    expect(code).toBe(5);
    expect(stdout).toContain("No answer from web-4.");
  });

  test("forget takes an instance out that left", async () => {
    const { asked } = await asks(
      "apps.forget",
      { instance: "web-7" },
      "forget",
      "web-7",
      "--reason",
      "scrapped",
    );
    expect(asked).toEqual([{ instance: "web-7", by: "ann", reason: "scrapped" }]);
  });
});

describe("what is shown of apps", () => {
  test("ls has every page in one table", async () => {
    const chat = viewOf(askedApp("disabled", { app: "chat" }), []);
    const plane: Partial<ControlPlane> = {
      "apps.list": async ({ after }) =>
        after === null ? { ...listed, items: [chat], next: "chat" } : { ...listed, items: [viewOf()] },
    };
    const { stdout } = await run(plane, "ls");
    expect(stdout).toBe(
      [
        "APP    VERSION   WANTED     AS ASKED   NOT HEARD   CHANGED",
        "chat   1.0.0     disabled        0/0           0   1m ago by ann",
        "mail   1.0.0     enabled         1/5           1   1m ago by ann",
        "",
      ].join("\n"),
    );
    const { stdout: json } = await run(plane, "ls", "--json");
    expect(JSON.parse(json).items).toEqual([chat, viewOf()]);
  });

  test("show says all of one app, with its conditions and the status of old", async () => {
    const { stdout } = await asks("apps.get", viewOf(), "show", "mail");
    expect(stdout).toMatchInlineSnapshot(`
      "app            mail
      wanted         enabled (generation 3)
      version        1.0.0
      source         -
      settings       {}
      instances      1 as asked, 3 not, 1 not heard, of 5
      ready          no, since 2029-12-31T23:59:00.000Z: It runs on 1 of 4 heard.
      in sync        no, since 2029-12-31T23:00:00.000Z: As asked on 1 of 4 heard.
      reconciling    yes, since 2029-12-31T23:59:00.000Z: 2 wait for their next try, 1 does not try again by itself.
      status of old  compiler_error_disabled
      added          2029-12-31T23:59:00.000Z by ann
      changed        2029-12-31T23:59:00.000Z by ann
      why            Not as asked on 3 of 4 heard. web-3 has not enabled mail: App mail does not compile: Unexpected token. It is tried again only when mail is changed, or by rollcall apps reconcile --app mail --instance web-3. See docs/troubleshooting.md#app_compiler_error. And 2 more: rollcall apps status mail.
      "
    `);
  });

  test("status shows what is not as asked, each reason once, in 80 columns", async () => {
    const items = rowsOf(fleet).filter(({ inSync }) => inSync === false);
    const reply = { ...listed, items, counts: viewOf().counts };
    const { asked, stdout } = await asks("apps.status", reply, "status");
    expect(asked).toMatchObject([{ app: null, instance: null, all: false }]);
    expect(stdout).toMatchInlineSnapshot(`
      "mail is to be enabled, generation 3
      INSTANCE   IS                        NOT SO FOR   TRIES       NEXT
      web-2      error_disabled            4m12s            3        12s
      web-3      compiler_error_disabled   1h               1   if asked   alert
      web-5      error_disabled            4m12s            3        12s
      web-2, web-5: APP_FAILED: App mail failed: it threw.
      web-3: APP_COMPILER_ERROR: App mail does not compile: Unexpected token.

      5 pairs of app and instance: 1 as asked, 3 not, 1 not heard. --all shows all.
      "
    `);
    const table = stdout.split("\n").slice(0, 5);
    expect(Math.max(...table.map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  test("status --all shows those as asked and those that are silent too", async () => {
    const reply = { ...listed, items: rowsOf(fleet), counts: viewOf().counts };
    const { asked, stdout } = await asks("apps.status", reply, "status", "mail", "--all");
    expect(asked).toMatchObject([{ app: "mail", all: true }]);
    expect(stdout).toContain("web-4 is silent, heard last 1m ago");
  });

  test("status says so when all is as asked", async () => {
    const counts = { total: 20, inSync: 20, mismatched: 0, unheard: 0 };
    const { stdout } = await asks("apps.status", { ...listed, items: [], counts }, "status");
    expect(stdout).toBe("20 pairs of app and instance: 20 as asked, 0 not, 0 not heard. --all shows all.\n");
  });

  test("status of much that is not as asked stays readable, and says that there is more", async () => {
    const rows = Array.from({ length: 15 }, (_, app) =>
      Array.from({ length: 5 }, (_, at) => {
        const one = on(`web-${at}`, appInstance([{ ...failed, app: `app-${app}` }]));
        const row = appRowOf(askedApp("enabled", { app: `app-${app}` }), one, viewNowMs);
        return { ...row, cause: { name: "APP_FAILED", instances: 200 } };
      }),
    );
    const counts = { total: 3_000, inSync: 0, mismatched: 3_000, unheard: 0 };
    const reply = { ...listed, items: rows.flat(), counts };
    const { stdout, asked } = await asks("apps.status", reply, "status");
    expect(asked).toMatchObject([{ app: null, perCause: 5 }]);
    expect(stdout.split("\n").length).toBeLessThan(120);
    expect(stdout).toContain("and 195 more instances, APP_FAILED: rollcall apps status app-0 --all");
    expect(stdout).toContain("web-0, web-1, web-2 and 2 more: APP_FAILED");
    expect(stdout).toContain("Nor are these as asked: app-10, app-11, app-12, app-13, app-14.");
    expect(stdout).toContain("There are more than are shown");
    const one = await asks("apps.status", { ...listed, items: rows[0], counts }, "status", "app-0");
    expect(one.asked).toMatchObject([{ app: "app-0", perCause: 10 }]);
    expect(one.stdout).not.toContain("Nor are");
  });

  test("status and ls show what instances have though nobody asked for it, with the two ways out", async () => {
    const state = appState({ app: "news", generation: 0, version: "2.0.0" });
    const asked = { records: new Map(), sinceMs: viewNowMs - 7_200_000 };
    const alertedAtMs = { news: viewNowMs - 6_000_000 };
    const items = ["web-1", "web-2"].map((id) =>
      unaskedRowOf({ one: on(id, appInstance([state], { alertedAtMs })), state }, asked, viewNowMs),
    );
    const counts = { total: 0, inSync: 0, mismatched: 0, unheard: 0 };
    const reply = { ...listed, items, counts, unasked: 2 };
    const { stdout } = await asks("apps.status", reply, "status");
    expect(stdout).toMatchInlineSnapshot(`
      "news: nobody asked for it
      INSTANCE   IS                 NOT SO FOR   TRIES   NEXT
      web-1      manually_enabled   2h               0      -   alert
      web-2      manually_enabled   2h               0      -   alert
      web-1, web-2: APP_UNASKED: Nobody asked for it: keep it by rollcall apps adopt, or remove it by rollcall apps uninstall.

      0 pairs of app and instance: 0 as asked, 0 not, 0 not heard. Besides, 2 pairs that nobody asked for.
      "
    `);
    const plane: Partial<ControlPlane> = {
      "apps.list": async () => ({ ...listed, items: [], unasked: ["news"] }),
      "apps.status": async () => reply,
    };
    expect((await run(plane, "ls")).stdout).toMatchInlineSnapshot(`
      "There are no apps yet: rollcall apps add APP VERSION

      Nobody asked for news, yet there are instances that have it: rollcall apps status
      "
    `);
    expect(JSON.parse((await run(plane, "status", "--json")).stdout)).toEqual({
      news: [
        { instanceId: "web-1", desiredStatus: null, initStatus: "manually_enabled" },
        { instanceId: "web-2", desiredStatus: null, initStatus: "manually_enabled" },
      ],
    });
  });

  test("status without apps or instances says so", async () => {
    const counts = { total: 0, inSync: 0, mismatched: 0, unheard: 0 };
    const { stdout } = await asks("apps.status", { ...listed, items: [], counts }, "status");
    expect(stdout).toBe("There is nothing to show: no app, or no instance with apps yet.\n");
  });

  test("status --json is the report of old: by app, who has it how, all of them", async () => {
    const asked: ParsedRequestOf<"apps.status">[] = [];
    const [first, ...others] = rowsOf(fleet);
    if (first === undefined) throw new Error("there are rows");
    const next = { app: "mail", instance: "web-1" };
    const { stdout } = await run(
      {
        "apps.list": async () => ({ ...listed, items: [viewOf()] }),
        "apps.status": async (request) => {
          asked.push(request);
          const page = { ...listed, counts: viewOf().counts };
          return request.after === null ? { ...page, items: [first], next } : { ...page, items: others };
        },
      },
      "status",
      "--json",
    );
    expect(JSON.parse(stdout)).toEqual({
      mail: [
        { instanceId: "web-1", desiredStatus: "enabled", initStatus: "manually_enabled" },
        { instanceId: "web-2", desiredStatus: "enabled", initStatus: "error_disabled" },
        { instanceId: "web-3", desiredStatus: "enabled", initStatus: "compiler_error_disabled" },
        { instanceId: "web-4", desiredStatus: "enabled", initStatus: "manually_enabled" },
        { instanceId: "web-5", desiredStatus: "enabled", initStatus: "error_disabled" },
      ],
    });
    expect(asked.map(({ app, all, after, limit }) => [app, all, after, limit])).toEqual([
      ["mail", true, null, appRowsMax],
      ["mail", true, next, appRowsMax],
    ]);
  });

  test("status --json --details gives the rows as they are", async () => {
    const items = rowsOf(fleet.slice(1, 2));
    const reply = { ...listed, items, counts: viewOf().counts };
    const { stdout } = await asks("apps.status", reply, "status", "--json", "--details");
    expect(JSON.parse(stdout)).toMatchObject({ items, asOf: viewNowMs });
  });

  test("why is one sentence, of an app or of an app on an instance", async () => {
    const [, second] = fleet;
    if (second === undefined) throw new Error("there are instances");
    const why = whyOfPair(mail, second, viewNowMs);
    const row = appRowOf(mail, second, viewNowMs);
    const one = await asks("apps.why", { ...why, row }, "why", "mail", "--instance", "web-2");
    expect(one.stdout).toBe(`${why.sentence}\n`);
    const all = await asks("apps.get", viewOf(), "why", "mail");
    expect(all.stdout).toBe(`${viewOf().why.sentence}\n`);
  });

  test("history says in one line what many instances came to alike, between one wish and the next", async () => {
    const none = { instanceAtMs: null, generation: 3, reason: null, from: null, cause: "told", by: null };
    const wish = (to: string, atMs: number) => ({
      ...none,
      atMs,
      instance: null,
      what: "desired",
      to,
      by: "user:ann",
      sentence: `is to be ${to}`,
    });
    const many = (to: string, atMs: number) =>
      Array.from({ length: 450 }, (_, at) => {
        const is = at === 7 ? "error_disabled" : to;
        const instance = `web-${at + 1}`;
        const sentence = `is ${is} on ${instance}; it was unknown (told)`;
        return { ...none, atMs: atMs + at, instance, what: "init", to: is, sentence };
      });
    const pages = [
      [wish("disabled", viewNowMs + 5_000), ...many("manually_disabled", viewNowMs + 6_000)],
      [wish("enabled", viewNowMs), ...many("manually_enabled", viewNowMs + 1_000)],
    ];
    const { stdout } = await run(
      {
        "apps.history": async ({ before }) =>
          ({ items: pages[before ?? 0], before: before === null ? 1 : null }) as ReplyOf<"apps.history">,
      },
      "history",
      "mail",
    );
    expect(stdout).toMatchInlineSnapshot(`
      "2030-01-01T00:00:00.000Z  fleet          is to be enabled  by user:ann
      2030-01-01T00:00:01.000Z  449 instances  is manually_enabled on web-1, web-2, web-3 and 446 more; it was unknown (told)
      2030-01-01T00:00:01.007Z  web-8          is error_disabled on web-8; it was unknown (told)
      2030-01-01T00:00:05.000Z  fleet          is to be disabled  by user:ann
      2030-01-01T00:00:06.000Z  449 instances  is manually_disabled on web-1, web-2, web-3 and 446 more; it was unknown (told)
      2030-01-01T00:00:06.007Z  web-8          is error_disabled on web-8; it was unknown (told)
      "
    `);
  });

  test("history tells who wanted what, and what each instance came to", async () => {
    const none = { instanceAtMs: null, generation: 3, reason: null, from: null };
    const items = [
      {
        ...none,
        atMs: viewNowMs - 60_000,
        instance: null,
        what: "desired",
        to: "enabled",
        cause: "told",
        by: "ann",
        sentence: "is to be enabled; it was disabled",
      },
      {
        ...none,
        atMs: viewNowMs,
        instance: "web-2",
        what: "init",
        to: "error_disabled",
        cause: "told",
        by: null,
        sentence: "is error_disabled on web-2; it was initialized (told)",
      },
    ];
    const [older, newer] = items;
    const asked: unknown[] = [];
    const { stdout } = await run(
      {
        "apps.history": async ({ before, limit }) => {
          asked.push([before, limit]);
          const page = before === null ? { items: [newer], before: 12 } : { items: [older], before: null };
          return page as ReplyOf<"apps.history">;
        },
      },
      "history",
      "mail",
    );
    expect(asked).toEqual([
      [null, appRowsMax],
      [12, appRowsMax],
    ]);
    expect(stdout).toBe(
      [
        "2029-12-31T23:59:00.000Z  fleet          is to be enabled; it was disabled  by ann",
        "2030-01-01T00:00:00.000Z  web-2          is error_disabled on web-2; it was initialized (told)",
        "",
      ].join("\n"),
    );
  });

  test("an app that there is not is refused", async () => {
    const plane = {
      "apps.get": async () => {
        throw refusal("UNKNOWN_APP", { app: "nope" });
      },
    };
    expect(await run(plane, "show", "nope")).toMatchObject({
      code: 3,
      stderr:
        "rollcall: There is no app nope: see rollcall apps ls, or add it by rollcall apps add nope VERSION.\n",
    });
  });
});
