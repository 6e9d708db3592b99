import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findingsOf, type HostSurvey } from "../../machines/upkeep-plan.js";

const version = fc.constantFrom("v1", "v2", "v3");
const ids = ["i1", "i2"] as const;

const survey: fc.Arbitrary<HostSurvey> = fc.record({
  instances: fc.tuple(
    ...ids.map((instance) =>
      fc.record({
        instance: fc.constant(instance),
        settled: fc.boolean(),
        active: fc.option(version),
        keep: fc.uniqueArray(version),
        repairable: fc.boolean(),
        repaired: fc.boolean(),
        link: fc.constantFrom("right" as const, "missing" as const, "wrong" as const),
        routes: fc.constantFrom("right" as const, "wrong" as const),
        whole: fc.boolean(),
        releases: fc.uniqueArray(fc.record({ version, complete: fc.boolean() }), {
          selector: (release) => release.version,
        }),
      }),
    ),
  ),
  strays: fc.uniqueArray(fc.record({ instance: fc.constantFrom("x1", "x2"), known: fc.boolean() }), {
    selector: ({ instance }) => instance,
  }),
  processes: fc.array(
    fc.record({
      instance: fc.constantFrom(...ids, "x1"),
      pid: fc.nat(9),
      startTime: fc.constant("1"),
      standing: fc.constantFrom("known" as const, "unknown" as const, "unsure" as const),
    }),
    { maxLength: 4 },
  ),
});

describe("what an agent finds on its host, whatever lies there", () => {
  test("is never a process that is known or may be, nor anything of an instance that is on its way", () => {
    fc.assert(
      fc.property(survey, (host) => {
        for (const { kind, key, instance } of findingsOf(host)) {
          if (kind === "process") {
            const it = host.processes.filter(({ pid, startTime }) => key === `process ${pid} ${startTime}`);
            expect(it.some(({ standing }) => standing === "unknown")).toBe(true);
          } else if (kind !== "folder")
            expect(host.instances.find((one) => one.instance === instance)?.settled).toBe(true);
        }
      }),
    );
  });

  test("is never a release that is active or that a record needs; a whole one goes only by a leader's leave", () => {
    fc.assert(
      fc.property(survey, (host) => {
        for (const { kind, release, instance, verdict } of findingsOf(host)) {
          if (kind !== "release") continue;
          const of = host.instances.find((one) => one.instance === instance);
          expect([of?.active, ...(of?.keep ?? [])]).not.toContain(release);
          const isComplete = of?.releases.find((one) => one.version === release)?.complete;
          expect(verdict).toBe(isComplete ? "ask" : "mend");
        }
      }),
    );
  });

  test("is a folder only of an instance that it does not run, and one with a record goes only by a leader's leave", () => {
    fc.assert(
      fc.property(survey, (host) => {
        for (const { kind, instance, verdict } of findingsOf(host)) {
          if (kind !== "folder") continue;
          expect(ids).not.toContain(instance);
          const isKnown = host.strays.find((one) => one.instance === instance)?.known;
          expect(verdict).toBe(isKnown ? "ask" : "mend");
        }
      }),
    );
  });
});
