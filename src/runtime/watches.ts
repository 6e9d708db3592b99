import type { Bus, Clock, Subscription, Timer } from "../base/ports.js";
import { boundedJson } from "./bounded-json.js";
import type { Inspection, InspectionEvent, InspectionObserver } from "./inspection.js";
import type { HostLimits } from "./limits.js";

/** Where actors are asked for, and where watched ones are heard of; `*` stands for any kind or id. */
export interface ActorSubjects {
  actorState(kind: string, id: string): string;
  actorInspect(kind: string, id: string): string;
}

const rateWindowMs = 1_000;

interface Watch {
  readonly subject: string;
  untilMs: number;
  /** Number of the newest event, dropped ones included: a gap at the watcher is what it missed. */
  seq: number;
  dropped: number;
}

/** What a watcher is told of its watch. */
export interface WatchState {
  readonly subject: string;
  /** For how long it goes on unless it is renewed; 0 if this host has too many watched actors. */
  readonly forMs: number;
  readonly seq: number;
  readonly dropped: number;
}

interface WatchesOptions {
  readonly incarnation: string;
  readonly clock: Clock;
  readonly bus: Bus;
  readonly subjects: ActorSubjects;
  readonly limits: HostLimits;
  readonly inspection: Inspection;
}

/** Sends the events of watched actors, a bounded number a second, for as long as somebody keeps renewing the interest. */
export class Watches implements InspectionObserver {
  readonly #options: WatchesOptions;
  readonly #watches = new Map<string, Map<string, Watch>>();
  #count = 0;
  #observing: Subscription | undefined;
  #expiry: Timer | undefined;
  #windowEndMs = 0;
  #sentInWindow = 0;

  constructor(options: WatchesOptions) {
    this.#options = options;
  }

  /** Watches an actor for `watchMs` from now, or renews that; 0 ends it. */
  watch(kind: string, id: string, watchMs: number): WatchState {
    const watch = this.#of(kind, id) ?? this.#begin(kind, id, watchMs);
    if (watch === undefined) {
      return { subject: this.#options.subjects.actorInspect(kind, id), forMs: 0, seq: 0, dropped: 0 };
    }
    watch.untilMs = this.#options.clock.monotonicMs() + watchMs;
    this.#endExpired();
    return { subject: watch.subject, forMs: watchMs, seq: watch.seq, dropped: watch.dropped };
  }

  stop(): void {
    this.#watches.clear();
    this.#count = 0;
    this.#endExpired();
  }

  wants(kind: string, id: string): boolean {
    return this.#of(kind, id) !== undefined;
  }

  next({ context, ...event }: InspectionEvent): void {
    const watch = this.#of(event.kind, event.id);
    if (watch === undefined) return;
    watch.seq++;
    if (!this.#maySend()) {
      watch.dropped++;
      return;
    }
    const { bus, incarnation, limits } = this.#options;
    const facts = { ...event, seq: watch.seq, dropped: watch.dropped, incarnation };
    bus.publish(watch.subject, boundedJson(facts, context, limits.stateBytesMax));
  }

  #of(kind: string, id: string): Watch | undefined {
    return this.#watches.get(kind)?.get(id);
  }

  #begin(kind: string, id: string, watchMs: number): Watch | undefined {
    if (watchMs === 0 || this.#count >= this.#options.limits.watchedMax) return undefined;
    const watch: Watch = {
      subject: this.#options.subjects.actorInspect(kind, id),
      untilMs: 0,
      seq: 0,
      dropped: 0,
    };
    const ofKind = this.#watches.get(kind) ?? new Map<string, Watch>();
    this.#watches.set(kind, ofKind.set(id, watch));
    this.#count++;
    this.#observing ??= this.#options.inspection.observe(this);
    return watch;
  }

  #maySend(): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs >= this.#windowEndMs) {
      this.#windowEndMs = nowMs + rateWindowMs;
      this.#sentInWindow = 0;
    }
    return this.#sentInWindow++ < this.#options.limits.inspectPerSecondMax;
  }

  #endExpired(): void {
    this.#expiry?.cancel();
    this.#expiry = undefined;
    const nowMs = this.#options.clock.monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [kind, ofKind] of this.#watches) {
      for (const [id, watch] of ofKind) {
        if (watch.untilMs <= nowMs) this.#end(kind, ofKind, id);
        else nextMs = Math.min(nextMs, watch.untilMs);
      }
    }
    if (nextMs < Number.POSITIVE_INFINITY) {
      this.#expiry = this.#options.clock.setTimer(nextMs - nowMs, () => this.#endExpired());
      return;
    }
    this.#observing?.unsubscribe();
    this.#observing = undefined;
  }

  #end(kind: string, ofKind: Map<string, Watch>, id: string): void {
    ofKind.delete(id);
    if (ofKind.size === 0) this.#watches.delete(kind);
    this.#count--;
  }
}
