// The agent of `killed.faults.test.ts`: applies a release, and hangs where it is told to until it is killed.
import { applyRelease, artifactRelease, releaseFiles, testObjects, workOn } from "./kit.js";

const [dataDir = "", where = ""] = process.argv.slice(2);
const objects = testObjects();
const files = Object.fromEntries(
  Array.from({ length: where === "copy" ? 3_000 : 3 }, (_, index) => [`f${index}`, `${index}`]),
);
const command =
  where === "build"
    ? `trap "" TERM; env -i sh -c 'echo $$ > "$0/bare-pid"; sleep 300; true' "$OUT" &
       until test -s "$OUT/bare-pid"; do sleep 0.01; done
       echo $$ > "$OUT/build-pid"; echo hanging > made; sleep 300; true`
    : "cp f1 made";
const release = artifactRelease(objects, "v2", files, {
  routes: [{ path: "/v2" }],
  build: { command, timeoutMs: 600_000 },
  env: { OUT: dataDir },
});
if (where === "pull") {
  objects.chunkBytes = 100;
  let chunks = 0;
  objects.beforeChunk = async () => {
    if (++chunks < 2) return;
    process.stdout.write("pull\n");
    await new Promise((resolve) => setTimeout(resolve, 300_000));
  };
}
const reloadCommand = where === "activate" ? "echo $$ > reload-pid; sleep 300; true" : "true";
await applyRelease(releaseFiles(dataDir, objects, { reloadCommand }), workOn("i1", release), 8_002);
