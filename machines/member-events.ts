import type { InstanceRecord } from "../src/contracts/deployment.js";
import type { Happening } from "../src/contracts/event-types.js";
import type { InstanceState, Reason } from "../src/contracts/instance.js";
import type { Origin } from "../src/contracts/origin.js";
import type { VersionPair } from "../src/contracts/version.js";

/** What a member knows, hears and says. */

/**
 * Whose word an instance acts on: this ledger's, that of one before it, which was lost or restored since, or that of one that is
 * newer than this one, which it listens to alone.
 */
export type WhoseWord = "own" | "earlier" | "newer";

/** The newest that an instance said of itself. */
export interface Sighting {
  readonly incarnation: string;
  readonly observedGeneration: number;
  readonly ledger: WhoseWord;
  readonly digest: string;
  readonly healthyForMs: number;
  readonly phaseAgeMs: number;
  readonly state: InstanceState;
}

export interface MemberContext {
  readonly record: InstanceRecord;
  readonly seen: Sighting | null;
  /** It has missed its reports. */
  readonly silent: boolean;
  /** Another agent that reports under this instance's name. */
  readonly stranger: string | null;
}

/** What a member is told; `origin` goes into the audit log with what comes of it. */
export type MemberEvent = MemberNews & { readonly origin?: Origin };

type MemberNews =
  | { readonly type: "report"; readonly sighting: Sighting }
  | { readonly type: "silent" }
  /** Another agent reports under this name; `null`: it does no more. */
  | { readonly type: "stranger"; readonly agent: string | null }
  | {
      readonly type: "claim";
      readonly deployment: string;
      readonly target: VersionPair | null;
      readonly before: VersionPair | null;
      readonly urgent: boolean;
      readonly minHealthyMs: number;
    }
  /** Its turn in the deployment that owns it. */
  | {
      readonly type: "tell";
      readonly deployment: string;
      readonly toldAtMs: number;
      readonly deadlineMs: number;
    }
  /** Its turn to get what a finished deployment owes it. */
  | { readonly type: "catchUp"; readonly deployment: string; readonly deadlineMs: number }
  | { readonly type: "expire"; readonly reason: Reason }
  /** The deployment lets it go; `goBack`: if it was told something and did not succeed, to what was stable before. */
  | {
      readonly type: "release";
      readonly completed: boolean;
      readonly undoes?: boolean;
      readonly goBack?: { readonly deadlineMs: number };
    }
  | { readonly type: "reset"; readonly deadlineMs: number }
  /** What a finished deployment owes it from now on; `null`: nothing. */
  | { readonly type: "owe"; readonly owed: InstanceRecord["owed"] }
  /** It is told once more what it was told last, under the same generation. */
  | { readonly type: "resend"; readonly deadlineMs: number }
  | { readonly type: "bind"; readonly agent: string; readonly deadlineMs: number };

export type MemberCommand =
  /** Durable: the desired state of this instance, under its new generation. */
  | {
      readonly type: "desire";
      readonly agent: string;
      readonly generation: number;
      readonly deployment: string | null;
      readonly target: VersionPair | null;
      readonly minHealthyMs: number;
      readonly deadlineMs: number;
    }
  /** Durable: an event of the audit log. */
  | {
      readonly type: "note";
      readonly what: Happening<"instance">;
      readonly data: Readonly<Record<string, unknown>>;
    };
