import type { Log } from "../base/ports.js";

const nothing = () => undefined;

/** What a rehearsed coordinator logs is of no use to anybody. */
export const quietLog: Log = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => quietLog,
};
