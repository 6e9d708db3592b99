import { type AppEngine, connectNatsBus, embedApps } from "../../src/index.js";
import type { NatsAccess } from "../kit/nats.js";
import type { Calls } from "../kit/processes.js";

/** What a bare broadcast goes out on, and what is answered to it. */
export const bareSubjects = { told: "bench.apps.told", reply: "bench.apps.reply" };

/** A process with many instances of the SDK, each on a connection of its own, whose engine has nothing to do. */
export interface AppInstancesCalls extends Calls {
  /** @param options.replyBytes as large is what each answers to a bare broadcast, on the same connection */
  start(options: {
    access: NatsAccess;
    fleet: string;
    instances: readonly string[];
    replyBytes: number;
  }): Promise<void>;
}

const atOnce = async (): Promise<void> => undefined;
const engine: AppEngine = {
  install: atOnce,
  initialize: atOnce,
  enable: atOnce,
  disable: atOnce,
  uninstall: atOnce,
};

export function createAppInstancesCalls(): AppInstancesCalls {
  return {
    start: async ({ access, fleet, instances, replyBytes }) => {
      const { url, user, password } = access;
      const reply = JSON.stringify({ reply: "x".repeat(replyBytes) });
      for (const instance of instances) {
        const bus = await connectNatsBus({ servers: url, user, pass: password, name: instance });
        bus.subscribe(bareSubjects.told, ({ data }) => {
          JSON.parse(new TextDecoder().decode(data));
          bus.publish(bareSubjects.reply, reply);
        });
        await embedApps({ nats: bus, fleet, instance, engine });
      }
    },
  };
}
