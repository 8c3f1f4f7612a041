/** All in seconds. */
export interface TaskTokensSettings {
  /** Longest life of a token, what its verifiers add to it included. */
  readonly tokenSecondsMax: number;
  /** How long a key signs before the next one does. */
  readonly keySignsSeconds: number;
  /** How long before it signs a key is published: longer than verifiers cache the key set. */
  readonly publishAheadSeconds: number;
  /** Most that two brokers' clocks differ. */
  readonly skewSeconds: number;
}

export const defaultTaskTokensSettings: TaskTokensSettings = {
  tokenSecondsMax: 600,
  keySignsSeconds: 30 * 86_400,
  publishAheadSeconds: 3600,
  skewSeconds: 60,
};
