import type { Command } from "../../contracts/release.js";

/** What may not follow `exec`: the shell's own words, and commands that only a shell has. */
const shellWords = new Set(
  ". : alias bg break case cd command continue do done elif else esac eval exec exit export fg fi for function getopts hash if in jobs local read readonly return set shift source then time times trap type ulimit umask unalias unset until wait while".split(
    " ",
  ),
);
const firstWord = /^\s*([A-Za-z0-9_./+-]+)(?:\s|$)/;
const severalCommands = /[;&|\n()`]/;

/**
 * The program and arguments of a command. A string is run by `sh -c`, and where it is a single command the shell gives its
 * place to it (`exec`), so that the process id is the service's own and signals reach it. A string of several
 * commands (`a && b`) keeps the shell as the parent; write `a && exec b` to be rid of it.
 */
export function argumentsOf(
  command: Command | readonly string[],
): readonly [program: string, ...args: string[]] {
  if (typeof command !== "string") {
    const [program = "", ...args] = command;
    return [program, ...args];
  }
  const word = firstWord.exec(command)?.[1];
  const isSingle = word !== undefined && !shellWords.has(word) && !severalCommands.test(command);
  return ["sh", "-c", isSingle ? `exec ${command}` : command];
}
