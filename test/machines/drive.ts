import { createActor, type SnapshotFrom } from "xstate";
import { deploymentMachine } from "../../machines/deployment.js";
import {
  type DeploymentCommand,
  type DeploymentEvent,
  deploymentFromRecord,
} from "../../machines/deployment-record.js";
import {
  type MemberCommand,
  type MemberEvent,
  memberFromRecord,
  memberMachine,
} from "../../machines/member.js";
import type { DeploymentRecord, InstanceRecord } from "../../src/contracts/deployment.js";

/** A machine that a test drives by hand: events in, commands out, nothing else. */
export interface Driven<Snapshot, Event, Command> {
  /** Sends events, one after another. @returns what was asked for while they were handled */
  send(...events: Event[]): Command[];
  readonly snapshot: Snapshot;
  /** Everything that was asked for, from the beginning. */
  readonly commands: readonly Command[];
}

export type DrivenMember = Driven<SnapshotFrom<typeof memberMachine>, MemberEvent, MemberCommand>;
export type DrivenDeployment = Driven<
  SnapshotFrom<typeof deploymentMachine>,
  DeploymentEvent,
  DeploymentCommand
>;

memberMachine.options.maxIterations = 1_000;
deploymentMachine.options.maxIterations = 1_000;

/** A member that has just joined with this record. */
export function driveMember(record: InstanceRecord): DrivenMember {
  return driven(createActor(memberMachine, { input: { record } }));
}

/** A member as a new leader takes it over. */
export function restoreMember(record: InstanceRecord): DrivenMember {
  const snapshot = memberMachine.resolveState(memberFromRecord(record));
  return driven(createActor(memberMachine, { input: { record }, snapshot }));
}

/** A deployment that begins at ledger time 0 under a leader that may judge at once, unless told otherwise. */
export function driveDeployment(record: DeploymentRecord, judgeFromMs = 0): DrivenDeployment {
  return driven(createActor(deploymentMachine, { input: { record, nowMs: 0, judgeFromMs } }));
}

/** A deployment as a new leader takes it over. */
export function restoreDeployment(
  record: DeploymentRecord,
  nowMs: number,
  judgeFromMs = nowMs,
): DrivenDeployment {
  const snapshot = deploymentMachine.resolveState(deploymentFromRecord(record, nowMs, judgeFromMs));
  return driven(createActor(deploymentMachine, { input: { record, nowMs, judgeFromMs }, snapshot }));
}

interface Root<Snapshot, Event, Command> {
  send(event: Event): void;
  getSnapshot(): Snapshot & { readonly status: string; readonly error: unknown };
  on(type: "*", listener: (command: Command) => void): unknown;
  subscribe(observer: { error: () => void }): unknown;
  start(): unknown;
}

function driven<Snapshot, Event, Command>(
  root: Root<Snapshot, Event, Command>,
): Driven<Snapshot, Event, Command> {
  const commands: Command[] = [];
  root.on("*", (command) => commands.push(command));
  // Without an observer XState throws a machine's error from a timer; here it is thrown to whoever sent the event.
  root.subscribe({ error: () => undefined });
  const check = (): void => {
    const { status, error } = root.getSnapshot();
    if (status === "error") throw error;
  };
  root.start();
  check();
  return {
    commands,
    get snapshot() {
      return root.getSnapshot();
    },
    send: (...events) => {
      const before = commands.length;
      for (const event of events) {
        root.send(event);
        check();
      }
      return commands.slice(before);
    },
  };
}
