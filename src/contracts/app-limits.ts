/** Apps of a fleet, tombstones included: the list of them, and all states of an instance, each fit one message. */
export const appsMax = 1_000;
/** Changes that an instance says at most at once. */
export const appChangesMax = 200;
/** Changes that an instance keeps: of more the oldest are lost to whoever has not heard of them. */
export const appChangesKeptMax = 1_000;
/** Logs of one instance that are remembered: two of its processes may report in turn for a while. */
export const auditedLogsMax = 4;
/** Requests that have changed an app and are known again when they are repeated, the newest of each app. */
export const appRequestsMax = 16;
/** Instances with apps; more are refused, lest a program that makes names up fills the ledger. */
export const appInstancesMax = 200_000;
