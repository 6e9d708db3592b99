/** What must happen at least once in a long run of lives: a life that never gets there proves nothing about it. */
export const marks = {
  leaderKilledInWave: "a leader is killed while instances are in flight",
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
