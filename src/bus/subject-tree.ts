import { assert } from "../base/assert.js";

interface Node<T> {
  readonly children: Map<string, Node<T>>;
  readonly here: Set<T>;
  /** Of `….>`: what is below, at least one token. */
  readonly rest: Set<T>;
}

/** Finds the subscriptions that a subject matches in the time of its tokens, not of its subscribers. */
export class SubjectTree<T> {
  readonly #root: Node<T> = emptyNode();

  /** `pattern` may hold `*` (one token) and end in `>` (one or more). */
  add(pattern: string, item: T): void {
    assertPattern(pattern);
    this.#place(pattern).add(item);
  }

  remove(pattern: string, item: T): void {
    const path: { node: Node<T>; token: string }[] = [];
    let node = this.#root;
    for (const token of pattern.split(".")) {
      if (token === ">") {
        node.rest.delete(item);
        break;
      }
      path.push({ node, token });
      const child = node.children.get(token);
      if (child === undefined) return;
      node = child;
    }
    node.here.delete(item);
    for (const { node: parent, token } of path.reverse()) {
      const child = parent.children.get(token);
      if (child === undefined || child.children.size + child.here.size + child.rest.size > 0) return;
      parent.children.delete(token);
    }
  }

  /** Everything that matches a subject without wildcards, each once. */
  match(subject: string): T[] {
    const found: T[] = [];
    collect(this.#root, subject.split("."), 0, found);
    return found;
  }

  #place(pattern: string): Set<T> {
    let node = this.#root;
    for (const token of pattern.split(".")) {
      if (token === ">") return node.rest;
      let child = node.children.get(token);
      if (child === undefined) {
        child = emptyNode();
        node.children.set(token, child);
      }
      node = child;
    }
    return node.here;
  }
}

function emptyNode<T>(): Node<T> {
  return { children: new Map(), here: new Set(), rest: new Set() };
}

function collect<T>(node: Node<T>, tokens: readonly string[], at: number, found: T[]): void {
  const token = tokens[at];
  if (token === undefined) {
    for (const item of node.here) found.push(item);
    return;
  }
  for (const item of node.rest) found.push(item);
  const named = node.children.get(token);
  if (named !== undefined) collect(named, tokens, at + 1, found);
  const any = node.children.get("*");
  if (any !== undefined) collect(any, tokens, at + 1, found);
}

const subjectShape = /^[^\s.*>]+(\.[^\s.*>]+)*$/;
const patternShape = /^([^\s.*>]+|\*)(\.([^\s.*>]+|\*))*(\.>)?$|^>$/;

/** A subject that nobody could receive or that a server would refuse is a defect of the caller. */
export function assertSubject(subject: string): void {
  assert(subjectShape.test(subject), () => `${JSON.stringify(subject)} is a subject to send to`);
}

export function assertPattern(pattern: string): void {
  assert(patternShape.test(pattern), () => `${JSON.stringify(pattern)} is a subject to subscribe to`);
}
