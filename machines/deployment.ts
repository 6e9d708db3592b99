import { deploymentRules } from "./deployment-rules.js";

/*
 * One roll-out, a rollback included: from claiming its instances to its outcome. Driven by observations of its
 * members, by people, and by the clock that it asked for. At each observation it has the planner
 * (deployment-plan.ts) say what follows, and takes the step that its state allows: tells the next instances,
 * judges those whose deadline has passed, holds while the network is suspect, ends. Four things about a
 * running one are independent of each other: whether a person has paused it, whether a rule holds it, whether it is
 * writing the last step or watching, and whether its instances move. Its record is written with every transition,
 * its outcome last and once.
 */

export const deploymentMachine = deploymentRules.createMachine({
  id: "deployment",
  context: ({ input }) => ({
    ...input,
    observed: null,
    plan: null,
    step: 0,
    movedAtMs: input.record.movedAtMs,
    wakeAtMs: null,
  }),
  initial: "preparing",
  on: {
    observe: { actions: ["noteUnforced", "look", "wake"] },
    left: { actions: ["countLeft", "noteLeft"] },
  },
  states: {
    preparing: {
      tags: "awaitsLedger",
      description: "It takes its instances as its own; nobody has been told anything.",
      entry: ["takeStep", "claim", "noteCreated"],
      always: [
        { guard: "isClaimedInVain", target: "reverting" },
        { guard: "isClaimed", target: "running" },
      ],
      on: {
        // Only what it has taken can be let go: it is ended once it has all of its instances.
        abort: { actions: ["endAborted", { type: "note", params: { what: "aborted" } }] },
        takenOver: { actions: ["takeStep", "claim", { type: "noteStep", params: { what: "continued" } }] },
      },
    },
    running: {
      description: "It rolls out, batch by batch.",
      type: "parallel",
      entry: ["begin", { type: "note", params: { what: "started" } }],
      always: [
        { guard: "failedAndGoesBack", target: "handingOver" },
        { guard: "hasFailed", target: "reverting", actions: ["endFailed"] },
        { guard: "isDone", target: "completing" },
      ],
      on: {
        abort: {
          target: "reverting",
          actions: ["endAborted", { type: "note", params: { what: "aborted" } }],
        },
        rollBack: { guard: "canGoBack", target: "handingOver" },
      },
      states: {
        person: {
          description: "Whether a person lets it go on.",
          initial: "going",
          states: {
            going: {
              description: "Nobody has paused it.",
              on: {
                pause: { target: "paused", actions: ["pause", { type: "note", params: { what: "paused" } }] },
              },
            },
            paused: {
              description: "A person has paused it.",
              on: {
                resume: {
                  target: "going",
                  actions: ["resume", "wake", { type: "note", params: { what: "resumed" } }],
                },
              },
            },
          },
        },
        rule: {
          description: "Whether a rule lets it go on.",
          initial: "clear",
          states: {
            clear: {
              description: "No rule stands in its way.",
              always: {
                guard: "isMassSilence",
                target: "held",
                actions: ["hold", "noteHeld"],
              },
            },
            held: {
              description: "So many instances went silent at once that the network is suspect.",
              always: {
                guard: "isSilenceOver",
                target: "clear",
                actions: ["unhold", { type: "note", params: { what: "released" } }],
              },
              on: {
                resume: {
                  guard: "forces",
                  target: "clear",
                  actions: ["resume", "wake", { type: "note", params: { what: "forced" } }],
                },
              },
            },
          },
        },
        pace: {
          description: "Whether its last step has been written.",
          initial: "watching",
          states: {
            watching: {
              description: "It waits for instances in flight, or for its turn to go on.",
              always: [
                { guard: "someOverdue", target: "writing", actions: ["expire", "noteExpired", "takeStep"] },
                { guard: "mayTell", target: "writing", actions: ["tell", "noteTold", "takeStep"] },
              ],
            },
            writing: {
              tags: "awaitsLedger",
              description: "Its last step is on the way into the ledger.",
              always: { guard: "isWritten", target: "watching" },
            },
          },
        },
        motion: {
          description: "Whether its instances move.",
          initial: "moving",
          states: {
            moving: {
              description: "Some instance has moved within the progress deadline.",
              always: {
                guard: "isStuck",
                target: "stuck",
                actions: ["markStuck", "noteStuck", "alertStuck"],
              },
            },
            stuck: {
              description: "No instance has moved for the progress deadline.",
              always: {
                guard: "isMovingAgain",
                target: "moving",
                actions: ["unmarkStuck", { type: "note", params: { what: "moving" } }],
              },
            },
          },
        },
      },
    },
    handingOver: {
      description: "It has failed, and a rollback takes its instances over.",
      entry: ["keepCounts", "endForRollback", "beginRollback"],
      always: "finished.failed",
    },
    completing: {
      tags: "awaitsLedger",
      description: "Every instance is done: what succeeded becomes stable.",
      entry: [
        "keepCounts",
        "endDone",
        "takeStep",
        "complete",
        { type: "noteStep", params: { what: "completing" } },
      ],
      always: [
        { guard: "isLetGo", target: "finished" },
        {
          guard: "hasNewcomers",
          actions: ["takeStep", "complete", { type: "noteStep", params: { what: "continued" } }],
        },
      ],
      on: {
        takenOver: { actions: ["takeStep", "complete", { type: "noteStep", params: { what: "continued" } }] },
      },
    },
    reverting: {
      tags: "awaitsLedger",
      description:
        "It ends early: in-flight and failed instances are told what they had before, all are let go.",
      entry: [
        "keepCounts",
        "beginReverting",
        "takeStep",
        "revert",
        { type: "noteStep", params: { what: "reverting" } },
      ],
      always: [
        { guard: "isLetGo", target: "finished" },
        {
          guard: "hasNewcomers",
          actions: ["takeStep", "revert", { type: "noteStep", params: { what: "continued" } }],
        },
      ],
      on: {
        takenOver: { actions: ["takeStep", "revert", { type: "noteStep", params: { what: "continued" } }] },
      },
    },
    finished: {
      description: "It is over; its outcome never changes.",
      entry: ["finish", { type: "note", params: { what: "finished" } }],
      // What is still on its way to it changes nothing any more.
      on: { observe: {}, left: {} },
      initial: "deciding",
      states: {
        deciding: {
          description: "Its outcome is read off its record.",
          always: [
            { guard: "endsCompleted", target: "completed" },
            { guard: "endsRolledBack", target: "rolled_back" },
            { guard: "endsAborted", target: "aborted" },
            { guard: "endsRollbackFailed", target: "rollback_failed" },
            { target: "failed" },
          ],
        },
        completed: {
          description:
            "Every reachable instance runs the new version, but for fewer failures than the threshold.",
        },
        rolled_back: { description: "Every touched instance is back on what was stable before." },
        aborted: { description: "A person stopped it." },
        failed: { description: "The failure threshold or a deadline was reached.", entry: "alert" },
        rollback_failed: { description: "The way back has failed too: a person is needed.", entry: "alert" },
      },
    },
  },
});
