import type { Matcher, MessageHeaders, Route } from "./contract.ts";

/** A node of the trie: one word of a pattern, after the words of its ancestors. */
class TrieNode<Destination> {
  readonly parent: TrieNode<Destination> | undefined;
  readonly word: string;
  readonly words: Map<string, TrieNode<Destination>> = new Map();
  /** The child for `*`, and the child for `#`. */
  one: TrieNode<Destination> | undefined;
  any: TrieNode<Destination> | undefined;
  /** The bindings whose pattern ends at this node. */
  readonly routes: Set<Route<Destination>> = new Set();

  constructor(word: string, parent?: TrieNode<Destination>) {
    this.word = word;
    this.parent = parent;
  }

  get isEmpty(): boolean {
    return this.routes.size === 0 && this.words.size === 0 && this.one === undefined &&
      this.any === undefined;
  }
}

/**
 * The exchange type `topic`: the binding's key is a pattern of words between dots, where `*` stands for one word and
 * `#` for any number of words (AMQP 0-9-1, 3.1.3.3). All patterns are stored in one trie. A key is matched word by word
 * against all possible nodes at once, so the cost is at most words times nodes.
 */
export class TopicMatcher<Destination> implements Matcher<Destination> {
  readonly byKeyOnly = true;
  readonly #root = new TrieNode<Destination>("");

  add(route: Route<Destination>): void {
    let node = this.#root;
    for (const word of wordsOf(route.routingKey)) {
      if (word === "*") node = node.one ??= new TrieNode(word, node);
      else if (word === "#") node = node.any ??= new TrieNode(word, node);
      else {
        let next = node.words.get(word);
        if (next === undefined) node.words.set(word, next = new TrieNode(word, node));
        node = next;
      }
    }
    node.routes.add(route);
  }

  remove(route: Route<Destination>): void {
    let node: TrieNode<Destination> | undefined = this.#root;
    for (const word of wordsOf(route.routingKey)) {
      node = word === "*" ? node.one : word === "#" ? node.any : node.words.get(word);
      if (node === undefined) return;
    }
    node.routes.delete(route);
    while (node.isEmpty && node.parent !== undefined) {
      const { parent, word }: TrieNode<Destination> = node;
      if (word === "*") parent.one = undefined;
      else if (word === "#") parent.any = undefined;
      else parent.words.delete(word);
      node = parent;
    }
  }

  match(routingKey: string, _headers: MessageHeaders, into: Destination[]): void {
    let nodes = new Set<TrieNode<Destination>>();
    let next = new Set<TrieNode<Destination>>();
    enter(this.#root, nodes);
    for (const word of wordsOf(routingKey)) {
      for (const node of nodes) {
        // `#` also matches this word.
        if (node.word === "#") enter(node, next);
        enter(node.one, next);
        enter(node.words.get(word), next);
      }
      [nodes, next] = [next, nodes];
      next.clear();
    }
    for (const { routes } of nodes) for (const { destination } of routes) into.push(destination);
  }
}

/** Adds a node and the `#` nodes that follow it, because `#` also matches no word. */
function enter<Destination>(
  node: TrieNode<Destination> | undefined,
  nodes: Set<TrieNode<Destination>>,
): void {
  for (let at = node; at !== undefined && !nodes.has(at); at = at.any) nodes.add(at);
}

/** Splits a key into words. An empty key has no words, in patterns and in messages: `#` matches it, `*` does not. */
function wordsOf(key: string): string[] {
  return key === "" ? [] : key.split(".");
}
