import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, expect, test } from "vitest";
import {
  findByArgument,
  groupMembers,
  identify,
  identifySelf,
  isAlive,
  killGroup,
} from "../../src/base-node/process-identity.js";

const started: ChildProcess[] = [];

/** Runs a shell line in a process group of its own and waits until it says `ready`. */
async function shell(line: string): Promise<ChildProcess & { pid: number }> {
  const child = spawn("sh", ["-c", line], { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  started.push(child);
  await once(child, "spawn");
  if (line.includes("echo ready")) await once(child.stdout, "data");
  return child as unknown as ChildProcess & { pid: number };
}

function killAll(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

afterEach(() => {
  for (const child of started.splice(0)) killAll(child);
});

describe("the identity of a process", () => {
  test("is the same as long as it runs, and nobody's after it ended", async () => {
    const child = await shell("echo ready; exec sleep 60");
    const identity = identify(child.pid);
    expect(identity).toEqual({
      pid: child.pid,
      startTime: expect.stringMatching(/./),
      bootId: expect.any(String),
    });
    if (identity === undefined) throw new Error("not identified");
    expect(identify(child.pid)).toEqual(identity);
    expect(isAlive(identity)).toBe(true);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(isAlive(identity)).toBe(false);
    expect(identify(child.pid)).toBeUndefined();
  });

  test("tells a process from another one with its number, and from one before a reboot", () => {
    const self = identifySelf();
    expect(isAlive(self)).toBe(true);
    expect(isAlive({ ...self, startTime: "1" })).toBe(false);
    expect(isAlive({ ...self, bootId: "another-boot" })).toBe(false);
  });

  test.runIf(process.platform === "linux")("a zombie is not alive", async () => {
    // The shell becomes a sleep that never collects its child, which stays a zombie.
    const child = spawn("sh", ["-c", "sleep 0.01 & echo $!; exec sleep 60"], {
      detached: true,
      stdio: ["ignore", "pipe", "inherit"],
    });
    started.push(child);
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const zombie = Number(line.toString());
    await expect.poll(() => identify(zombie), { timeout: 10_000 }).toBeUndefined();
    expect(() => process.kill(zombie, 0)).not.toThrow();
  });

  test("of a program whose name holds spaces and parentheses is read correctly", async () => {
    const child = spawn(
      process.execPath,
      ["-e", 'process.title = "a) R 1 (b"; console.log("ready"); setInterval(() => {}, 1e6)'],
      {
        detached: true,
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    started.push(child);
    await once(child.stdout, "data");
    const identity = identify(child.pid ?? 0);
    expect(identity?.startTime).toMatch(/^\d{3,}$/);
    expect(identity?.bootId).toBe(identifySelf().bootId);
  });

  test("is found by an argument that it was started with", async () => {
    const mark = `mark-${process.pid}-${process.hrtime.bigint()}`;
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)", mark], {
      detached: true,
      stdio: "ignore",
    });
    started.push(child);
    await once(child, "spawn");
    await expect
      .poll(() => findByArgument(mark).map(({ pid }) => pid), { timeout: 10_000 })
      .toEqual([child.pid]);
    expect(findByArgument(`${mark}-not`)).toEqual([]);
  });
});

describe("killing by group", () => {
  test("ends the children of the process too", async () => {
    const child = await shell("sleep 60 & sleep 60 & echo ready; wait");
    const identity = identify(child.pid);
    if (identity === undefined) throw new Error("not identified");
    expect(groupMembers(identity)).toHaveLength(3);
    expect(killGroup(identity, "SIGKILL")).toBe(true);
    await expect.poll(() => groupMembers(identity), { timeout: 10_000 }).toEqual([]);
    expect(killGroup(identity, "SIGKILL")).toBe(false);
  });

  test.runIf(process.platform === "linux")(
    "ends what is left of the group after its leader ended",
    async () => {
      const child = await shell("sleep 60 & echo ready; wait");
      const identity = identify(child.pid);
      if (identity === undefined) throw new Error("not identified");
      child.kill("SIGKILL");
      await once(child, "exit");
      expect(groupMembers(identity)).toHaveLength(1);
      expect(killGroup(identity, "SIGKILL")).toBe(true);
      await expect.poll(() => groupMembers(identity), { timeout: 10_000 }).toEqual([]);
    },
  );

  test("leaves a stranger with the same number alone", async () => {
    const child = await shell("echo ready; exec sleep 60");
    const identity = identify(child.pid);
    if (identity === undefined) throw new Error("not identified");
    expect(killGroup({ ...identity, startTime: "1" }, "SIGKILL")).toBe(false);
    expect(killGroup({ ...identity, bootId: "another-boot" }, "SIGKILL")).toBe(false);
    expect(isAlive(identity)).toBe(true);
  });
});
