/** A failure of the set-up that says what, where, why and what to do. */
export class SetUpFailure extends Error {
  /**
   * @param {{ what: string, where: string, why: string, toDo: string }} parts
   */
  constructor(parts) {
    super(parts.what);
    this.name = "SetUpFailure";
    this.parts = parts;
  }

  /** @returns {string} the four parts, one below the other, for a terminal */
  format() {
    const { what, where, why, toDo } = this.parts;
    return `\n  ✗ ${what}\n    where  ${where}\n    why    ${why}\n    to do  ${toDo}\n`;
  }
}
