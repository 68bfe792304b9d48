/** The options of a broker's core whose files the tests look at. */
export const CORE_OPTIONS = {
  sync: "flush",
  syncInterval: undefined,
  memoryLimit: 2 ** 24,
  bodyLimit: 2 ** 24,
  guest: true,
} as const;
