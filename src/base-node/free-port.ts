import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { refusal } from "../contracts/errors.js";

/**
 * Below the range from which systems take the ports of outgoing connections (Linux from 32768, macOS from 49152). In that range a
 * client that reconnects to its dead server on loopback can get the server's own port for its end, connect to
 * itself, and so keep the server from coming back.
 */
const lowest = 20_000;
const highest = 32_000;
const triesMax = 200;

/** Whether nothing listens on the port of an address now. Somebody else may take it the next moment. */
export async function isPortFree(port: number, host = "127.0.0.1"): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE" || error.code === "EACCES") resolve(false);
      else reject(error);
    });
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * A port that nothing listens on now, at random, so that several who look at the same moment rarely find the same.
 *
 * @throws RollcallError `NO_FREE_PORT`
 */
export async function findFreePort(host = "127.0.0.1"): Promise<number> {
  for (let tries = 0; tries < triesMax; tries++) {
    const port = randomInt(lowest, highest);
    if (await isPortFree(port, host)) return port;
  }
  throw refusal("NO_FREE_PORT", {
    problem: `${triesMax} ports between ${lowest} and ${highest} are all taken`,
  });
}
