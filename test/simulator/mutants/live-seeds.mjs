// Lives lives with the build in the folder that is named first, and the one that is made by hand; prints what each came to, a line a life.
import { readFileSync } from "node:fs";

const [folder, instancesMax, ...seeds] = process.argv.slice(2);
const { drawPlan } = await import(`${folder}/src/simulator/chaos/draw-plan.js`);
const { live } = await import(`${folder}/src/simulator/chaos/life.js`);
const made = JSON.parse(readFileSync(new URL("../../seeds/made-life.json", import.meta.url), "utf8"));
for (const seed of [...seeds, "made"]) {
  const { failure } = await live(
    seed === "made" ? made : drawPlan(seed, { instancesMax: Number(instancesMax) }),
  );
  process.stdout.write(`${JSON.stringify({ seed, failure })}\n`);
}
