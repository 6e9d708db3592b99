// Draws the machines to docs/machines: npm run docs:machines
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { allMachines, picturesFolder } from "../test/kit/all-machines.ts";
import { pageOf } from "../test/kit/mermaid.ts";

const machines = await allMachines();
mkdirSync(picturesFolder, { recursive: true });
for (const found of machines) writeFileSync(join(picturesFolder, `${found.file}.md`), pageOf(found));
const files = new Set(machines.map(({ file }) => `${file}.md`));
for (const name of readdirSync(picturesFolder)) if (!files.has(name)) rmSync(join(picturesFolder, name));
