import { type AppReport, type AppState, appStateText } from "../../src/contracts/app-report.js";
import { instanceOfSubject } from "../../src/contracts/subjects.js";
import { connectNatsBus, subjectsOf } from "../../src/index.js";
import { SetDigest } from "../../src/runtime/set-digest.js";
import type { NatsAccess } from "../kit/nats.js";
import type { Calls } from "../kit/processes.js";

/** Instances that speak as the SDK does of apps that are as asked: every 2 s, all states when asked. */
export interface AppPuppetsCalls extends Calls {
  start(options: {
    access: NatsAccess;
    fleet: string;
    instances: readonly string[];
    apps: readonly { readonly app: string; readonly generation: number }[];
    ledgerId: string;
    generation: number;
  }): Promise<void>;
}

const reportEveryMs = 2_000;

export function createAppPuppetsCalls(): AppPuppetsCalls {
  return {
    start: async ({ access, fleet, instances, apps, ledgerId, generation }) => {
      const { url, user, password } = access;
      const bus = await connectNatsBus({ servers: url, user, pass: password, name: "app puppets" });
      const subjects = subjectsOf(fleet);
      const sinceMs = Date.now();
      const states = apps.map((asked): AppState => ({ ...asked, ...enabled, sinceMs }));
      const digest = new SetDigest();
      for (const state of states) digest.add(appStateText(state));
      const common = {
        ...({ format: 1, agentVersion: "", desiredFormat: 1, ledgerId, generation } as const),
        ...{ digest: digest.value, count: states.length },
      };
      const seqs = new Map(instances.map((instance) => [instance, 0]));
      const report = (instance: string, whole: boolean): string => {
        const seq = (seqs.get(instance) ?? 0) + 1;
        seqs.set(instance, seq);
        const changes = { log: `${instance}-1`, number: 0 };
        const said: AppReport = {
          ...common,
          ...{ instance, incarnation: `${instance}-1`, seq, changes, atMs: Date.now() },
          ...(whole && { apps: { whole, states, gone: [] } }),
        };
        return JSON.stringify(said);
      };
      bus.subscribe(subjects.appsAsk("*", "report"), (message) => {
        const instance = instanceOfSubject(message.subject) ?? "";
        const text = report(instance, true);
        bus.publish(subjects.apps(instance), text);
        message.respond(text);
      });
      instances.forEach((instance, at) => {
        setTimeout(
          () => {
            bus.publish(subjects.apps(instance), report(instance, true));
            setInterval(() => bus.publish(subjects.apps(instance), report(instance, false)), reportEveryMs);
          },
          (at / instances.length) * 10 * reportEveryMs,
        );
      });
    },
  };
}

const enabled = {
  initStatus: "manually_enabled",
  installed: true,
  version: "1.0.0",
  reason: null,
  mismatchSinceMs: null,
  attempts: 0,
  nextAttemptAtMs: null,
  stopped: false,
} as const;
