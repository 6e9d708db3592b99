import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createRecordFiles } from "../../src/agent/adapters/record-files.js";
import { makeTempDir } from "../kit/temp-dir.js";

test("records are found again by another run of the agent", async () => {
  const dir = makeTempDir();
  const first = createRecordFiles(dir);
  await first.save("instance", "i1", { phase: "BUILDING" });
  await first.save("instance", "i2", { phase: "QUEUED" });
  await first.save("process", "i1/a", { pid: 7 });
  const second = createRecordFiles(dir);
  expect(await second.load("instance")).toEqual([
    { id: "i1", record: { phase: "BUILDING" } },
    { id: "i2", record: { phase: "QUEUED" } },
  ]);
  expect(await second.load("process")).toEqual([{ id: "i1/a", record: { pid: 7 } }]);
  expect(await second.load("nothing")).toEqual([]);
});

test("an id that is no file name is kept apart from every other", async () => {
  const records = createRecordFiles(makeTempDir());
  const ids = ["../up", "..", "a/b", "a=2Fb", "ü", ".hidden.tmp"];
  for (const id of ids) await records.save("k", id, { id });
  expect((await records.load("k")).map(({ id, record }) => [id, record]).sort()).toEqual(
    ids.map((id) => [id, { id }]).sort(),
  );
});

test("of several saves at once the last one stays, and what is changed afterwards is not saved", async () => {
  const dir = makeTempDir();
  const records = createRecordFiles(dir);
  const record = { step: 0 };
  const saves = Array.from({ length: 20 }, (_, step) => {
    record.step = step;
    return records.save("k", "one", record);
  });
  record.step = 99;
  await Promise.all(saves);
  expect(await records.load("k")).toEqual([{ id: "one", record: { step: 19 } }]);
  expect(readdirSync(join(dir, "k"))).toEqual(["one.json"]);
});

test("a removed record is gone; removing it again is no error", async () => {
  const records = createRecordFiles(makeTempDir());
  await records.save("k", "one", {});
  await records.remove("k", "one");
  await records.remove("k", "one");
  await records.remove("never", "was");
  expect(await records.load("k")).toEqual([]);
});

test("a file that is no JSON is set aside, and the others are read", async () => {
  const dir = makeTempDir();
  const records = createRecordFiles(dir);
  await records.save("k", "one", {});
  const file = join(dir, "k", "one.json");
  writeFileSync(file, '{"half":');
  await records.save("k", "two", {});
  expect(await records.load("k")).toEqual([
    { id: "one", record: undefined },
    { id: "two", record: {} },
  ]);
  expect(readFileSync(`${file}.unreadable`, "utf8")).toBe('{"half":');
  expect(await records.load("k")).toEqual([{ id: "two", record: {} }]);
});

test("what a killed run was writing is cleared away, and foreign files are left alone", async () => {
  const dir = makeTempDir();
  mkdirSync(join(dir, "k"));
  const draft = join(dir, "k", ".one.json.1.0.tmp");
  const foreign = join(dir, "k", "README");
  writeFileSync(draft, "{");
  writeFileSync(foreign, "hello");
  expect(await createRecordFiles(dir).load("k")).toEqual([]);
  expect(existsSync(draft)).toBe(false);
  expect(existsSync(foreign)).toBe(true);
});
