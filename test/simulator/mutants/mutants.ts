/** One line of the product, made wrong. */
export interface Mutant {
  /** What is wrong then, as whoever reads a report would say it. */
  readonly name: string;
  /** Below the build's folder. */
  readonly file: string;
  /** Stands there exactly once. */
  readonly line: string;
  readonly instead: string;
  /** The invariants by which it may be found. */
  readonly foundBy: readonly string[];
}

/** A broken line for each main invariant: lives that do not find these find nothing. */
export const mutants: readonly Mutant[] = [
  {
    name: "one more than the batch is told",
    file: "machines/deployment-plan.js",
    line: "const freeSlots = Math.max(0, wanted.batch - awaited);",
    instead: "const freeSlots = Math.max(0, wanted.batch + 1 - awaited);",
    // The coordinator notices that by itself, and logs it.
    foundBy: ["B1", "log"],
  },
  {
    name: "one failure more than the threshold is borne",
    file: "machines/deployment-plan.js",
    line: "if (spent >= wanted.failureThreshold) {",
    instead: "if (spent > wanted.failureThreshold) {",
    foundBy: ["S9", "B1"],
  },
  {
    name: "the deadline of an instance never passes",
    file: "machines/deployment-plan.js",
    line: "const overdue = judging ? overdueOf(flights, policy.ranMs - wanted.deadlineMs) : [];",
    instead: "const overdue = [];",
    foundBy: ["L4", "L6", "L1"],
  },
  {
    name: "whatever runs and is healthy counts as the new version",
    file: "machines/member.js",
    line: "if (!sameVersion(seen.state.running, record.desired))\n        return false;",
    instead: "",
    foundBy: ["S8"],
  },
  {
    name: "who is silent has failed",
    file: "machines/member.js",
    line: 'if (context.seen === null || context.silent)\n        return "UNKNOWN";',
    instead:
      'if (context.seen === null || context.silent)\n        return context.silent ? "FAILED" : "UNKNOWN";',
    foundBy: ["S15"],
  },
  {
    name: "a command has the generation of the one before it",
    file: "machines/member-record.js",
    line: "generation: generation + 1,\n        desired: claim.target,",
    instead: "generation: Math.max(1, generation),\n        desired: claim.target,",
    foundBy: ["S7"],
  },
  {
    name: "what goes back is told the new version once more",
    file: "machines/member-record.js",
    line: "return { ...record, generation: generation + 1, desired: claim.before, claim: null, last };",
    instead: "return { ...record, generation: generation + 1, desired: claim.target, claim: null, last };",
    foundBy: ["S5"],
  },
  {
    name: "a roll-out goes on while it is paused",
    file: "machines/deployment-plan.js",
    line: "tell: policy.standing || reason !== null",
    instead: "tell: reason !== null",
    foundBy: ["S15"],
  },
  {
    name: "a leader writes without the condition on its epoch",
    file: "src/ledger/leadership.js",
    line: "{ ...first, expect: { key: keys.epoch, revision: epochRevision } },",
    instead: "first,",
    foundBy: ["S3"],
  },
  {
    name: "an event does not name the one before it",
    file: "src/ledger/event-chain.js",
    line: "previous: end.hash,",
    instead: "previous: head.hash,",
    foundBy: ["S11"],
  },
  {
    name: "a process that ends is started again for ever",
    file: "machines/process.js",
    line: "context.streak < (context.launch?.release.manifest.restarts ?? 0)",
    instead: "context.launch !== null",
    foundBy: ["S10"],
  },
  {
    name: "whoever leaves leaves its process behind",
    file: "src/agent/agent.js",
    line: "await this.#endProcesses();",
    instead: ";",
    foundBy: ["S12"],
  },
  {
    name: "a request of an epoch that is over is refused, and done",
    file: "src/agent/asks.js",
    line: 'refuse(message, refusal("STALE_EPOCH", { given: heard.epoch, known: known.epoch }));\n            return;',
    instead: 'refuse(message, refusal("STALE_EPOCH", { given: heard.epoch, known: known.epoch }));',
    foundBy: ["S3"],
  },
  {
    name: "an administrator is told before anything is written",
    file: "src/coordinator/apps/app-commands.js",
    line: "await this.#tell(record, [{ key: keys.app(app), value: record }], outcome.happening, origin);",
    instead:
      "this.#tell(record, [{ key: keys.app(app), value: record }], outcome.happening, origin).catch(() => undefined);",
    foundBy: ["A1"],
  },
  {
    name: "an app that has failed three times is given up",
    file: "machines/app.js",
    line: "context.failedNow && context.failure?.permanent === true && !context.mayRun",
    instead:
      "context.failedNow && (context.failure?.permanent === true || context.attempts >= 3) && !context.mayRun",
    foundBy: ["A2"],
  },
  {
    name: "what runs is not uninstalled",
    file: "machines/app-facts.js",
    line: 'if (wanted.desiredStatus === "uninstalled") {',
    instead: 'if (wanted.desiredStatus === "uninstalled" && !mayRun) {',
    foundBy: ["L1", "A2"],
  },
  {
    name: "an instance that hears that an app is uninstalled goes on as before",
    file: "src/agent/apps/app-feed.js",
    line: "this.#listener.desired(state, revision, heard);",
    instead: 'if (state.desiredStatus !== "uninstalled") this.#listener.desired(state, revision, heard);',
    foundBy: ["A3"],
  },
  {
    name: "an agent that comes back does not read what it is to run",
    file: "src/agent/desired-feed.js",
    line: "const well = await this.#read();",
    instead: "const well = true;",
    foundBy: ["D1"],
  },
  {
    name: "a roll-out in which nothing moves is never stuck",
    file: "machines/deployment-plan.js",
    line: "const stalled = judging && pending && policy.ranMs >= stalledAtMs;",
    instead: "const stalled = false;",
    foundBy: ["L6"],
  },
  {
    name: "many that fall silent at once hold nothing",
    file: "machines/liveness.js",
    line: "return silence.newlySilent >= holdAtLeast && silence.newlySilent >= silence.others * holdShare;",
    instead: "return false;",
    foundBy: ["S15"],
  },
];
