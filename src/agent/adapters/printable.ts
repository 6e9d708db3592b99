const escapeCharacter = String.fromCharCode(27);
const bell = String.fromCharCode(7);

/** What terminals take as commands: colours, cursor movements, window titles. */
const terminalCommand = new RegExp(
  `${escapeCharacter}(?:\\[[0-9;?]*[ -/]*[@-~]|\\][^${bell}${escapeCharacter}]*(?:${bell}|${escapeCharacter}\\\\)?|[@-Z\\\\-_])`,
  "g",
);
const controlCharacter = /(?![\t\n])\p{Cc}/gu;

/** What a program or an archive said, safe to show: without colours and control characters but tab and line feed. */
export function printable(text: string): string {
  return text.replace(terminalCommand, "").replace(/\r\n?/g, "\n").replace(controlCharacter, "");
}

/** The same as one line of at most `max` characters, for names and notes. */
export function oneLine(text: string, max = 200): string {
  const line = printable(text).replace(/\s+/g, " ").trim();
  return line.length <= max ? line : `${line.slice(0, max - 1)}…`;
}
