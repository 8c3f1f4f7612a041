import type { Paint } from "./paint.ts";

export interface Column<Row> {
  readonly title: string;
  cell(row: Row): string;
  /** Colours the padded cell; emphasis, never the only carrier of a fact. */
  readonly colour?: (text: string, row: Row) => string;
}

/** Rows below their titles, in columns as wide as their longest cell. Ends with a line break. */
export function table<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  paint: Paint,
): string {
  const cells = rows.map((row) => columns.map((column) => column.cell(row)));
  const widths = columns.map((column, at) =>
    Math.max(column.title.length, ...cells.map((line) => line[at]?.length ?? 0)),
  );
  const pad = (text: string, at: number): string =>
    at === columns.length - 1 ? text : text.padEnd((widths[at] ?? 0) + 2);
  const title = columns.map((column, at) => paint.dim(pad(column.title, at))).join("");
  const lines = rows.map((row, line) =>
    columns
      .map((column, at) => {
        const padded = pad(cells[line]?.[at] ?? "", at);
        return column.colour?.(padded, row) ?? padded;
      })
      .join(""),
  );
  return [title, ...lines].map((line) => `${line.trimEnd()}\n`).join("");
}
