/** The owner of operations over HTTP: it is no connection, so it has no access to exclusive queues. */
export const NOBODY: object = Object.freeze({});
