/** A name that a stranger chose is repeated only if it is short and harmless to print. */
export const shownName = (name: string): string =>
  /^[A-Za-z0-9_.-]{1,64}$/.test(name) ? name : "(unprintable)";
