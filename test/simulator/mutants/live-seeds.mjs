// Lives lives with the build in the folder that is named first; prints what each came to, a line a life.
const [folder, instancesMax, ...seeds] = process.argv.slice(2);
const { drawPlan } = await import(`${folder}/src/simulator/chaos/draw-plan.js`);
const { live } = await import(`${folder}/src/simulator/chaos/life.js`);
for (const seed of seeds) {
  const { failure } = await live(drawPlan(seed, { instancesMax: Number(instancesMax) }));
  process.stdout.write(`${JSON.stringify({ seed, failure })}\n`);
}
