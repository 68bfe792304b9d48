/** A refused request of the page, in the format of RabbitMQ's HTTP API. */
export class PageError extends Error {
  readonly status: number;
  readonly kind: string;

  constructor(status: number, kind: string, reason: string) {
    super(reason);
    this.status = status;
    this.kind = kind;
  }
}
