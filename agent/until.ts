// A wait that ends when the install does.

/** `promise`, or the signal's reason when that comes first. */
export async function until(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const end = () => reject(signal.reason);
  if (signal.aborted) end();
  signal.addEventListener('abort', end);
  try {
    await Promise.race([promise, ended]);
  } finally {
    signal.removeEventListener('abort', end);
  }
}
