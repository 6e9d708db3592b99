import { connect, type NatsConnection } from "@nats-io/transport-node";
import { connectNatsBus } from "../../src/bus/nats-bus.js";
import { keys } from "../../src/contracts/keys.js";
import { subjectOfKey } from "../../src/ledger/ledger-reader.js";
import { openNatsLedger } from "../../src/ledger/nats-ledger.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { atomicPut, type BarePut, type Fence } from "../kit/atomic-put.js";
import type { BatchShape } from "../kit/batch-shape.js";
import type { NatsAccess } from "../kit/nats.js";
import type { Calls } from "../kit/processes.js";
import { stderrLog } from "../kit/stderr-log.js";

/** The message upon which the bare writer writes a batch, in place of a report. */
export const goSubject = "bench.go";

/**
 * The bare figure of what is written: the client's `publish` and `request` alone, on streams that are set up as those of
 * the ledger are.
 */
export interface BareWriterCalls extends Calls {
  start(options: { access: NatsAccess; fleet: string }): Promise<void>;
  /** Writes a batch of this shape whenever a message comes on {@link goSubject}. */
  onGo(shape: BatchShape): Promise<void>;
  /** Writes batches of these shapes one after another, after each a request that `echo` answers. @returns how long it took, ms */
  series(options: { shapes: readonly BatchShape[]; echo: string }): Promise<number>;
}

export function createBareWriterCalls(): BareWriterCalls {
  let connection: NatsConnection | undefined;
  let fleet = "";
  let fence: Fence | undefined;
  let shape: BatchShape | undefined;
  let events = 0;

  const putsOf = ({ desired, events: eventLengths, others }: BatchShape): BarePut[] => {
    const put = (key: string, length: number) => ({
      subject: subjectOfKey(fleet, key),
      body: "x".repeat(length),
    });
    return [
      ...eventLengths.map((length) => put(keys.event("bench", "b", ++events), length)),
      ...others.map((length, index) => put(keys.instance(`b${index}`), length)),
      ...desired.map((length, index) => put(keys.desiredInstance(`b${index}`), length)),
    ];
  };

  return {
    start: async (options) => {
      const { url, user, password } = options.access;
      fleet = options.fleet;
      const clock = createRealClock();
      const bus = await connectNatsBus({
        servers: url,
        user,
        pass: password,
        name: "bench",
        clock,
        log: stderrLog,
      });
      await openNatsLedger({ fleet, bus, clock, random: createRealRandom(), log: stderrLog });
      await bus.close();
      connection = await connect({ servers: url, user, pass: password });
      const subject = subjectOfKey(fleet, keys.epoch);
      const written = (await connection.request(subject, "1")).json<{ seq: number }>();
      fence = { subject, sequence: written.seq };
      const decoder = new TextDecoder();
      connection.subscribe(goSubject, {
        callback: (_, message) => {
          JSON.parse(decoder.decode(message.data));
          void atomicPut(connection!, putsOf(shape!), fence!);
        },
      });
      await connection.flush();
    },
    onGo: async (given) => {
      shape = given;
    },
    series: async ({ shapes, echo }) => {
      const startedAtMs = performance.now();
      for (const each of shapes) {
        await atomicPut(connection!, putsOf(each), fence!);
        await connection!.request(echo, "");
      }
      return performance.now() - startedAtMs;
    },
  };
}
