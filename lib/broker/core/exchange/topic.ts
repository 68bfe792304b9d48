import type { Matcher, MessageHeaders, Route } from "./contract.ts";

/** One word of a pattern, behind the words that lead to it. */
class TrieNode<Destination> {
  readonly parent: TrieNode<Destination> | undefined;
  readonly word: string;
  readonly words: Map<string, TrieNode<Destination>> = new Map();
  /** Behind `*`, and behind `#`. */
  one: TrieNode<Destination> | undefined;
  any: TrieNode<Destination> | undefined;
  /** The bindings whose pattern ends here. */
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
 * Type `topic`: the binding's key is a pattern of words between dots, where `*` stands for one word and `#` for any
 * number of them (AMQP 0-9-1, 3.1.3.3). All patterns are one trie, and a key is followed through it word by word, in
 * all places at once: its cost is bounded by words times nodes, whatever the patterns.
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
    let places = new Set<TrieNode<Destination>>();
    let next = new Set<TrieNode<Destination>>();
    enter(this.#root, places);
    for (const word of wordsOf(routingKey)) {
      for (const node of places) {
        // `#` takes this word, too.
        if (node.word === "#") enter(node, next);
        enter(node.one, next);
        enter(node.words.get(word), next);
      }
      [places, next] = [next, places];
      next.clear();
    }
    for (const { routes } of places) for (const { destination } of routes) into.push(destination);
  }
}

/** Being at a node is being behind a `#` that follows it, too: it stands for no word. */
function enter<Destination>(
  node: TrieNode<Destination> | undefined,
  places: Set<TrieNode<Destination>>,
): void {
  for (let at = node; at !== undefined && !places.has(at); at = at.any) places.add(at);
}

/** An empty key has no words, in patterns and in messages: `#` matches it, and `*` does not. */
function wordsOf(key: string): string[] {
  return key === "" ? [] : key.split(".");
}
