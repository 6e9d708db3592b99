import { expect, onTestFinished, test } from "vitest";
import { processIo } from "../../src/cli/cli-io.js";

test("who ends the process at a Ctrl-C that nobody else handles leaves one alone that was handled just now", async () => {
  const handled: string[] = [];
  const interruption = processIo().onInterrupt(() => {
    handled.push("handled");
    interruption.unsubscribe();
  });
  const listening: number[] = [];
  const restorer = () => void listening.push(process.listenerCount("SIGINT"));
  process.on("SIGINT", restorer);
  onTestFinished(() => void process.off("SIGINT", restorer));
  const alone = process.listenerCount("SIGINT") - 1;
  process.emit("SIGINT", "SIGINT");
  await new Promise(setImmediate);
  process.emit("SIGINT", "SIGINT");
  expect(handled).toEqual(["handled"]);
  expect(listening).toEqual([alone + 1, alone]);
});
