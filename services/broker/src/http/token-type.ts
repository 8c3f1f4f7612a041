import { keyBindingOf, type Task } from "@mayfly/spec";

/** How a task token is sent; one bound to a certificate as a bearer's (RFC 8705 section 3). */
export const tokenTypeOf = ({ confirmation }: Pick<Task, "confirmation">): "Bearer" | "DPoP" =>
  keyBindingOf(confirmation) === "dpop" ? "DPoP" : "Bearer";
