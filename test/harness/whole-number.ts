const DECIMAL = /^[1-9][0-9]{0,15}$/;

/**
 * The whole number that an option of a command says, in decimal digits and nothing else: `0x10` or
 * `1e3` would be a run of another size than whoever typed it meant. Throws what the option expects.
 */
export function wholeNumber(option: string, text: unknown, max?: number): number {
  const value = typeof text === "string" && DECIMAL.test(text) ? Number(text) : Number.NaN;
  if (value <= (max ?? Number.MAX_SAFE_INTEGER)) return value;
  const upTo = max === undefined ? "from 1 on" : `from 1 to ${max}`;
  throw new Error(`--${option}: expected a whole number ${upTo}, in decimal digits`);
}
