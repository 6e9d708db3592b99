import { not } from "xstate";
import { instanceSetup } from "./instance-setup.js";

/** The regions of the instance machine beside its update: what it knows, where it listens, how well it is. */

export const contact = instanceSetup.createStateConfig({
  description: "Whether the newest desired state is known.",
  initial: "asking",
  states: {
    asking: {
      description: "After a start or a reconnect, the desired state is being read.",
      on: {
        resume: { actions: ["nextRead", "readDesired"] },
        reconnected: { actions: ["nextRead", "readDesired"] },
        asked: { guard: "isThisRead", target: "knowing", actions: "know" },
      },
    },
    knowing: {
      description: "The desired state was read, or cannot be: what is known is carried out.",
      on: {
        reconnected: { target: "asking", actions: ["doubt", "nextRead", "readDesired"] },
        poll: { actions: ["nextRead", "readDesired"] },
      },
    },
  },
});

export const checks = instanceSetup.createStateConfig({
  description: "The health checks of the process that serves, or is to serve.",
  initial: "idle",
  states: {
    idle: {
      description: "No process is there to be checked.",
      always: { guard: "mayCheck", target: "checking" },
    },
    checking: {
      description: "A check is under way.",
      entry: ["nextCheck", "check"],
      always: { guard: not("mayCheck"), target: "idle" },
      after: { checkOverdue: { target: "pausing", actions: "judgeOverdue" } },
      on: {
        checked: { guard: "isThisCheck", target: "pausing", actions: "judge" },
        recheck: "idle",
      },
    },
    pausing: {
      description: "The next check is due after its interval.",
      always: { guard: not("mayCheck"), target: "idle" },
      after: { betweenChecks: "checking" },
      on: { recheck: "idle" },
    },
  },
});

export const health = instanceSetup.createStateConfig({
  description: "How well the service is.",
  initial: "UNKNOWN",
  states: {
    UNKNOWN: {
      description:
        "Nothing runs, what runs has not been checked yet, or it fails while something newer is on its way.",
      always: [
        { guard: "isHealthy", target: "HEALTHY" },
        { guard: "isDegraded", target: "DEGRADED" },
        { guard: "isFailed", target: "FAILED" },
      ],
    },
    HEALTHY: {
      description: "Its health checks succeed.",
      always: [
        { guard: "isFailed", target: "FAILED" },
        { guard: "isDegraded", target: "DEGRADED" },
        { guard: "isUnknown", target: "UNKNOWN" },
      ],
    },
    DEGRADED: {
      description: "It serves, and says itself that something is wrong.",
      always: [
        { guard: "isFailed", target: "FAILED" },
        { guard: "isHealthy", target: "HEALTHY" },
        { guard: "isUnknown", target: "UNKNOWN" },
      ],
    },
    FAILED: {
      description: "Its update has failed, its process does not stay up, or its health checks fail.",
      always: [
        { guard: "isHealthy", target: "HEALTHY" },
        { guard: "isDegraded", target: "DEGRADED" },
        { guard: "isUnknown", target: "UNKNOWN" },
      ],
    },
  },
});

export const port = instanceSetup.createStateConfig({
  description: "Where the active version listens, if nobody asked for a certain port.",
  initial: "kept",
  states: {
    kept: {
      description: "It keeps the port that it has.",
      always: { guard: "mustMove", target: "choosing" },
    },
    choosing: {
      description: "Another program has taken the port while the process was down: a free one is looked for.",
      entry: "choosePort",
      always: { guard: not("mustMove"), target: "kept" },
      on: {
        port: [{ guard: "isPort", target: "kept", actions: ["countMove", "move"] }, { target: "lacking" }],
      },
    },
    lacking: {
      description: "There is no free port now.",
      always: { guard: not("mustMove"), target: "kept" },
      after: { portAgain: "choosing" },
    },
  },
});
