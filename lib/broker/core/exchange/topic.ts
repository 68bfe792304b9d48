import type { Matcher, MessageHeaders, Way } from "./contract.ts";

/** One word of a pattern, behind the words that lead to it. */
class Node<Destination> {
  readonly parent: Node<Destination> | undefined;
  readonly word: string;
  readonly words: Map<string, Node<Destination>> = new Map();
  /** Behind `*`, and behind `#`. */
  one: Node<Destination> | undefined;
  any: Node<Destination> | undefined;
  /** The bindings whose pattern ends here. */
  readonly ways: Set<Way<Destination>> = new Set();

  constructor(word: string, parent?: Node<Destination>) {
    this.word = word;
    this.parent = parent;
  }

  get isEmpty(): boolean {
    return this.ways.size === 0 && this.words.size === 0 && this.one === undefined && this.any === undefined;
  }
}

/**
 * Type `topic`: the binding's key is a pattern of words between dots, where `*` stands for one word and `#` for any
 * number of them (AMQP 0-9-1, 3.1.3.3). All patterns are one trie, and a key is followed through it word by word, in
 * all places at once: its cost is bounded by words times nodes, whatever the patterns.
 */
export class TopicMatcher<Destination> implements Matcher<Destination> {
  readonly byKeyOnly = true;
  readonly #root = new Node<Destination>("");

  add(way: Way<Destination>): void {
    let node = this.#root;
    for (const word of wordsOf(way.routingKey)) {
      if (word === "*") node = node.one ??= new Node(word, node);
      else if (word === "#") node = node.any ??= new Node(word, node);
      else {
        let next = node.words.get(word);
        if (next === undefined) node.words.set(word, next = new Node(word, node));
        node = next;
      }
    }
    node.ways.add(way);
  }

  remove(way: Way<Destination>): void {
    let node: Node<Destination> | undefined = this.#root;
    for (const word of wordsOf(way.routingKey)) {
      node = word === "*" ? node.one : word === "#" ? node.any : node.words.get(word);
      if (node === undefined) return;
    }
    node.ways.delete(way);
    while (node.isEmpty && node.parent !== undefined) {
      const { parent, word }: Node<Destination> = node;
      if (word === "*") parent.one = undefined;
      else if (word === "#") parent.any = undefined;
      else parent.words.delete(word);
      node = parent;
    }
  }

  match(routingKey: string, _headers: MessageHeaders, into: Destination[]): void {
    let places = new Set<Node<Destination>>();
    let next = new Set<Node<Destination>>();
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
    for (const { ways } of places) for (const { destination } of ways) into.push(destination);
  }
}

/** Being at a node is being behind a `#` that follows it, too: it stands for no word. */
function enter<Destination>(node: Node<Destination> | undefined, places: Set<Node<Destination>>): void {
  for (let at = node; at !== undefined && !places.has(at); at = at.any) places.add(at);
}

/** An empty key has no words, in patterns and in messages: `#` matches it, and `*` does not. */
function wordsOf(key: string): string[] {
  return key === "" ? [] : key.split(".");
}
