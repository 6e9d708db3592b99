import { closeSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ServiceLog } from "../../src/agent/adapters/service-log.js";
import { makeTempDir } from "../kit/temp-dir.js";

test("the log of a service that never restarts is cut while the service goes on writing", async () => {
  const path = join(makeTempDir(), "logs", "service.log");
  const log = new ServiceLog(path, 1_000);
  const file = await log.openFor("generation 1");
  const service = openSync(path, "a");
  for (let round = 0; round < 5; round++) {
    writeSync(service, `${"x".repeat(1_500)}\nround ${round}\n`);
    await log.trim();
    expect(statSync(path).size).toBe(0);
    expect(readFileSync(`${path}.1`, "utf8")).toMatch(new RegExp(`x\nround ${round}\n$`));
    expect(statSync(`${path}.1`).size).toBeLessThanOrEqual(1_000);
  }
  writeSync(service, "after\n");
  await log.trim();
  expect(readFileSync(path, "utf8")).toBe("after\n");
  expect(await log.tail()).toBe("after");
  closeSync(service);
  await file.close();
});

test("the log of a service that says little is left alone", async () => {
  const path = join(makeTempDir(), "service.log");
  const log = new ServiceLog(path, 1_000);
  await log.trim();
  const file = await log.openFor("generation 1");
  await file.appendFile("hello\n");
  await log.trim();
  expect(readFileSync(path, "utf8")).toBe("--- rollcall: generation 1 ---\nhello\n");
  await file.close();
});
