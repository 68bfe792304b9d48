/** The bytes of all buffers that `run` allocates. */
export function allocated(run: () => void): number {
  const original = globalThis.Uint8Array;
  let sum = 0;
  globalThis.Uint8Array = new Proxy(original, {
    construct(target, args) {
      if (typeof args[0] === "number") sum += args[0];
      return Reflect.construct(target, args);
    },
  });
  try {
    run();
  } finally {
    globalThis.Uint8Array = original;
  }
  return sum;
}
