/** Atomic batches, on which the ledger stands, came with this one. */
const oldestAllowed = [2, 12] as const;

/** Whether a nats-server of this version, `2.15.1` or `v2.12.0-RC.1`, can hold a ledger. */
export function isNewEnough(version: string): boolean {
  const [, major, minor] = /^v?(\d+)\.(\d+)\./.exec(version) ?? [];
  return (
    Number(major) > oldestAllowed[0] ||
    (Number(major) === oldestAllowed[0] && Number(minor) >= oldestAllowed[1])
  );
}
