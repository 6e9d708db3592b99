import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { onTestFinished } from "vitest";

/** Something that speaks just enough of the NATS protocol to be taken for a server of that version. Returns its address. */
export async function startOldNats(version: string): Promise<string> {
  const info = {
    server_id: "OLD",
    server_name: "old",
    version,
    proto: 1,
    headers: true,
    max_payload: 1_048_576,
  };
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
    socket.on("data", (data) => {
      if (data.includes("PING")) socket.write("PONG\r\n");
    });
    onTestFinished(() => void socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return `nats://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
