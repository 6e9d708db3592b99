import { randomBytes } from "node:crypto";

/** A NATS server of a test's own. */
export interface TestNats {
  /** Stays the same over `restart`. */
  readonly url: string;
  readonly credentials: { readonly user: string; readonly password: string };
  /** Its folder: configuration, `server.log`, JetStream's store. */
  readonly dir: string;
  /** Of the running server. */
  readonly pid: number;
  /** Starts it on the same port and store: after an orderly end if it runs. */
  restart(): Promise<void>;
  /** SIGKILL; `restart` brings it back. */
  kill9(): Promise<void>;
  /** SIGSTOP: it neither answers nor closes its connections. */
  pause(): Promise<void>;
  /** SIGCONT. */
  resume(): Promise<void>;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
}

export interface TestNatsOptions {
  /** As in production: every write is synced before it is acknowledged. Slower; off unless asked for. */
  readonly syncAlways?: boolean;
  /** Text added to the configuration; `@DIR@` in it is the server's folder. What it says of `jetstream` or `authorization` replaces the default. */
  readonly config?: string;
  /** Added to the environment of the server. */
  readonly env?: Readonly<Record<string, string>>;
  /** Bytes that JetStream may store, 1 GiB unless told. */
  readonly storeBytesMax?: number;
}

/** Credentials and configuration that hold for a spawned server and one in a container. */
export function testConfig(
  options: TestNatsOptions,
  where: { listen: string; dir: string; credentials: TestNats["credentials"] },
): string {
  const config = (options.config ?? "").replaceAll("@DIR@", where.dir);
  const { user, password } = where.credentials;
  const sync = options.syncAlways === true ? ", sync_interval: always" : "";
  const bytes = options.storeBytesMax ?? 1024 ** 3;
  const login = /^\s*(authorization|accounts)\b/m.test(config)
    ? ""
    : `authorization { user: "${user}", password: "${password}" }`;
  // Of two sections of one name the later holds.
  return [
    `jetstream { store_dir: "${where.dir}/jetstream", max_mem: 64MB, max_file: ${bytes}${sync} }`,
    "write_deadline: 10s",
    login,
    config,
    `listen: "${where.listen}"`,
    "",
  ].join("\n");
}

export function newCredentials(): TestNats["credentials"] {
  return { user: "test", password: randomBytes(16).toString("hex") };
}
