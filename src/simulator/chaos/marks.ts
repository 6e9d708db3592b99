/** What must happen at least once in a long run of lives: a life that never gets there proves nothing about it. */
export const marks = {
  adoptedProcess: "an agent that starts again adopts what runs",
  agentRestartedInPhase: "an agent is killed in the middle of a phase",
  answerLost: "the store knows a batch again whose answer was lost",
  clockSteppedWhileLeading: "the clock of a leader is put to another time",
  fullStore: "the store has no room for a batch",
  leaderKilledInWave: "a leader is killed while instances are in flight",
  leaderStalledPastLease: "a leader stands still for longer than its lease",
  takeover: "another coordinator takes the lead",
  missedBroadcastHealed: "an agent acts on a desired state whose broadcast it never got",
  staleEpochRefused: "the store refuses the write of a leader that was deposed",
  staleRequestRefused: "an agent refuses the request of a leader that was deposed",
  thresholdExact: "failures reach exactly the threshold",
  rolledBack: "a deployment is rolled back",
  rollbackWhilePartitioned: "a rollback begins while an instance of it is cut off",
  held: "a deployment is held because many instances are silent",
  supersededLeft: "a rollback leaves an instance to a later deployment",
  abortedWhileCut: "a deployment is aborted while an instance in flight is cut off",
  duplicateDone: "a report by which an instance has succeeded is taken twice",
  formatsRaised: "a newer format is begun",
} as const satisfies Readonly<Record<string, string>>;

export type Mark = keyof typeof marks;
