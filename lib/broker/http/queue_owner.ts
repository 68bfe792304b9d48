/**
 * The owner of queues for operations over HTTP. It is different from every client's connection, so the API has no access
 * to exclusive queues.
 */
export const HTTP_QUEUE_OWNER: object = Object.freeze({});
