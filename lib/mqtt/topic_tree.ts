/** A node of a tree of topics or filters: one level, after the levels of its ancestors. */
class Node<T> {
  readonly parent: Node<T> | undefined;
  readonly level: string;
  children: Map<string, Node<T>> | undefined;
  value: T | undefined;

  constructor(level: string, parent?: Node<T>) {
    this.level = level;
    this.parent = parent;
  }
}

/**
 * Values by topic filter or by topic name, in a tree with one node for each level. A search visits only nodes that match,
 * so its cost does not depend on the number of other entries.
 */
export class TopicTree<T> {
  /** The number of entries. */
  size = 0;
  readonly #root = new Node<T>("");

  get(key: string): T | undefined {
    return this.#find(key)?.value;
  }

  /** Adds or replaces the value of a key. @returns the earlier value */
  set(key: string, value: T): T | undefined {
    let node = this.#root;
    for (const level of key.split("/")) {
      let next = node.children?.get(level);
      if (next === undefined) (node.children ??= new Map()).set(level, next = new Node<T>(level, node));
      node = next;
    }
    const earlier = node.value;
    if (earlier === undefined) this.size++;
    node.value = value;
    return earlier;
  }

  /** Removes a key. @returns its value */
  delete(key: string): T | undefined {
    let node = this.#find(key);
    const earlier = node?.value;
    if (node === undefined || earlier === undefined) return undefined;
    this.size--;
    node.value = undefined;
    while (node.value === undefined && node.children === undefined && node.parent !== undefined) {
      const { parent, level }: Node<T> = node;
      parent.children!.delete(level);
      if (parent.children!.size === 0) parent.children = undefined;
      node = parent;
    }
    return earlier;
  }

  /** Calls `visit` with the value of each filter that matches a topic name. */
  matchTopic(topic: string, visit: (value: T) => void): void {
    const levels = topic.split("/");
    const walk = (node: Node<T>, depth: number): void => {
      const { children } = node;
      if (depth === levels.length && node.value !== undefined) visit(node.value);
      if (children === undefined) return;
      // [MQTT-4.7.2-1]
      const wild = depth > 0 || !topic.startsWith("$");
      const rest = wild ? children.get("#") : undefined;
      if (rest?.value !== undefined) visit(rest.value);
      if (depth === levels.length) return;
      const level = levels[depth]!;
      const same = children.get(level);
      if (same !== undefined) walk(same, depth + 1);
      const any = wild ? children.get("+") : undefined;
      if (any !== undefined) walk(any, depth + 1);
    };
    walk(this.#root, 0);
  }

  /** Calls `visit` with the value of each topic name that a filter matches. */
  matchFilter(filter: string, visit: (value: T) => void): void {
    const levels = filter.split("/");
    const all = (node: Node<T>): void => {
      if (node.value !== undefined) visit(node.value);
      if (node.children !== undefined) { for (const child of node.children.values()) all(child); }
    };
    const walk = (node: Node<T>, depth: number): void => {
      if (depth === levels.length) {
        if (node.value !== undefined) visit(node.value);
        return;
      }
      const level = levels[depth]!;
      const { children } = node;
      if (level === "#") {
        if (depth > 0) return all(node);
        if (children !== undefined) {
          for (const child of children.values()) if (isOrdinary(child)) all(child);
        }
      } else if (level === "+") {
        if (children === undefined) return;
        for (const child of children.values()) if (depth > 0 || isOrdinary(child)) walk(child, depth + 1);
      } else {
        const next = children?.get(level);
        if (next !== undefined) walk(next, depth + 1);
      }
    };
    walk(this.#root, 0);
  }

  /** Calls `visit` with each value. */
  forEach(visit: (value: T) => void): void {
    const walk = (node: Node<T>): void => {
      if (node.value !== undefined) visit(node.value);
      if (node.children !== undefined) { for (const child of node.children.values()) walk(child); }
    };
    walk(this.#root);
  }

  #find(key: string): Node<T> | undefined {
    let node: Node<T> | undefined = this.#root;
    for (const level of key.split("/")) {
      node = node.children?.get(level);
      if (node === undefined) return undefined;
    }
    return node;
  }
}

/** Whether wildcards in the first level match this first level [MQTT-4.7.2-1]. */
function isOrdinary(node: { readonly level: string }): boolean {
  return !node.level.startsWith("$");
}
