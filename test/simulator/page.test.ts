import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { runHere } from "../cli/run-here.js";
import { makeTempDir } from "../kit/temp-dir.js";

const folder = makeTempDir();
const path = join(folder, "rehearsal.html");
const args = [
  "simulate",
  ...["--instances", "20", "--batch", "3", "--update-time", "lognormal(20s,8s)", "--failure-rate", "5%"],
  ...["--runs", "4", "--compare", "batch=10", "--seed", "a&b<c>", "--html", path],
];

const browsers = [process.env.CHROMIUM_BIN, "/usr/bin/chromium", "/usr/bin/chromium-browser"];
const browser = browsers.find((candidate) => candidate !== undefined && existsSync(candidate));

/** What a page has come to, once a browser has read it; its console on the way. */
async function read(program: string, url: string): Promise<string> {
  const { stdout } = await promisify(execFile)(
    program,
    [
      ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
      ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
      ...[`--user-data-dir=${join(folder, "profile")}`, "--dump-dom", url],
    ],
    { maxBuffer: 50_000_000, timeout: 50_000 },
  );
  return stdout;
}

describe("the page of a rehearsal", () => {
  test("holds the figures and the plots, asks for nothing from anywhere, and is the same for the same seed", async () => {
    expect((await runHere(args)).code).toBe(0);
    const page = readFileSync(path, "utf8");
    expect(page.match(/<svg /g)).toHaveLength(4);
    expect(page).toContain("batch 10, threshold 1");
    expect(page).not.toMatch(/https?:|<script|<link|url\(|@import/);
    // What people write is text in it.
    expect(page).toContain("a&#38;b&#60;c&#62;");
    await runHere(args);
    expect(readFileSync(path, "utf8")).toBe(page);
  });

  test("a browser draws it", async () => {
    if (browser === undefined) {
      process.stdout.write(
        "no Chromium here: the page of a rehearsal was not opened (CHROMIUM_BIN names one)\n",
      );
      return;
    }
    const dom = await read(browser, `file://${path}`);
    expect(dom).toContain("<h1>Rehearsal of a roll-out to 20 instances</h1>");
    expect(dom.match(/<path class="line s\d"/g)?.length).toBeGreaterThanOrEqual(3);
    expect(dom.match(/<rect class="(inFlight|done|failed|back)"/g)?.length).toBeGreaterThan(20);
    expect(dom).not.toContain("NaN");
  });

  test("a folder that is not there is said by name", async () => {
    const { code, stderr } = await runHere([...args, "--html", join(folder, "none", "p.html")]);
    expect(code).toBe(2);
    expect(stderr).toContain("cannot be written: ENOENT");
  });
});
