import { once } from "node:events";
import type { Socket } from "node:net";
import { connect, createServer } from "node:net";
import type { Random } from "../../src/base/ports.js";

/** Which half of the conversation. */
export type Way = "toServer" | "toClient";

/** A way to a server on which things go wrong. */
export interface FaultyProxy {
  readonly url: string;
  /** What goes this way from now on is lost; the other way all arrives, and nobody is told. */
  lose(way: Way): void;
  /** Everything arrives so much later, in its order. */
  delay(ms: number): void;
  /** Every `everyMs` each connection is ended with this probability. */
  reset(how: { readonly share: number; readonly everyMs: number; readonly random: Random }): void;
  /** Ends all connections and lets nobody connect. */
  cut(): void;
  /** Everything flows again. A connection that has lost something ends, as nothing that follows makes sense on it. */
  heal(): void;
  end(): Promise<void>;
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  hasLost: boolean;
}

export async function startFaultyProxy(serverUrl: string): Promise<FaultyProxy> {
  const { hostname, port } = new URL(serverUrl);
  const links = new Set<Link>();
  const lost = new Set<Way>();
  let isCut = false;
  let delayMs = 0;
  let resets: NodeJS.Timeout | undefined;

  const endLink = ({ client, server }: Link) => {
    client.destroy();
    server.destroy();
  };
  const pass = (link: Link, way: Way) => {
    const [from, to] = way === "toServer" ? [link.client, link.server] : [link.server, link.client];
    const waiting: { readonly data: Buffer; readonly dueAtMs: number }[] = [];
    const drain = () => {
      const now = performance.now();
      while (waiting[0] !== undefined && waiting[0].dueAtMs <= now) {
        const { data } = waiting.shift() ?? {};
        if (data !== undefined && to.writable) to.write(data);
      }
      if (waiting[0] !== undefined) setTimeout(drain, Math.ceil(waiting[0].dueAtMs - now));
    };
    from.setNoDelay(true);
    from.on("error", () => from.destroy());
    from.on("data", (data) => {
      if (lost.has(way)) {
        link.hasLost = true;
        return;
      }
      waiting.push({ data, dueAtMs: performance.now() + delayMs });
      if (waiting.length === 1) drain();
    });
    from.on("close", () => {
      links.delete(link);
      to.destroy();
    });
  };
  const proxy = createServer((client) => {
    if (isCut) {
      client.on("error", () => client.destroy());
      client.destroy();
      return;
    }
    const link: Link = { client, server: connect(Number(port), hostname), hasLost: false };
    links.add(link);
    pass(link, "toServer");
    pass(link, "toClient");
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const address = proxy.address();
  return {
    url: `nats://127.0.0.1:${typeof address === "object" ? address?.port : ""}`,
    lose: (way) => void lost.add(way),
    delay: (ms) => {
      delayMs = ms;
    },
    reset: ({ share, everyMs, random }) => {
      clearInterval(resets);
      resets = setInterval(() => {
        for (const link of links) if (random.unit() < share) endLink(link);
      }, everyMs);
    },
    cut: () => {
      isCut = true;
      for (const link of links) endLink(link);
    },
    heal: () => {
      isCut = false;
      delayMs = 0;
      lost.clear();
      clearInterval(resets);
      for (const link of links) if (link.hasLost) endLink(link);
    },
    async end() {
      clearInterval(resets);
      for (const link of links) endLink(link);
      const closed = once(proxy, "close");
      proxy.close();
      await closed;
    },
  };
}
