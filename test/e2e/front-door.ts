import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { eventually } from "../kit/eventually.js";
import type { ServiceFacts } from "./service.js";

interface Route {
  readonly host?: string;
  readonly path: string;
  readonly instance: string;
  readonly target: string;
}

/**
 * Stands where a user's proxy stands: it knows the routes file, reads it when the reload command asks it to, and lets the
 * reload command wait until no request to a target that has gone is under way.
 */
export class FrontDoor {
  readonly routesFile: string;
  readonly #server: Server;
  #routes: readonly Route[] = [];
  #reloads = 0;
  readonly #underWay = new Map<string, number>();

  private constructor(routesFile: string) {
    this.routesFile = routesFile;
    this.#server = createServer((_, response) => {
      this.#reload().then(
        () => response.end(),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
    });
  }

  static async open(routesFile: string): Promise<FrontDoor> {
    const door = new FrontDoor(routesFile);
    door.#server.listen(0, "127.0.0.1");
    await once(door.#server, "listening");
    return door;
  }

  /** What the agent is to run after each change of the routes file. */
  get reloadCommand(): string {
    const { port } = this.#server.address() as AddressInfo;
    const ask = `fetch("http://127.0.0.1:${port}").then((answer) => process.exit(answer.ok ? 0 : 1))`;
    return `node -e '${ask}'`;
  }

  get reloads(): number {
    return this.#reloads;
  }

  routesOf(instance: string): readonly Route[] {
    return this.#routes.filter((route) => route.instance === instance);
  }

  /** One request to an instance, as a visitor makes it. */
  async visit(instance: string): Promise<ServiceFacts> {
    const [route] = this.routesOf(instance);
    if (route === undefined) throw new Error(`there is no route to ${instance}`);
    const { target } = route;
    this.#underWay.set(target, (this.#underWay.get(target) ?? 0) + 1);
    try {
      const response = await fetch(target, { headers: { connection: "close" } });
      return (await response.json()) as ServiceFacts;
    } finally {
      this.#underWay.set(target, (this.#underWay.get(target) ?? 1) - 1);
    }
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #reload(): Promise<void> {
    this.#routes = (JSON.parse(readFileSync(this.routesFile, "utf8")) as { routes: Route[] }).routes;
    this.#reloads++;
    const targets = new Set(this.#routes.map(({ target }) => target));
    const gone = [...this.#underWay.keys()].filter((target) => !targets.has(target));
    await eventually(() => gone.every((target) => this.#underWay.get(target) === 0));
  }
}
