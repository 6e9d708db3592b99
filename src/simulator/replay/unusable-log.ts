/** A file that cannot be played, with the line at which that shows. */
export class UnusableLog extends Error {
  readonly line: number;

  constructor(line: number, problem: string) {
    super(problem);
    this.line = line;
  }
}
