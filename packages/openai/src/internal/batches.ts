/**
 * Texts in batches.
 */

/** Splits texts into batches in order; each has at least one. */
export const batches = (
  inputs: ReadonlyArray<string>,
  maxSize: number,
  maxBytes: number
): ReadonlyArray<ReadonlyArray<string>> => {
  const all: Array<Array<string>> = []
  let batch: Array<string> = []
  let bytes = 0
  for (const input of inputs) {
    const size = Buffer.byteLength(input)
    if (batch.length > 0 && (batch.length >= maxSize || bytes + size > maxBytes)) {
      all.push(batch)
      batch = []
      bytes = 0
    }
    batch.push(input)
    bytes += size
  }
  return batch.length === 0 ? all : [...all, batch]
}
