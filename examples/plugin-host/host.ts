// A service whose apps administrators switch on and off while it runs. Try it in the folder of the repository, beside `rollcall up`,
// which keeps the address of NATS, user and password in .rollcall/context.json:
//   NATS_URL=nats://USER:PASSWORD@127.0.0.1:PORT node dist/examples/plugin-host/host.js web-1
//   rollcall apps add hello 1.0.0 --enable; curl localhost:3000        which apps it has, and what they have come to
import { createServer } from "node:http";
import { createModuleEngine, embedApps } from "../../src/index.js";

const instance = process.argv[2] ?? "web-1";

// Each app is a folder with an ES module, apps/<app>/<version>, and runs in a thread of its own.
const folder = process.env.APPS ?? "examples/plugin-host/apps";

const apps = await embedApps({
  nats: process.env.NATS_URL ?? "nats://127.0.0.1:4222",
  instance,
  engine: createModuleEngine({ folder }),
  data: `.rollcall/plugin-host/${instance}`,
});

const server = createServer((_, response) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ instance, apps: apps.states() }));
});
server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1");

for (const signal of ["SIGTERM", "SIGINT"] as const)
  process.once(signal, async () => {
    await apps.stop();
    server.close();
  });
