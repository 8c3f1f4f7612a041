/** Counts requests; told only what comes from fixed sets, never a path or a header. */
export interface RequestMeter {
  /** A request began; the answer's function is called once, when there is an answer. */
  began(): (answered: {
    readonly method: string;
    readonly route: string;
    readonly status: number;
    readonly seconds: number;
  }) => void;
}

export const unmetered: RequestMeter = { began: () => () => undefined };

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
/** A method is a stranger's text too. */
export const knownMethod = (method: string): string => (METHODS.has(method) ? method : "other");
