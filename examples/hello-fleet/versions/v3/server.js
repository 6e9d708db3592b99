// A release with a mistake in it: it starts and listens, and never answers its health check.
import { createServer } from "node:http";

const { PORT, ROLLCALL_INSTANCE: instance } = process.env;

const server = createServer((request, response) => {
  if (request.url === "/health") return;
  response.end(`hello from ${instance}, version 3\n`);
});
server.listen(Number(PORT), "127.0.0.1");

process.on("SIGTERM", () => {
  server.close();
  server.closeAllConnections();
});
