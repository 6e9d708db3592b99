import type { Command } from "commander";
import { durationText } from "../../contracts/duration.js";
import type { FleetStatus } from "../../contracts/views.js";
import { type Cli, withExamples } from "../cli.js";
import type { Paint } from "../paint.js";
import { stateText, titleText } from "../rollout-picture.js";
import { tableText } from "../table.js";
import { agoText, countText, oddAppsText, plainText, versionCell } from "../words.js";
import { countsText } from "./reconcile.js";

export function addStatusCommand(program: Command, cli: Cli): void {
  const command = program
    .command("status")
    .description(
      "show the fleet at a glance: who leads, how the instances are, what runs where, what is rolled out",
    )
    .action(async (_options: object, command: Command) => {
      await cli.session(command, async ({ client }) => {
        cli.show(command, await client.status.get(), (status) => statusText(status, cli.paint));
      });
    });
  withExamples(command, "rollcall status", "rollcall status --json");
}

function statusText(status: FleetStatus, paint: Paint): string {
  const { fleet, leader, epoch, versions } = status;
  const led = leader === null ? paint("yellow", "nobody leads") : `led by ${leader} (epoch ${epoch})`;
  const lines = [
    `${paint("bold", `fleet ${fleet}`)}, ${led}`,
    ...instancesText(status, paint),
    ...appsText(status, paint),
  ];
  if (versions.length > 0) {
    const columns = [
      {
        head: "VERSION",
        cell: ({ version, unrecorded }: (typeof versions)[number]) =>
          version === null
            ? "nothing"
            : `${versionCell(version)}${unrecorded === true ? " (no record)" : ""}`,
      },
      { head: "INSTANCES", right: true, cell: (row: (typeof versions)[number]) => String(row.instances) },
    ];
    lines.push("", tableText(versions, columns, paint));
  }
  const notice = status.ledger?.notice ?? null;
  if (notice !== null) lines.push("", paint("yellow", plainText(notice)));
  const stuck =
    status.stuck === 0
      ? []
      : [paint("red", `${countText(status.stuck, "thing")} stuck: rollcall deployments ls --stuck`)];
  const broken = (status.broken ?? []).map(({ rule, times, sentence }) =>
    paint("red", `RULE_BROKEN ${rule}, ${countText(times, "time")}: ${plainText(sentence)}`),
  );
  return [
    ...lines,
    "",
    ...rolloutsText(status, paint),
    ...stuck,
    ...broken,
    ...reconciliationText(status),
  ].join("\n");
}

function reconciliationText({ reconciliation, ledgerNowMs }: FleetStatus): string[] {
  if (reconciliation === null) return [];
  const { startedAtMs, tookMs, counts, by } = reconciliation;
  const ago = agoText(startedAtMs, ledgerNowMs);
  return [`reconciled ${ago} by ${plainText(by)}, in ${durationText(tookMs)}: ${countsText(counts)}`];
}

/** Instances that are there for their apps only are no reason to ask for an agent. */
function instancesText({ instances: counts, apps }: FleetStatus, paint: Paint): string[] {
  const parts = [
    paint("green", `${counts.HEALTHY} healthy`),
    ...(counts.DEGRADED > 0 ? [paint("yellow", `${counts.DEGRADED} degraded`)] : []),
    ...(counts.FAILED > 0 ? [paint("red", `${counts.FAILED} failed`)] : []),
    ...(counts.UNKNOWN > 0 ? [paint("yellow", `${counts.UNKNOWN} unknown`)] : []),
  ];
  if (counts.total > 0) return [`${countText(counts.total, "instance")}: ${parts.join(", ")}`];
  return (apps?.instances ?? 0) > 0 ? [] : ["no instances yet: start an agent by rollcall agent"];
}

function appsText({ apps }: FleetStatus, paint: Paint): string[] {
  if (apps === undefined || apps.apps + apps.instances === 0) return [];
  const found = `${countText(apps.apps, "app")} on ${countText(apps.instances, "instance")}`;
  const odd = oddAppsText(apps);
  return odd === "" ? [found] : [`${found}, ${paint("red", `${odd}, see rollcall apps status`)}`];
}

function rolloutsText({ active, latest, ledgerNowMs }: FleetStatus, paint: Paint): string[] {
  if (active.length > 0) {
    return active.flatMap((deployment) => [
      `${paint("bold", deployment.id)}  ${plainText(titleText(deployment))}  ${paint("cyan", stateText(deployment))}`,
      `    ${plainText(deployment.why.sentence)}`,
    ]);
  }
  if (latest === null) return ["nothing was ever rolled out: push a release, then rollcall deploy"];
  return [
    `no roll-out is under way; the last, ${latest.id} (${plainText(titleText(latest))}): ${stateText(latest)} ${agoText(latest.finishedAtMs, ledgerNowMs)}`,
  ];
}
