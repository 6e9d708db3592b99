/** A unit file as systemd reads it: the values of each key of a section, in their order. */
export type Unit = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

/** @throws Error on a line that systemd would complain of */
export function parseUnit(text: string): Unit {
  const unit: Record<string, Record<string, string[]>> = {};
  let section: Record<string, string[]> | undefined;
  for (const line of text.split("\n").map((one) => one.trim())) {
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const title = /^\[([A-Za-z]+)\]$/.exec(line)?.[1];
    if (title !== undefined) {
      section = unit[title] ??= {};
      continue;
    }
    const [, key, value = ""] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? [];
    if (key === undefined || section === undefined) throw new Error(`no line of a unit file: ${line}`);
    section[key] ??= [];
    section[key].push(value);
  }
  return unit;
}

/** The last value of a key of `[Service]`, which is the one that counts. */
export function setting(unit: Unit, key: string): string | undefined {
  return unit.Service?.[key]?.at(-1);
}

/** What `NAME=value` lines of an environment file, or of `Environment=`, set. Without quotes: ours have none. */
export function variablesIn(lines: readonly string[]): Record<string, string> {
  const pairs = lines
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)] as const);
  return Object.fromEntries(pairs);
}

/** The words of `ExecStart=`: a bare `$NAME` becomes as many words as its value has, as with systemd. */
export function wordsOf(command: string, environment: Readonly<Record<string, string>>): string[] {
  return command.split(/\s+/).flatMap((word) => {
    const name = /^\$([A-Z_]+)$/.exec(word)?.[1];
    if (name === undefined) return [word];
    return (environment[name] ?? "").split(/\s+/).filter((part) => part !== "");
  });
}
