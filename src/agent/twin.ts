import { messageOf } from "../base/errors.js";
import type { Bus, Clock, Log, RecordStore } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { reportSchema } from "../contracts/instance.js";
import { subjectsOf } from "../contracts/subjects.js";
import { agentJournalId, journalKinds, readJournal } from "./journal.js";

/** How long a start waits for NATS to be asked; without NATS nobody can be asked. */
const connectMaxMs = 1_000;
const answerMaxMs = 1_000;

export interface TwinPorts {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Log;
  readonly records: RecordStore;
}

/**
 * Refuses to start an agent that runs already: from a copy of this data folder on another machine, where no lock of the folder can
 * be seen. Both would do what one is told.
 *
 * @throws RollcallError `AGENT_RUNS_ELSEWHERE` when an agent of the same id answers for the instance
 */
export async function refuseTwin(ports: TwinPorts, fleet: string, instance: string): Promise<void> {
  const { bus, clock, log, records } = ports;
  const connected = untilConnected(bus, clock);
  const found = (await records.load(journalKinds.agent)).find(({ id }) => id === agentJournalId);
  const agentId = readJournal("agent", agentJournalId, found?.record)?.agentId;
  if (agentId === undefined) return;
  await connected;
  let other: string | undefined;
  try {
    const subject = subjectsOf(fleet).ask(instance, "report");
    const answer = await bus.request(subject, "{}", { timeoutMs: answerMaxMs });
    const report = reportSchema.safeParse(JSON.parse(new TextDecoder().decode(answer.data)));
    if (report.success) other = report.data.agent;
  } catch (error) {
    // Mostly that nobody listens, which is as it should be.
    log.debug({ instance, error: messageOf(error) }, "no other agent answers for the instance");
  }
  if (other === agentId) throw refusal("AGENT_RUNS_ELSEWHERE", { agent: agentId, instance });
}

/** Resolves when the bus says that it is connected, or after a while. */
function untilConnected(bus: Bus, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      timer.cancel();
      status.unsubscribe();
      resolve();
    };
    const timer = clock.setTimer(connectMaxMs, over);
    const status = bus.onStatus((state) => {
      if (state === "reconnected") over();
    });
  });
}
