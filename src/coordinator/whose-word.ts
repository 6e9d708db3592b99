import type { WhoseWord } from "../../machines/member-events.js";
import { isNewerLedger } from "../base/ledger-id.js";
import type { Report } from "../contracts/instance.js";

/** Whose word the instance acts on. */
export function whoseWord(report: Pick<Report, "ledgerId">, ledgerId: string): WhoseWord {
  if (report.ledgerId === null || report.ledgerId === ledgerId) return "own";
  return isNewerLedger(report.ledgerId, ledgerId) === true ? "newer" : "earlier";
}
