/** The JSON of `facts` with a `context`; one that would make it longer than `bytesMax` is left out and `contextBytes` says how long it is. */
export function boundedJson(facts: object, context: object | undefined, bytesMax: number): string {
  if (context === undefined) return JSON.stringify(facts);
  const whole = JSON.stringify({ ...facts, context });
  if (Buffer.byteLength(whole) <= bytesMax) return whole;
  return JSON.stringify({ ...facts, contextBytes: Buffer.byteLength(JSON.stringify(context)) });
}
