/** Who uses queues over HTTP: no connection, so exclusive ones are out of reach. */
export const NOBODY: object = Object.freeze({});
