import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "../../src/base-node/free-port.js";
import { eventually } from "./eventually.js";
import type { TestNats, TestNatsOptions } from "./test-nats.js";
import { newCredentials, testConfig } from "./test-nats.js";

const image = process.env.ROLLCALL_TEST_NATS_IMAGE || "nats:2.15";
const portInside = 4222;

// What is used of @testcontainers/nats 11 and testcontainers, which are installed only where this runs.
interface NatsModule {
  readonly NatsContainer: new (image: string) => Builder;
}
interface Builder {
  withUsername(user: string): Builder;
  withPass(password: string): Builder;
  withArg(name: string, value: string): Builder;
  withEnvironment(environment: Readonly<Record<string, string>>): Builder;
  withExposedPorts(port: { container: number; host: number }): Builder;
  withBindMounts(mounts: readonly { source: string; target: string }[]): Builder;
  withUser(user: string): Builder;
  start(): Promise<Started>;
}
interface Started {
  getId(): string;
  stop(): Promise<unknown>;
}
interface EngineModule {
  getContainerRuntimeClient(): Promise<{ readonly container: { getById(id: string): Container } }>;
}
interface Container {
  start(): Promise<unknown>;
  stop(): Promise<unknown>;
  kill(options: { signal: string }): Promise<unknown>;
  pause(): Promise<unknown>;
  unpause(): Promise<unknown>;
  inspect(): Promise<{ readonly State: { readonly Pid: number; readonly Running: boolean } }>;
}

/** As `startNats`, in a container of `ROLLCALL_TEST_NATS_IMAGE` that shares the server's folder with this machine. */
export async function startNatsContainer(options: TestNatsOptions): Promise<TestNats> {
  const { NatsContainer } = (await import(moduleName("@testcontainers/nats"))) as NatsModule;
  const { getContainerRuntimeClient } = (await import(moduleName("testcontainers"))) as EngineModule;
  const port = await findFreePort();
  const credentials = newCredentials();
  const dir = mkdtempSync(join(tmpdir(), "rollcall-nats-"));
  const config = join(dir, "nats.conf");
  writeFileSync(config, testConfig(options, { listen: `0.0.0.0:${portInside}`, dir, credentials }));
  try {
    const started = await new NatsContainer(image)
      .withArg("-c", config)
      .withUsername(credentials.user)
      .withPass(credentials.password)
      .withEnvironment(options.env ?? {})
      .withExposedPorts({ container: portInside, host: port })
      .withBindMounts([{ source: dir, target: dir }])
      .withUser(`${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`)
      .start();
    const client = await getContainerRuntimeClient();
    const container = client.container.getById(started.getId());
    const { Pid } = (await container.inspect()).State;
    return new ContainerNats({ container, started, port, credentials, dir, pid: Pid });
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw new Error("nats-server ended at its start, or the engine did not start it", { cause: error });
  }
}

/** Not a literal, so that the type checker does not look for what is not installed. */
function moduleName(name: string): string {
  return name;
}

class ContainerNats implements TestNats {
  readonly url: string;
  readonly credentials: TestNats["credentials"];
  readonly dir: string;
  readonly #container: Container;
  readonly #started: Started;
  readonly #port: number;
  #pid: number;

  constructor(parts: {
    container: Container;
    started: Started;
    port: number;
    credentials: TestNats["credentials"];
    dir: string;
    pid: number;
  }) {
    this.url = `nats://127.0.0.1:${parts.port}`;
    this.credentials = parts.credentials;
    this.dir = parts.dir;
    this.#container = parts.container;
    this.#started = parts.started;
    this.#port = parts.port;
    this.#pid = parts.pid;
  }

  get pid(): number {
    return this.#pid;
  }

  async restart(): Promise<void> {
    if ((await this.#container.inspect()).State.Running) await this.#container.stop();
    await this.#container.start();
    await eventually(() => greets(this.#port));
    this.#pid = (await this.#container.inspect()).State.Pid;
  }

  async kill9(): Promise<void> {
    await this.#container.kill({ signal: "SIGKILL" });
    await eventually(async () => !(await this.#container.inspect()).State.Running);
  }

  async pause(): Promise<void> {
    await this.#container.pause();
  }

  async resume(): Promise<void> {
    await this.#container.unpause();
  }

  async stop(): Promise<void> {
    await this.#started.stop();
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Whether a server says its first line: the engine's own proxy accepts connections before there is one. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("data", (line) => settle(line.toString().startsWith("INFO")));
    for (const end of ["end", "close", "error"]) socket.once(end, () => settle(false));
  });
}
