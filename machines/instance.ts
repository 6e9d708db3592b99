import { and } from "xstate";
import type { Phase } from "../src/contracts/instance.js";
import { freshInstance } from "./instance-facts.js";
import { checks, contact, health, port } from "./instance-regions.js";
import { instanceSetup } from "./instance-setup.js";

/*
 * One instance on its agent: how far it is with what it was told (update), how well what serves is (health), the
 * checks that say so, and whether its desired state is known (contact). Driven by desired states, by the outcomes
 * of the work that it asks for, and by its processes. It decides what is done next, in which order the old and
 * the new process take turns, when an update has failed, that what `current` points at serves again then, and on which port (port).
 * Only the newest desired state counts: a newer one cancels the work and begins at QUEUED. No phase begins while the
 * desired state is being read after a start or reconnect.
 */

const failed = "#instance.update.FAILED";

type Begin = "pull" | "build" | "copy" | "prepareNext" | "stageRoutes";

/** A phase that is one piece of work: begun once the desired state is known, and repeated for want of a connection. */
function workPhase(
  phase: Phase,
  description: string,
  begin: Begin,
  next: string,
  onDone: "placeCandidate" | "enterPhase" = "enterPhase",
  doing: "work" | "build" = "work",
) {
  const isStuck = {
    target: failed,
    actions: ["cancel", { type: "failStuck", params: { phase, doing } }],
  } as const;
  return instanceSetup.createStateConfig({
    description,
    entry: "enterPhase",
    initial: "waiting",
    states: {
      waiting: {
        description: "The desired state is read before the work begins.",
        always: { guard: "mayBegin", target: "working", actions: ["nextWork", begin] },
        on: { resume: { actions: ["sweep", "restore", "restoreService"] } },
      },
      working: {
        description: "The work is under way.",
        after: doing === "build" ? { buildStuck: isStuck } : { stuck: isStuck },
      },
      retrying: {
        description: "The work failed for want of a connection and begins again after a wait.",
        after: { tryAgain: { target: "working", actions: ["nextWork", begin] } },
      },
    },
    on: {
      "phase.progress": { guard: "isThisWork", target: ".working", actions: "noteProgress" },
      "phase.done": { guard: "isThisWork", target: next, actions: onDone },
      "phase.failed": [
        { guard: "mayTryAgain", target: ".retrying", actions: "countTry" },
        { guard: "isThisWork", target: failed, actions: { type: "failWork", params: { phase } } },
      ],
    },
  });
}

const update = instanceSetup.createStateConfig({
  description: "How far it is with what it was told.",
  initial: "STOPPED",
  states: {
    STOPPED: {
      description: "Nothing runs, as asked, or nothing was ever asked.",
      always: { guard: "hasNews", target: "APPLYING" },
      on: { resume: { actions: "sweep" } },
    },
    APPLYING: {
      description: "It is on its way to what it was told.",
      initial: "QUEUED",
      always: { guard: "hasNews", target: ".QUEUED", actions: ["cancel", "abandon"] },
      states: {
        QUEUED: {
          description: "Something new was asked for; nothing of it has begun.",
          entry: ["takeTarget", "enterPhase"],
          initial: "clearing",
          states: {
            clearing: {
              description: "What an earlier, unfinished update has started is ended.",
              entry: ["sweep", "restoreService"],
              always: {
                guard: "isCleared",
                target: "deciding",
                actions: ["forgetCandidate", "restoreService"],
              },
              on: { resume: { actions: ["sweep", "restore", "restoreService"] } },
            },
            deciding: {
              description: "The desired state is read before anything begins.",
              always: [
                { guard: and(["mayBegin", "wantsStop"]), target: "#instance.update.STOPPING" },
                {
                  guard: and(["mayBegin", "isServed", "isHealthy"]),
                  target: "#instance.update.ACTIVE",
                  actions: "settle",
                },
                {
                  guard: and(["mayBegin", "isServed"]),
                  target: "#instance.update.APPLYING.HEALTH_CHECK.proving",
                  actions: ["proveActive", "recheck"],
                },
                { guard: "mayBegin", target: "#instance.update.APPLYING.PULLING_SOURCE" },
              ],
            },
          },
        },
        PULLING_SOURCE: workPhase(
          "PULLING_SOURCE",
          "The files of the release are fetched and verified.",
          "pull",
          "BUILDING",
        ),
        BUILDING: workPhase(
          "BUILDING",
          "The release is unpacked and its build command runs.",
          "build",
          "COPYING_FILES",
          "enterPhase",
          "build",
        ),
        COPYING_FILES: workPhase(
          "COPYING_FILES",
          "The release folder of this instance is filled.",
          "copy",
          "CREATING_SYMLINKS",
        ),
        CREATING_SYMLINKS: workPhase(
          "CREATING_SYMLINKS",
          "The link `next` is made to point at the release.",
          "prepareNext",
          "UPDATING_ROUTES",
        ),
        UPDATING_ROUTES: workPhase(
          "UPDATING_ROUTES",
          "The new routes are written beside the published ones.",
          "stageRoutes",
          "HEALTH_CHECK",
          "placeCandidate",
        ),
        HEALTH_CHECK: {
          description: "The new process starts and has to pass a health check.",
          entry: "enterPhase",
          initial: "waiting",
          states: {
            waiting: {
              description: "The desired state is read before the processes change.",
              always: [
                { guard: and(["mayBegin", "mustStopFirst"]), target: "stoppingOld" },
                { guard: "mayBegin", target: "proving", actions: "startCandidate" },
              ],
            },
            stoppingOld: {
              description: "The old process ends before the new one starts.",
              entry: ["stopOld", { type: "noteWork", params: { note: "stopping the old process" } }],
              always: { guard: "oldIsGone", target: "proving", actions: "startCandidate" },
              after: {
                endStuck: {
                  target: failed,
                  actions: { type: "failStuck", params: { phase: "HEALTH_CHECK", doing: "end" } },
                },
              },
            },
            proving: {
              description: "The process is up or starting, and is checked.",
              entry: { type: "noteWork", params: { note: "waiting for the first healthy check" } },
              always: [
                {
                  guard: "candidateLostPort",
                  target: "#instance.update.APPLYING.UPDATING_ROUTES",
                  actions: "countMove",
                },
                {
                  guard: "candidateEnded",
                  target: failed,
                  actions: { type: "failProcess", params: { phase: "HEALTH_CHECK" } },
                },
                { guard: "candidateFails", target: failed, actions: "failChecks" },
                {
                  guard: and(["candidateIsHealthy", "candidateServes"]),
                  target: "#instance.update.ACTIVE",
                  actions: ["forgetCandidate", "settle"],
                },
                { guard: "candidateIsHealthy", target: "#instance.update.SWITCHING" },
              ],
              after: {
                unproven: {
                  guard: "hasNoVerdict",
                  target: failed,
                  actions: { type: "failStuck", params: { phase: "HEALTH_CHECK", doing: "work" } },
                },
              },
            },
          },
        },
      },
    },
    STOPPING: {
      description: "It was asked to stop: routes first, then the process.",
      entry: ["enterPhase", { type: "noteWork", params: { note: "stopping" } }],
      initial: "withdrawing",
      states: {
        withdrawing: {
          description: "Its routes are taken back; this is finished whatever is asked meanwhile.",
          entry: ["beginWithdrawal", "nextWork", "withdrawRoutes"],
          after: {
            stuck: {
              target: failed,
              actions: ["cancel", { type: "failStuck", params: { phase: "UPDATING_ROUTES", doing: "work" } }],
            },
          },
          on: {
            resume: { actions: ["nextWork", "withdrawRoutes"] },
            "phase.done": { guard: "isThisWork", target: "ending", actions: "becomeIdle" },
            "phase.failed": {
              guard: "isThisWork",
              target: failed,
              actions: { type: "failWork", params: { phase: "UPDATING_ROUTES" } },
            },
          },
        },
        ending: {
          description: "Its processes end.",
          entry: "stopAll",
          always: [
            { guard: "hasNews", target: "#instance.update.APPLYING" },
            { guard: "allGone", target: "#instance.update.STOPPED", actions: "settle" },
          ],
          after: {
            endStuck: {
              target: failed,
              actions: { type: "failStuck", params: { phase: "UPDATING_ROUTES", doing: "end" } },
            },
          },
        },
      },
    },
    SWITCHING: {
      description:
        "The link `current` is swapped and the routes are published; this is finished whatever is asked meanwhile.",
      entry: ["nextWork", "activate"],
      initial: "working",
      states: {
        working: {
          description: "The work is under way.",
          after: {
            stuck: {
              target: failed,
              actions: ["cancel", { type: "failStuck", params: { phase: "HEALTH_CHECK", doing: "work" } }],
            },
          },
        },
      },
      on: {
        resume: { actions: ["nextWork", "activate", "startCandidate"] },
        "phase.progress": { guard: "isThisWork", target: ".working", actions: "noteProgress" },
        "phase.done": { guard: "isThisWork", target: "ACTIVE", actions: ["becomeActive", "sweep", "prune"] },
        "phase.failed": {
          guard: "isThisWork",
          target: "FAILED",
          actions: { type: "failWork", params: { phase: "HEALTH_CHECK" } },
        },
      },
    },
    ACTIVE: {
      description: "It runs what it was told.",
      always: [
        { guard: "hasNews", target: "APPLYING" },
        {
          guard: "activeEnded",
          target: "FAILED",
          actions: { type: "failProcess", params: { phase: "ACTIVE" } },
        },
      ],
      on: {
        resume: { actions: ["sweep", "restore", "restoreService"] },
        mend: { actions: "restore" },
        // Its files are brought again by the phases that brought them first.
        repair: "#instance.update.APPLYING.PULLING_SOURCE",
      },
    },
    FAILED: {
      description:
        "What it was told could not be reached, or was lost; what `current` points at serves if it can.",
      initial: "clearing",
      always: { guard: "hasNews", target: "APPLYING" },
      states: {
        clearing: {
          description: "What the failed update has left behind is taken away.",
          entry: ["abandon", "sweep", "restoreService"],
          always: { guard: "isCleared", target: "resting", actions: ["forgetCandidate", "restoreService"] },
          on: { resume: { actions: ["abandon", "restore", "sweep", "restoreService"] } },
        },
        resting: {
          description: "It waits for something else to be asked of it, or for a reset.",
          on: { mend: { actions: "restore" } },
        },
      },
    },
  },
});

export const instanceMachine = instanceSetup.createMachine({
  id: "instance",
  context: ({ input }) => freshInstance(input.instance),
  type: "parallel",
  on: {
    desired: { guard: "isNewerState", actions: "accept" },
    taken: { guard: "isNewerState", actions: "accept" },
    epoch: { actions: "seeEpoch" },
    process: { guard: "isNewsOfProcess", actions: "rememberProcess" },
  },
  states: { contact, update, port, checks, health },
});
