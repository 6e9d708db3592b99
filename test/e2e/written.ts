import { expect } from "vitest";
import type { AuditEvent } from "../../src/ledger/event-chain.js";

/**
 * What was asked for under a name of its own each, and what of it was acknowledged, to be held against the audit log at the end:
 * nothing that was acknowledged is missing there, and nothing is there that nobody asked for.
 */
export class Written {
  readonly #attempted = new Set<string>();
  readonly #acknowledged = new Set<string>();

  get attempts(): number {
    return this.#attempted.size;
  }

  /** Makes one attempt; it may be refused. */
  async attempt<T>(write: (by: string) => Promise<T>): Promise<T> {
    const by = `w${this.#attempted.size + 1}`;
    this.#attempted.add(by);
    const reply = await write(by);
    this.#acknowledged.add(by);
    return reply;
  }

  expectAllIn(audit: readonly AuditEvent[]): void {
    for (const [index, { epoch }] of audit.entries())
      expect(epoch).toBeGreaterThanOrEqual(audit[index - 1]?.epoch ?? 0);
    const visible = new Set(
      audit.flatMap(({ actor }) =>
        actor?.startsWith("user:w") === true ? [actor.slice("user:".length)] : [],
      ),
    );
    const lost = [...this.#acknowledged].filter((by) => !visible.has(by));
    const unexpected = [...visible].filter((by) => !this.#attempted.has(by));
    expect({ lost, unexpected }).toEqual({ lost: [], unexpected: [] });
  }
}

/** The types of the events of an object, without what they all have. */
export function eventsOf(audit: readonly AuditEvent[], object: string): string[] {
  return audit
    .filter(({ subject }) => subject === object)
    .map(({ type }) => type.replace(/^dev\.rollcall\.[a-z]+\./, "").replace(/\.v1$/, ""));
}
