/** The columns that a table of queues can be sorted by. */
export const SORT_COLUMNS = ["name", "ready", "unacked", "in", "out", "acks", "consumers", "memory"] as const;

export type SortColumn = typeof SORT_COLUMNS[number];
