import type { TestServer } from "@mayfly/embedded";
import type { TcpFaultProxy } from "@mayfly/testkit";
import type { CredentialData, Registrar } from "../upstreams/upstream.ts";

/**
 * A type on a real server (AWS: moto) that several installations use at once, each with a backend
 * of its own, by a proxy that can hold back, cut or refuse what they send.
 */
export interface SharedServer {
  readonly type: string;
  /** Null: it needs none beside Mayfly. */
  readonly server: TestServer | null;
  readonly start: () => Promise<RunningServer>;
}

export interface RunningServer {
  readonly type: string;
  /** Null where the type makes credentials by itself. */
  readonly proxy: TcpFaultProxy | null;
  /**
   * What a mint sends of the steps that have an effect, in their order: a text in each, which is
   * beside the lease's name and in nothing else that is sent.
   */
  readonly mintSends: readonly ((piece: string) => boolean)[];
  /** The backend of the type's name, and its role `<type>/one`. */
  register(at: Registrar): Promise<void>;
  /** Names of all that bears the installation's mark and can be used: the server is asked. */
  liveNames(installation: string): Promise<readonly string[]>;
  /** Presents the credential as its holder would, to who asks nobody else about it. */
  accepts(data: CredentialData, at: Registrar): Promise<boolean>;
  stop(): Promise<void>;
}

export const saying =
  (text: string) =>
  (piece: string): boolean =>
    piece.includes(text);

/** Whether the name, be it a short one, is one of the installation's. */
export const isOf =
  (installation: string) =>
  (name: string): boolean =>
    name.startsWith(`mf_${installation}`);
