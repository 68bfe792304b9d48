interface TreeNode<T> {
  /** The bytes between the parent and this node. */
  label: Uint8Array;
  parent: TreeNode<T> | undefined;
  /** By the first byte of the label. */
  children: Map<number, TreeNode<T>> | undefined;
  values: T[] | undefined;
}

/**
 * A compressed prefix tree. It finds every topic that a message begins with in one pass over the first bytes of the
 * message. A node holds several bytes, so a long topic needs few nodes.
 */
export class TopicTree<T> {
  readonly #root: TreeNode<T> = {
    label: new Uint8Array(0),
    parent: undefined,
    children: undefined,
    values: undefined,
  };

  /**
   * Adds a pair that the tree does not have. The bytes of `topic` are kept: do not change them.
   *
   * @returns the number of values of the topic
   */
  add(topic: Uint8Array, value: T): number {
    let node = this.#root;
    let at = 0;
    while (at < topic.length) {
      const child = node.children?.get(topic[at]!);
      if (child === undefined) {
        node = attach(node, topic.subarray(at));
        break;
      }
      const common = commonLength(child.label, topic, at);
      node = common < child.label.length ? split(child, common) : child;
      at += common;
    }
    node.values ??= [];
    return node.values.push(value);
  }

  /** Removes a pair. @returns the number of values left for the topic; -1 if the tree does not have the pair */
  remove(topic: Uint8Array, value: T): number {
    let node = this.#root;
    for (let at = 0; at < topic.length; at += node.label.length) {
      const child = node.children?.get(topic[at]!);
      if (child === undefined || commonLength(child.label, topic, at) < child.label.length) return -1;
      node = child;
    }
    const index = node.values?.indexOf(value) ?? -1;
    if (index < 0) return -1;
    const values = node.values!;
    values.splice(index, 1);
    // Remove the nodes that have become empty.
    while (node.parent !== undefined && !node.values?.length && !node.children?.size) {
      node.parent.children!.delete(node.label[0]!);
      node = node.parent;
    }
    return values.length;
  }

  /**
   * Calls `visit` for every value whose topic is a prefix of `bytes[start, end)`, once for each of its topics.
   *
   * @param visit called with the value and the number of bytes that follow the topic
   */
  match(bytes: Uint8Array, start: number, end: number, visit: (value: T, rest: number) => void): void {
    let node = this.#root;
    for (;;) {
      const { values } = node;
      if (values !== undefined) { for (let i = 0; i < values.length; i++) visit(values[i]!, end - start); }
      if (start === end) return;
      const child = node.children?.get(bytes[start]!);
      if (child === undefined) return;
      const { label } = child;
      if (label.length > end - start) return;
      for (let i = 1; i < label.length; i++) if (label[i] !== bytes[start + i]) return;
      start += label.length;
      node = child;
    }
  }

  /** Calls `visit` for every value whose topic begins with `prefix`. */
  under(prefix: Uint8Array, visit: (value: T) => void): void {
    let top = this.#root;
    for (let at = 0; at < prefix.length;) {
      const child = top.children?.get(prefix[at]!);
      if (child === undefined) return;
      const common = commonLength(child.label, prefix, at);
      at += common;
      if (common < child.label.length && at < prefix.length) return;
      top = child;
    }
    // An explicit stack: a tree may be as deep as a topic is long.
    const nodes = [top];
    for (let node = nodes.pop(); node !== undefined; node = nodes.pop()) {
      for (const value of node.values ?? []) visit(value);
      for (const child of node.children?.values() ?? []) nodes.push(child);
    }
  }
}

function attach<T>(parent: TreeNode<T>, label: Uint8Array): TreeNode<T> {
  const node: TreeNode<T> = { label, parent, children: undefined, values: undefined };
  parent.children ??= new Map();
  parent.children.set(label[0]!, node);
  return node;
}

/** Inserts a node above `child`, after `at` bytes of its label, and returns it. */
function split<T>(child: TreeNode<T>, at: number): TreeNode<T> {
  const upper = attach(child.parent!, child.label.subarray(0, at));
  child.label = child.label.subarray(at);
  child.parent = upper;
  upper.children = new Map([[child.label[0]!, child]]);
  return upper;
}

/** The length of the common prefix of `label` and of `topic` from `at` on. */
function commonLength(label: Uint8Array, topic: Uint8Array, at: number): number {
  const most = Math.min(label.length, topic.length - at);
  let length = 0;
  while (length < most && label[length] === topic[at + length]) length++;
  return length;
}
