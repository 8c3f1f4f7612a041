/** The system's error code, such as ENOENT. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error) || !("code" in error)) return "unknown";
  return typeof error.code === "string" ? error.code : "unknown";
}
