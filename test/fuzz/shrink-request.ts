import type { FuzzRequest } from "./fuzz-request.ts";

/** The smallest request found that still does it, by leaving things out. */
export async function shrinkRequest(
  request: FuzzRequest,
  stillFails: (smaller: FuzzRequest) => Promise<boolean>,
): Promise<FuzzRequest> {
  let smallest = request;
  for (let tries = 0, isSmaller = true; isSmaller && tries < TRIES_MAX;) {
    isSmaller = false;
    for (const candidate of candidates(smallest)) {
      if (++tries > TRIES_MAX) break;
      if (!(await stillFails(candidate))) continue;
      smallest = candidate;
      isSmaller = true;
      break;
    }
  }
  return smallest;
}

const TRIES_MAX = 150;

function* candidates(request: FuzzRequest): Generator<FuzzRequest> {
  const { spoiled, wire, ...rest } = request;
  if (spoiled !== undefined) yield wire === undefined ? rest : { ...rest, wire };
  if (wire !== undefined) yield spoiled === undefined ? rest : { ...rest, spoiled };
  for (const index of request.headers.keys()) {
    yield { ...request, headers: request.headers.filter((_, n) => n !== index) };
  }
  const { body } = request;
  if (body !== null && body !== "") {
    yield { ...request, body: "" };
    for (const shorter of cuts(body)) yield { ...request, body: shorter };
  }
  const [path = "", query] = request.path.split("?", 2);
  if (query !== undefined) {
    yield { ...request, path };
    for (const shorter of cuts(query)) yield { ...request, path: `${path}?${shorter}` };
  }
}

/** The text without a half, a quarter, and so on down to one character of it. */
function* cuts(text: string): Generator<string> {
  for (let size = Math.ceil(text.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < text.length; at += size) {
      yield text.slice(0, at) + text.slice(at + size);
    }
  }
}
