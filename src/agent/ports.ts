import type { Subscription } from "../base/ports.js";
import type { Config, HealthCheck, Manifest, Release } from "../contracts/release.js";

/** What a running process is known by: a process id alone may belong to another one tomorrow. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Of the process, in the kernel's ticks. */
  readonly startTime: string;
  readonly bootId: string;
}

export function isSameProcess(one: ProcessIdentity, other: ProcessIdentity | null | undefined): boolean {
  return one.pid === other?.pid && one.startTime === other.startTime && one.bootId === other.bootId;
}

/** One piece of phase work on one instance. Each is safe to repeat, and checks what is on disk before it trusts it. */
export interface PhaseWork {
  readonly instance: string;
  readonly generation: number;
  readonly release: Release;
  readonly config: Config | null;
  /** Fires when something newer was asked for: stop soon and reject with `CANCELLED`. */
  readonly signal: AbortSignal;
  /** 0 to 100 within this phase, and what is being done. */
  progress(percent: number, note: string): void;
}

/** Where traffic for an instance goes. */
export interface RouteTarget {
  readonly instance: string;
  readonly port: number;
  readonly routes: Manifest["routes"];
}

/** What an instance runs, and where it listens. */
export interface ActiveRelease {
  readonly release: string;
  readonly config: string | null;
  readonly port: number;
  readonly routes: Manifest["routes"];
}

/** What is active, for a look at what lies on the disk of it. */
export interface SurveyedRelease {
  readonly release: Release;
  readonly config: string | null;
  readonly port: number;
}

/** What lies on the disk of an instance. */
export interface DiskSurvey {
  /** Whether `current` points at what is active. */
  readonly link: "right" | "missing" | "wrong";
  /** Whether the published routes are those of what is active. */
  readonly routes: "right" | "wrong";
  /** The folder of what is active holds every file that was copied into it. */
  readonly whole: boolean;
  /** `complete`: the list of its files is beside it. */
  readonly releases: readonly { readonly version: string; readonly complete: boolean }[];
}

/** The releases of this host's instances, on disk. Every method throws `DISK_FULL` where it writes. */
export interface ReleaseFiles {
  /** After a start of the agent: what its earlier run left at work (a build and its children) is ended, what it was making is removed. */
  recover(): Promise<void>;
  /** PULLING_SOURCE: the files are here, whole and verified. @throws `CHECKSUM_MISMATCH`, `OBJECT_NOT_FOUND`, `GIT_REF_UNKNOWN`, `GIT_FAILED`, `NO_GIT`, `NO_CONTAINER_ENGINE` */
  pull(work: PhaseWork): Promise<void>;
  /** BUILDING: unpacked, and the build command has ended well. @throws `UNSAFE_ARCHIVE`, `ARCHIVE_TOO_LARGE`, `BUILD_FAILED`, `BUILD_TIMEOUT` */
  build(work: PhaseWork): Promise<void>;
  /** COPYING_FILES: the release folder of this instance is complete. */
  copy(work: PhaseWork): Promise<void>;
  /** CREATING_SYMLINKS: `next` points at it. */
  prepareNext(work: PhaseWork): Promise<void>;
  /** UPDATING_ROUTES: the new routes are written beside the published ones. */
  stageRoutes(work: PhaseWork, target: RouteTarget): Promise<void>;
  /** Entering ACTIVE: `current` is swapped by rename, the routes are published and the reload command is run. @throws `RELOAD_FAILED` with both as they were */
  activate(work: PhaseWork): Promise<void>;
  /** After a failure: `next` and staged routes are gone, `current` and published routes untouched. */
  abandon(instance: string): Promise<void>;
  /**
   * `current` points at the active release and its routes lead to its port; put right where they do not, after an interrupted
   * activation for example, or when the port is another one now. Nothing is done while they are as they should be.
   */
  restore(instance: string, active: ActiveRelease): Promise<void>;
  /** After a stop: the instance's published routes are gone. */
  withdrawRoutes(instance: string): Promise<void>;
  /** Removes the releases of an instance but the named ones and the newest `keepMax`. */
  prune(instance: string, keep: readonly string[], keepMax: number): Promise<void>;
  /** Looks at what lies on the disk of an instance; changes nothing. */
  survey(instance: string, active: SurveyedRelease | null): Promise<DiskSurvey>;
  /** Every instance that has a folder here. */
  instances(): Promise<readonly string[]>;
  /** The folder of a release is gone; false if a link or an unfinished activation leads to it, and it stays. */
  removeRelease(instance: string, version: string): Promise<boolean>;
  /** The folder of an instance that this agent does not run is gone, its routes too. @throws `RELOAD_FAILED`, it is gone all the same */
  removeInstance(instance: string): Promise<void>;
  /** The working folder of a release and the path of its configuration file. */
  places(
    instance: string,
    release: string,
    config: string | null,
  ): { readonly cwd: string; readonly configFile: string | null };
}

/** How a process ended. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface ProcessStart {
  readonly instance: string;
  readonly generation: number;
  readonly command: string | readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A process that this data folder's agent has started. */
export interface OwnedProcess {
  readonly instance: string;
  /** 0 for what is left of one that has ended: only to be stopped. */
  readonly generation: number;
  /** What it was given as its port, if that can be seen. */
  readonly port: number | null;
  readonly identity: ProcessIdentity;
}

/** The processes of this host's instances, each a process group whose output goes to files. */
export interface Processes {
  /** Resolves once the group leader runs and is identified. @throws `START_FAILED` */
  start(start: ProcessStart): Promise<ProcessIdentity>;
  isAlive(identity: ProcessIdentity): boolean;
  /** Calls `ended` once, also for a process that an earlier run of this agent started. */
  onExit(identity: ProcessIdentity, ended: (exit: ProcessExit) => void): Subscription;
  /** The signal to the whole group, then SIGKILL after `graceMs`; resolves when none of it is left. Already gone is success. */
  stop(identity: ProcessIdentity, options: { signal: string; graceMs: number }): Promise<void>;
  /** The last lines that it wrote, at most 2 KiB. */
  tail(instance: string): Promise<string>;
  /** Everything alive that this data folder's agent ever started, to adopt or to reap. */
  owned(): Promise<OwnedProcess[]>;
  /** A port that nothing listens on, the wanted one if given. @throws `PORT_IN_USE`, `NO_FREE_PORT` */
  freePort(instance: string, wanted?: number): Promise<number>;
}

export interface ProbeResult {
  readonly verdict: "healthy" | "degraded" | "unhealthy";
  /** What was seen, for people: `HTTP 500`, `connection refused`. */
  readonly detail: string;
}

export interface Probes {
  /** One check; a check that does not answer within its timeout is unhealthy. Never throws. */
  check(
    check: HealthCheck,
    target: { port: number; cwd: string; env: Readonly<Record<string, string>> },
  ): Promise<ProbeResult>;
}
