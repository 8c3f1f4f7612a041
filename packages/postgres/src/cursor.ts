import { InvalidInput, type PageRequest } from "@mayfly/spec";

export const PAGE_MAX = 1000;

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Opaque to callers: the kind of list, so that one list's cursor is refused by another, and the
 * id.
 */
export const encodeCursor = (list: string, id: string): string =>
  Buffer.from(`${list} ${id}`, "utf8").toString("base64url");

/** The id after which the page begins, and how many rows to read: one more than is shown. */
export function parsePage(list: string, page: PageRequest): { after: string | null; read: number } {
  if (!Number.isInteger(page.limit) || page.limit < 1 || page.limit > PAGE_MAX) {
    throw new InvalidInput(`limit: expected 1 to ${PAGE_MAX}`, { where: "limit" });
  }
  if (page.after === null) return { after: null, read: page.limit + 1 };
  const text = Buffer.from(page.after, "base64url").toString("utf8");
  const [kind, id = "", ...rest] = text.split(" ");
  if (kind !== list || rest.length > 0 || !UUID.test(id)) {
    throw new InvalidInput("after: expected the `next` of the page before", { where: "after" });
  }
  return { after: id, read: page.limit + 1 };
}
