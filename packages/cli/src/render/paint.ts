import { createColors } from "picocolors";

/** Colours, or the same functions that add nothing. */
export type Paint = ReturnType<typeof createColors>;
export const createPaint = (colour: boolean): Paint => createColors(colour);
