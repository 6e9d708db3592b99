import { open } from "node:fs/promises";
import { messageOf } from "../../base/errors.js";
import { usageError } from "../usage-error.js";

/** A JSON array is read whole; more has to come a row a line. */
const arrayBytesMax = 256 * 1_024 * 1_024;
const rowsMax = 1_000_000;

/** A row of a file: what it says, or why that cannot be read. */
export type LegacyRow = { readonly content: unknown } | { readonly problem: string };

/**
 * The rows of a file, a JSON array or JSON a line, one after the other.
 *
 * @param onProgress how much of the file was read, in bytes
 * @throws RollcallError if the file cannot be read, or holds more than a million rows
 */
export async function* legacyRows(
  path: string,
  onProgress: (done: number, all: number) => void,
): AsyncGenerator<LegacyRow> {
  const file = await openFile(path);
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw usageError(`${path} cannot be read: it is no file.`);
    const { size } = stat;
    const rows = (await beginsArray(file)) ? arrayIn(path, file, size) : linesIn(file, size, onProgress);
    let count = 0;
    for await (const row of rows) {
      if (++count > rowsMax) throw usageError(`${path} holds more than ${rowsMax} rows: divide it.`);
      yield row;
    }
  } finally {
    await file.close();
  }
}

type File = Awaited<ReturnType<typeof open>>;

async function openFile(path: string): Promise<File> {
  try {
    return await open(path);
  } catch (thrown) {
    throw usageError(`${path} cannot be read: ${messageOf(thrown)}.`);
  }
}

async function beginsArray(file: File): Promise<boolean> {
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(1_024), position: 0 });
  return buffer.toString("utf8", 0, bytesRead).trimStart().startsWith("[");
}

async function* arrayIn(path: string, file: File, size: number): AsyncGenerator<LegacyRow> {
  if (size > arrayBytesMax)
    throw usageError(`${path} is too large for one JSON array: write a row a line (NDJSON).`);
  const read = contentOf(await file.readFile("utf8"));
  if ("problem" in read) throw usageError(`${path} cannot be read: ${read.problem}.`);
  for (const content of read.content as unknown[]) yield { content };
}

async function* linesIn(
  file: File,
  size: number,
  onProgress: (done: number, all: number) => void,
): AsyncGenerator<LegacyRow> {
  let done = 0;
  for await (const line of file.readLines({ start: 0, autoClose: false })) {
    done += Buffer.byteLength(line) + 1;
    onProgress(Math.min(done, size), size);
    if (line.trim() !== "") yield contentOf(line);
  }
}

function contentOf(text: string): LegacyRow {
  try {
    // Other programs begin a file with a byte order mark, which counts as a blank.
    return { content: JSON.parse(text.trim()) };
  } catch (thrown) {
    return { problem: `it is no JSON: ${messageOf(thrown)}` };
  }
}
