/** Where to connect, as the client library takes it. */
export interface NatsAddress {
  /** `host:port`, free of credentials, fit for logs. */
  readonly servers: string[];
  readonly user: string | undefined;
  readonly pass: string | undefined;
  readonly tls: boolean;
}

const urlShape = /^(?:(nats|tls):\/\/)?(?:([^:@/]*)(?::([^@/]*))?@)?([^@/]+)\/?$/;

/**
 * Takes apart what users give as the address of a NATS server: `host`, `host:port`, `nats://user:password@host:port`,
 * `tls://…`, several in a list or joined by commas. (The client library would take a password for a port.)
 *
 * @returns undefined if one of them is no such address
 */
export function parseNatsAddress(given: string | readonly string[]): NatsAddress | undefined {
  const urls = (typeof given === "string" ? given.split(",") : given)
    .map((url) => url.trim())
    .filter((url) => url !== "");
  const parts = urls.map((url) => urlShape.exec(url));
  if (parts.length === 0 || parts.includes(null)) return undefined;
  const withUser = parts.find((part) => part?.[2] !== undefined);
  return {
    servers: parts.map((part) => part?.[4] ?? ""),
    user: decoded(withUser?.[2]),
    pass: decoded(withUser?.[3]),
    tls: parts.some((part) => part?.[1] === "tls"),
  };
}

function decoded(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
