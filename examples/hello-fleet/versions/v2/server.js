// The smallest service that Rollcall can run: it listens on PORT, says hello and answers its health check.
import { createServer } from "node:http";

const { PORT, ROLLCALL_INSTANCE: instance } = process.env;

const server = createServer((request, response) => {
  if (request.url === "/health") response.end(JSON.stringify({ status: "ok" }));
  else response.end(`hello from ${instance}, version 2, now friendlier\n`);
});
server.listen(Number(PORT), "127.0.0.1");

process.on("SIGTERM", () => {
  server.close();
  server.closeAllConnections();
});
