/** What happens to a delivered message when the client settles it. */
export const ACK = 0;
export const REQUEUE = 1;
export const REJECT = 2;
export type Outcome = typeof ACK | typeof REQUEUE | typeof REJECT;
