import { describe, expect, test } from "vitest";
import {
  plusSeconds,
  type AuthorityDocument,
  type OpenBackend,
  type PublishedAuthority,
} from "@mayfly/spec";
import { revoking, type BackendBench } from "./backend-bench.ts";
import type { ContractAuthority } from "./backend-contract-subject.ts";

/** Whatever the installation's keys sign for, it is less. */
const YEAR_SECONDS = 366 * 86_400;

/** A1 and A2, of a type that certifies. */
export function describeAuthority(benchOf: () => BackendBench): void {
  describe("what the authority publishes", () => {
    test("A1. says whom to trust, without a private key, and of no other name anything", async () => {
      const bench = benchOf();
      const { trust } = told(bench);
      const authority = authorityOf(bench.open);
      const { bytes, mediaType } = await documentOf(bench.open, trust);
      expect(bytes.byteLength).toBeGreaterThan(0);
      expect(mediaType).toMatch(/^[a-z]+\/[a-z0-9.+-]+$/);
      expect(Buffer.from(bytes).toString("latin1")).not.toContain("PRIVATE KEY");
      for (const other of ["", "constructor", `../${trust}`, `${trust}/`, trust.toUpperCase()]) {
        expect(await authority.document(other)).toBeNull();
      }
    });
    test("A1. names a lease once it ended, as another process shows it too, and no other", async () => {
      const bench = benchOf();
      const names = told(bench);
      const gone = await bench.open.issue(bench.plan(), bench.issueCall());
      const other = await bench.open.issue(bench.plan(), bench.issueCall());
      const inNewProcess = async (): Promise<readonly boolean[]> => {
        const open = bench.openAgain();
        const document = await documentOf(open, names.ended);
        await open.close();
        return [await names.lists(document, gone), await names.lists(document, other)];
      };
      expect(await inNewProcess()).toEqual([false, false]);
      await revoking(bench.open).revoke(gone.handle, bench.call());
      expect(await inNewProcess()).toEqual([true, false]);
    });
    // The last one: of a key that is to sign in a year, no earlier test knows.
    test("A2. trusts the next key when it is due, and one alone by however many processes", async () => {
      const bench = benchOf();
      const { trust } = told(bench);
      const rotated = async (seconds: number): Promise<string> => {
        const processes = [bench.openAgain(), bench.openAgain()];
        const at = plusSeconds(bench.upstream.clock.now(), seconds);
        await Promise.all(processes.map((open) => authorityOf(open).rotate(at)));
        const { bytes } = await documentOf(processes[0]!, trust);
        await Promise.all(processes.map((open) => open.close()));
        return Buffer.from(bytes).toString("latin1");
      };
      const keys = async (): Promise<number> => (await bench.host.tokens.keys.authorities()).length;
      const before = await keys();
      const first = await rotated(0);
      expect(await rotated(0)).toBe(first);
      expect(await keys()).toBe(before);
      const next = await rotated(YEAR_SECONDS);
      expect(await keys()).toBe(before + 1);
      expect(next.length).toBeGreaterThan(first.length);
      expect(await rotated(YEAR_SECONDS)).toBe(next);
    });
  });
}

function told({ upstream }: BackendBench): ContractAuthority {
  if (upstream.authority !== undefined) return upstream.authority;
  throw new Error("the upstream of a type that certifies says what its authority publishes");
}

function authorityOf({ authority }: OpenBackend): PublishedAuthority {
  if (authority === undefined) throw new Error("a type that certifies has an authority");
  return authority;
}

async function documentOf(open: OpenBackend, name: string): Promise<AuthorityDocument> {
  const document = await authorityOf(open).document(name);
  if (document === null) throw new Error(`the authority has no document ${name}`);
  return document;
}
