/** RFC 9110 section 10.2.3, of its two forms the one in seconds; 1 to 3,600, without one 1. */
export function retryAfterSeconds(text: string | undefined): number {
  const seconds = Number(text);
  return Number.isInteger(seconds) && seconds > 0 ? Math.min(seconds, 3_600) : 1;
}
