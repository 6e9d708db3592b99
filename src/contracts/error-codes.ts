import { appCodes } from "./app-codes.js";
import type { Meaning } from "./error-meaning.js";
import { ledgerErrorCodes } from "./ledger-error-codes.js";
import { reconciliationCodes } from "./reconciliation-codes.js";

/** Every error code that leaves Rollcall. Codes are for ever; sentences may improve. */
export const errorCodes = {
  // Requests
  BAD_REQUEST: {
    retry: "never",
    status: 400,
    sentence: "The request is not valid: {problem}. Correct it and send it again.",
  },
  BAD_NAME: { retry: "never", status: 400, sentence: "{what} {name} is not allowed: {rule}." },
  BAD_OPTION: {
    retry: "never",
    status: 400,
    sentence: "The option {option} cannot be used: {problem}. Correct it.",
  },
  BAD_BATCH: {
    retry: "never",
    status: 400,
    sentence:
      "The batch {given} is not allowed: give a whole number from 1, or a percentage from 1% to 100%.",
  },
  BAD_FAILURE_THRESHOLD: {
    retry: "never",
    status: 400,
    sentence:
      "The failure threshold {given} is not allowed: give a whole number from 1, or a percentage from 1% to 100%.",
  },
  BAD_DEADLINE: {
    retry: "never",
    status: 400,
    sentence:
      "The instance deadline of {deadlineMs} is not longer than the {minHealthyMs} for which an instance must be healthy, so no instance could ever succeed: give a longer deadline or a shorter healthy time.",
  },
  CONTRADICTORY_ROLLOUT: {
    retry: "never",
    status: 400,
    sentence: "The roll-out contradicts itself: {problem}. Change one of the two and ask again.",
  },
  BAD_SELECTOR: {
    retry: "never",
    status: 400,
    sentence:
      "The selector {given} is not valid: write k=v or k!=v, joined by commas, or ask for all instances by --all.",
  },
  NOTHING_TO_DEPLOY: {
    retry: "never",
    status: 400,
    sentence: "The deployment names no release and no configuration: give at least one of them.",
  },
  UNKNOWN_RELEASE: {
    retry: "never",
    status: 404,
    sentence:
      "There is no release {version}: push it first by rollcall releases push {version} SOURCE, or see rollcall releases ls.",
  },
  UNKNOWN_CONFIG: {
    retry: "never",
    status: 404,
    sentence:
      "There is no configuration {version}: push it first by rollcall configs push {version} FILE, or see rollcall configs ls.",
  },
  UNKNOWN_DEPLOYMENT: {
    retry: "never",
    status: 404,
    sentence: "There is no deployment {deployment}: see rollcall deployments ls.",
  },
  UNKNOWN_INSTANCE: {
    retry: "never",
    status: 404,
    sentence:
      "There is no instance {instance}: see rollcall instances ls, and for those with apps rollcall apps status --all.",
  },
  UNKNOWN_ENDPOINT: {
    retry: "never",
    status: 404,
    sentence:
      "The control plane (version {version}) has no endpoint {endpoint}: upgrade it if the client is newer; $SRV.INFO.rollcall tells which it has.",
  },
  UNKNOWN_FIELD: {
    retry: "never",
    status: 400,
    sentence:
      "The control plane (version {version}) does not know {fields} in a request of {endpoint}: upgrade it if the client is newer, else leave that out.",
  },
  NO_RELEASE_YET: {
    retry: "never",
    status: 409,
    sentence:
      "Instance {example} and {others} others run no release yet, so a configuration alone cannot be deployed there: name a release too.",
  },
  NO_MATCHING_INSTANCES: {
    retry: "later",
    status: 409,
    sentence: "No instance matches {selector}: see rollcall instances ls for the labels that there are.",
  },
  ROLLOUT_IN_PROGRESS: {
    retry: "later",
    status: 409,
    sentence:
      "Deployment {other} is not finished and has {shared} of these instances, {example} among them: wait for it, or stop it by rollcall deployments abort {other}.",
  },
  NO_PREVIOUS_DEPLOYMENT: {
    retry: "never",
    status: 409,
    sentence:
      "No instance that {deployment} touched had a version before it, so there is nothing to go back to: deploy a release that works.",
  },
  ALREADY_FINISHED: {
    retry: "never",
    status: 409,
    sentence: "Deployment {deployment} is over ({outcome}): nothing is left to {verb}.",
  },
  NOT_FINISHED: {
    retry: "later",
    status: 409,
    sentence: "Deployment {deployment} is not finished: wait for its end, or abort it first.",
  },
  NOTHING_TO_RETRY: {
    retry: "never",
    status: 409,
    sentence: "Every instance of deployment {deployment} succeeded: there is nothing to retry.",
  },
  ROLLBACK_OF_ROLLBACK: {
    retry: "never",
    status: 409,
    sentence:
      "{deployment} is a rollback and cannot itself be rolled back: repeat it by rollcall deployments retry {deployment}, or deploy the version that you want.",
  },
  SUPERSEDED: {
    retry: "never",
    status: 409,
    sentence: "A later deployment has touched every instance of {deployment}: roll back that one instead.",
  },
  NOT_PAUSED: {
    retry: "never",
    status: 409,
    sentence: "Deployment {deployment} is not paused: there is nothing to resume.",
  },
  VERSION_EXISTS: {
    retry: "never",
    status: 409,
    sentence:
      "{what} {version} is there already with other content: a version never changes, push it under a new name.",
  },
  VERSION_IN_USE: {
    retry: "later",
    status: 409,
    sentence: "{what} {version} is still needed by {by}: deploy something else there first.",
  },
  INSTANCE_TAKEN: {
    retry: "never",
    status: 409,
    sentence:
      "Instance {instance} belongs to agent {owner}, so this agent ({agent}) leaves it alone: stop one of them, or move it by rollcall instances takeover {instance}.",
  },
  AGENT_RUNS_ELSEWHERE: {
    retry: "later",
    status: 409,
    sentence:
      "Agent {agent} runs already, on another machine or from another folder, and answers for instance {instance}: this data folder is a copy. Stop the other one, or begin here with an empty folder and move the instances by rollcall instances takeover.",
  },
  INSTANCE_NOT_FAILED: {
    retry: "never",
    status: 409,
    sentence: "Instance {instance} has not failed: there is nothing to reset.",
  },
  TOO_BUSY: {
    retry: "later",
    status: 503,
    sentence: "The control plane has {max} requests under way: ask again in a moment.",
  },
  USAGE: { retry: "never", status: 400, sentence: "{problem}" },
  WAIT_TIMEOUT: {
    retry: "later",
    status: 504,
    sentence:
      "Deployment {deployment} was not over within {timeoutMs}; it goes on: see it by rollcall deployments watch {deployment}.",
  },
  // Control plane and store
  NO_LEADER: {
    retry: "later",
    status: 503,
    sentence:
      "No coordinator leads fleet {fleet} at the moment: ask again in a few seconds; rollcall doctor tells more.",
  },
  NO_CONTROL_PLANE: {
    retry: "later",
    status: 503,
    sentence: "No control plane answers for fleet {fleet}: start one by rollcall up or rollcall coordinator.",
  },
  NO_RESPONDERS: {
    retry: "later",
    status: 503,
    sentence: "Nobody listens on {subject}: rollcall doctor says what is missing.",
  },
  REQUEST_TIMEOUT: {
    retry: "later",
    status: 504,
    sentence:
      "No answer on {subject} within {timeoutMs}: it is not known whether the request was carried out. Look before you repeat it; rollcall doctor says who answers.",
  },
  DEPOSED: {
    retry: "never",
    status: 503,
    sentence: "Another coordinator leads fleet {fleet} since epoch {epoch}: this one has stepped down.",
  },
  STALE_EPOCH: {
    retry: "never",
    status: 409,
    sentence: "The request is of epoch {given}, but epoch {known} has begun: its sender no longer leads.",
  },
  ...ledgerErrorCodes,
  OBJECT_STORE_FULL: {
    retry: "later",
    status: 507,
    sentence:
      "The store for release files is full: remove old releases by rollcall releases rm, or give JetStream more room.",
  },
  OBJECT_NOT_FOUND: {
    retry: "later",
    status: 404,
    sentence: "The file {name} is not in the store: push the release or configuration again.",
  },
  CHECKSUM_MISMATCH: {
    retry: "later",
    status: 422,
    sentence:
      "The checksum of {name} is {found} instead of {expected}: push it again; nothing of it was used.",
  },
  PAYLOAD_TOO_LARGE: {
    retry: "never",
    status: 413,
    sentence: "The message of {sizeBytes} bytes is larger than {maxBytes}: send less at once.",
  },
  INTERNAL: {
    retry: "later",
    status: 500,
    sentence: "Something went wrong inside Rollcall: {problem}. The log of the coordinator tells more.",
  },
  // Releases
  BAD_MANIFEST: {
    retry: "never",
    status: 422,
    sentence: "The rollcall.json of release {version} is not valid: {problem}.",
  },
  BAD_SOURCE: {
    retry: "never",
    status: 422,
    sentence: "{source} is no release: give a directory, a .tar.gz file, or git+URL#REF.",
  },
  UNSAFE_ARCHIVE: {
    retry: "never",
    status: 422,
    sentence: "The archive holds {entry}, which leads out of the release ({why}): nothing was unpacked.",
  },
  ARCHIVE_TOO_LARGE: {
    retry: "never",
    status: 413,
    sentence:
      "The release is larger than {maxBytes} bytes or {maxEntries} files: leave out what is not needed at run time.",
  },
  GIT_REF_UNKNOWN: { retry: "never", status: 422, sentence: "{url} has no tag, branch or commit {ref}." },
  GIT_FAILED: { retry: "later", status: 502, sentence: "git could not read {url}: {problem}." },
  NO_GIT: {
    retry: "never",
    status: 501,
    sentence: "There is no git program here: install git, or push the release as a directory or archive.",
  },
  NO_CONTAINER_ENGINE: {
    retry: "never",
    status: 501,
    sentence:
      "Container images cannot be run yet: push the release as a directory, an archive or a git repository.",
  },
  // Instances
  BUILD_FAILED: {
    retry: "never",
    status: 422,
    sentence: "The build command of release {version} ended with {how}: {output}",
  },
  BUILD_TIMEOUT: {
    retry: "never",
    status: 422,
    sentence:
      "The build command of release {version} did not end within {timeoutMs} and was stopped: {output}",
  },
  START_FAILED: {
    retry: "later",
    status: 422,
    sentence: "The process of release {version} did not stay up: {problem}",
  },
  PROCESS_EXITED: {
    retry: "later",
    status: 422,
    sentence:
      "The process of release {version} ended with {how} and was restarted {restarts} times without success: {output}",
  },
  HEALTH_CHECK_FAILED: {
    retry: "later",
    status: 422,
    sentence: "The health check of release {version} failed {failures} times in a row: {problem}",
  },
  PORT_IN_USE: {
    retry: "later",
    status: 409,
    sentence:
      "Port {port} of instance {instance} is taken by another program: free it, or leave the port out so that a free one is chosen.",
  },
  NO_FREE_PORT: { retry: "later", status: 507, sentence: "There is no free port on this host: {problem}." },
  DISK_FULL: {
    retry: "later",
    status: 507,
    sentence: "The disk of {where} is full: free some room; nothing was lost, the phase starts again.",
  },
  RELOAD_FAILED: {
    retry: "later",
    status: 422,
    sentence: "The reload command for the routes ended with {how}: {output}",
  },
  INSTANCE_DEADLINE: {
    retry: "later",
    status: 422,
    sentence: "The instance was not healthy on {version} within {deadlineMs}; it was in phase {phase}.",
  },
  ...reconciliationCodes,
  ...appCodes,
  PHASE_STUCK: {
    retry: "later",
    status: 422,
    sentence: "The phase {phase} has not moved for {stuckMs}: see on the host what it waits for.",
  },
  CANCELLED: {
    retry: "never",
    status: 409,
    sentence: "The work was cancelled because something newer was asked for.",
  },
  // NATS server, folders
  RECORD_CORRUPT: {
    retry: "never",
    status: 500,
    sentence:
      "The record {file} cannot be read ({problem}): it was left as it is. Repair it, or remove it to begin anew.",
  },
  NATS_TOO_OLD: {
    retry: "never",
    status: 500,
    sentence: "nats-server {version} at {where} is too old: Rollcall needs 2.12 or newer.",
  },
  NATS_NOT_FOUND: {
    retry: "never",
    status: 500,
    sentence:
      "There is no nats-server here and none could be fetched: install nats-server 2.12 or newer, set NATS_SERVER_BIN to it, or give --nats URL of a running one.",
  },
  NATS_FETCH_FAILED: {
    retry: "later",
    status: 502,
    sentence:
      "nats-server could not be fetched: {problem}. Install 2.12 or newer yourself and set NATS_SERVER_BIN, or give --nats URL.",
  },
  NATS_START_FAILED: {
    retry: "later",
    status: 500,
    sentence: "nats-server did not start: {problem}. Its log is {log}.",
  },
  NATS_UNREACHABLE: {
    retry: "later",
    status: 503,
    sentence: "No NATS server answers at {url}: {problem}. Start it, or name another one by --nats.",
  },
  FOLDER_LOCKED: {
    retry: "later",
    status: 409,
    sentence:
      "The folder {folder} is in use by process {pid}: stop that one, or give another folder by --data.",
  },
  FOLDER_UNUSABLE: {
    retry: "never",
    status: 422,
    sentence:
      "The folder {folder} cannot be used: {problem}. Give one by --data in which this user may make files.",
  },
  NOT_ALLOWED: {
    retry: "never",
    status: 403,
    sentence:
      "The NATS server does not allow {what} with these credentials: ask by others (--user, --password), or see nats.conf for the rights that each needs.",
  },
} as const satisfies Record<string, Meaning>;
