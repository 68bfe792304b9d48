/** The limit of topic aliases for one client, whatever it allows. */
const MAX_ALIASES = 256;

/** The topic aliases of the messages to a client (MQTT 5.0, 3.3.2.3.4): the first topics get one each. */
export class Aliases {
  readonly #limit: number;
  readonly #byTopic = new Map<string, number>();
  /** Whether the client knows the alias that `of` returned last, which then stands for the topic. */
  isKnown = false;

  /** @param maximum the highest alias that the client accepts; 0 for none */
  constructor(maximum: number) {
    this.#limit = Math.min(maximum, MAX_ALIASES);
  }

  get enabled(): boolean {
    return this.#limit > 0;
  }

  /** Returns the alias of a topic; 0 for none. */
  of(topic: string): number {
    if (this.#limit === 0) return 0;
    const known = this.#byTopic.get(topic);
    this.isKnown = known !== undefined;
    if (known !== undefined) return known;
    if (this.#byTopic.size === this.#limit) return 0;
    const alias = this.#byTopic.size + 1;
    this.#byTopic.set(topic, alias);
    return alias;
  }

  /** The message with the alias of `of` was not sent: the client does not know the alias. */
  forget(topic: string): void {
    this.#byTopic.delete(topic);
  }
}
