// The agent of `adoption.test.ts`: starts one service, says what it is known by, and waits to be killed.
import { createProcesses } from "../../src/agent/adapters/processes.js";
import { quietLog } from "../kit/quiet-log.js";
import { clock, random } from "./kit.js";

const [dataDir = "", command = ""] = process.argv.slice(2);
const processes = createProcesses({ dataDir, clock, random, log: quietLog });
const identity = await processes.start({ instance: "i1", generation: 7, command, cwd: dataDir, env: {} });
process.stdout.write(`${JSON.stringify(identity)}\n`);
