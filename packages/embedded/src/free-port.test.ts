import { once } from "node:events";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { freePort } from "./free-port.ts";

test("a free port can be listened on, and no outgoing connection is given it", async () => {
  for (let n = 0; n < 5; n++) {
    const port = await freePort();
    const server = createServer().listen(port, "127.0.0.1");
    await once(server, "listening");
    expect(server.address()).toMatchObject({ port });
    server.close();
    // Where the system takes those from, unless it was told otherwise (RFC 6335; Linux: 32768).
    expect(port).toBeLessThan(32_768);
    expect(port).toBeGreaterThan(1023);
  }
});
