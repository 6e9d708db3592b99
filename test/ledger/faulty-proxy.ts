import { once } from "node:events";
import type { Socket } from "node:net";
import { connect, createServer } from "node:net";

/** A way to a server that can be cut, or made to lose what the server says. */
export interface FaultyProxy {
  readonly url: string;
  /** What the server says from now on is lost; what is said to it arrives. */
  mute(): void;
  /** Ends all connections and lets nobody connect. */
  cut(): void;
  /** Everything flows again, for new connections. */
  heal(): void;
  end(): Promise<void>;
}

export async function startFaultyProxy(serverUrl: string): Promise<FaultyProxy> {
  const { hostname, port } = new URL(serverUrl);
  const sockets = new Set<Socket>();
  let state: "open" | "mute" | "cut" = "open";

  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
  };
  const proxy = createServer((client) => {
    track(client);
    if (state === "cut") {
      client.destroy();
      return;
    }
    const server = connect(Number(port), hostname);
    track(server);
    client.on("data", (data) => server.write(data));
    server.on("data", (data) => state === "open" && client.write(data));
    client.on("close", () => server.destroy());
    server.on("close", () => client.destroy());
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const address = proxy.address();
  const destroyAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `nats://127.0.0.1:${typeof address === "object" ? address?.port : ""}`,
    mute: () => {
      state = "mute";
    },
    cut: () => {
      state = "cut";
      destroyAll();
    },
    heal: () => {
      state = "open";
    },
    async end() {
      destroyAll();
      const closed = once(proxy, "close");
      proxy.close();
      await closed;
    },
  };
}
