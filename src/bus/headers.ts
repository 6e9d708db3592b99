import type { MsgHdrs } from "@nats-io/transport-node";
import { headers } from "@nats-io/transport-node";

/** A value as it can travel in one header line: sentences may quote the output of programs, with line ends in it. */
function headerValue(value: string): string {
  return value.replace(/[\r\n]+/g, " ").trim();
}

/** Headers as the NATS client takes them. */
export function natsHeaders(values: Readonly<Record<string, string>>): MsgHdrs {
  const wire = headers();
  for (const [name, value] of Object.entries(values)) wire.append(name, headerValue(value));
  return wire;
}

/** Headers as they arrive. */
export function headerValues(values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, headerValue(value)]));
}
