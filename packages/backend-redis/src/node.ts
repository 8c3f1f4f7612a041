import { z } from "zod";
import type { BackendHost } from "@mayfly/spec";
import { deadlineIn, type Deadline } from "./call-deadline.ts";
import { readListedUser, type ListedUser } from "./lease-mark.ts";
import { NameBatcher } from "./name-batcher.ts";
import { NodeLink, type Command, type Reply } from "./node-link.ts";
import { RedisFailure } from "./redis-failure.ts";
import type { Place, ServerSettings } from "./server-settings.ts";

/** What is left of a user on one server. */
export interface Left {
  readonly users: number;
  readonly users_that_log_in: number;
  readonly sessions: number;
}

/**
 * A connection that mints is used for so long, then another one. Much less than the longest call
 * of an issue: by the time somebody looks for late mints, each healthy one is younger than those
 * that could bear one.
 */
const MINT_LINK_MS = 5_000;

/** One server, with the connections to it. What many leases need of it is done for all at once. */
export class Node {
  readonly place: string;
  readonly at: Place;
  /** For mints alone: a server kills these connections to be sure that no late mint arrives. */
  readonly mints: NodeLink;
  readonly work: NodeLink;
  /** Deletes users, and says what is left of each. */
  readonly ends: NameBatcher<Left>;
  readonly looks: NameBatcher<Left>;
  /** Has the server write its ACL file, if it has one. Says whether it has. */
  readonly saves: NameBatcher<boolean>;
  readonly #host: BackendHost;
  readonly #settings: ServerSettings;
  readonly #closing: AbortSignal;

  constructor(place: Place, settings: ServerSettings, host: BackendHost, closing: AbortSignal) {
    const { clock } = host;
    const link = { settings, place, clock };
    this.#host = host;
    this.#settings = settings;
    this.#closing = closing;
    this.mints = new NodeLink({ ...link, name: mintLinkName(host), ageMsMax: MINT_LINK_MS });
    this.work = new NodeLink({ ...link, name: workLinkName(host), ageMsMax: null });
    this.place = this.work.place;
    this.at = place;
    this.ends = new NameBatcher((names) => this.#end(names), clock);
    this.looks = new NameBatcher((names) => this.#look(names), clock);
    this.saves = new NameBatcher((names) => this.#saveFor(names), clock);
  }

  /** How long one exchange may take, whoever waits for it. */
  deadline(): Deadline {
    return deadlineIn(
      { clock: this.#host.clock, signal: this.#closing, traceId: "" },
      this.#settings.call_seconds_max * 1_000,
    );
  }

  close(): void {
    this.mints.close();
    this.work.close();
  }

  async userOf(name: string, deadline: Deadline): Promise<ListedUser | null> {
    return readUser(name, await this.work.ask(["ACL", "GETUSER", name], deadline));
  }

  async users(deadline: Deadline): Promise<readonly ListedUser[]> {
    const lines = z.array(z.string()).parse(await this.work.ask(["ACL", "LIST"], deadline));
    return lines.flatMap((line) => readListedUser(line) ?? []);
  }

  async clients(deadline: Deadline): Promise<readonly ClientLine[]> {
    return readClients(await this.work.ask(["CLIENT", "LIST"], deadline));
  }

  /**
   * ACL DELUSER is one step: from its answer on nobody logs in as the user, and no connection of
   * the user does anything more; the server closes them before it waits for more work.
   */
  async #end(names: readonly string[]): Promise<ReadonlyMap<string, Left>> {
    const deadline = this.deadline();
    await this.work.ask(["ACL", "DELUSER", ...names], deadline);
    await this.saves.run("");
    return this.#look(names);
  }

  async #look(names: readonly string[]): Promise<ReadonlyMap<string, Left>> {
    const commands: Command[] = [
      ["CLIENT", "LIST"],
      ...names.map((name): Command => ["ACL", "GETUSER", name]),
    ];
    const replies = await this.work.exchange(commands, this.deadline());
    const [clients, ...users] = replies.map(unlessRefused);
    const sessions = Map.groupBy(readClients(clients), ({ user }) => user);
    return new Map(
      names.map((name, place) => {
        const user = readUser(name, users[place]);
        const left = {
          users: user === null ? 0 : 1,
          users_that_log_in: user?.on === true ? 1 : 0,
          sessions: sessions.get(name)?.length ?? 0,
        };
        return [name, left];
      }),
    );
  }

  async #saveFor(names: readonly string[]): Promise<ReadonlyMap<string, boolean>> {
    const saved = await this.#save();
    return new Map(names.map((name) => [name, saved]));
  }

  async #save(): Promise<boolean> {
    const [reply] = await this.work.exchange([["ACL", "SAVE"]], this.deadline());
    if (!(reply instanceof RedisFailure)) return true;
    if (/not configured to use an ACL file/.test(reply.message)) return false;
    throw reply;
  }
}

function unlessRefused(reply: Reply): Reply {
  if (reply instanceof RedisFailure) throw reply;
  return reply;
}

export const mintLinkName = ({ installation, backendId }: BackendHost): string =>
  `mayfly-mint:${installation}:${backendId}`;
const workLinkName = ({ installation, backendId }: BackendHost): string =>
  `mayfly-work:${installation}:${backendId}`;

/** `ACL GETUSER` answers names and values in turn; more members may come with newer versions. */
export function readUser(name: string, reply: Reply): ListedUser | null {
  if (reply === null) return null;
  const members = z.array(z.unknown()).parse(reply);
  const member = (wanted: string): unknown => members[members.indexOf(wanted) + 1];
  const strings = z.array(z.string());
  const flags = strings.parse(member("flags"));
  const keys = z.string().parse(member("keys"));
  return {
    name,
    on: flags.includes("on"),
    rules: [
      ...flags,
      ...strings.parse(member("passwords")).map((hash) => `#${hash}`),
      ...keys.split(" "),
      ...z.string().parse(member("commands")).split(" "),
    ],
  };
}

/** What we read of a line of `CLIENT LIST` (https://redis.io/docs/latest/commands/client-list/). */
export interface ClientLine {
  readonly id: string;
  readonly name: string;
  readonly user: string;
  readonly ageSeconds: number;
}

function readClients(reply: Reply): readonly ClientLine[] {
  return z
    .string()
    .parse(reply)
    .split("\n")
    .filter((line) => line.startsWith("id="))
    .map((line) => {
      const fields = new Map(
        line.split(" ").map((field) => {
          const at = field.indexOf("=");
          return [field.slice(0, at), field.slice(at + 1)] as const;
        }),
      );
      return {
        id: fields.get("id") ?? "",
        name: fields.get("name") ?? "",
        user: fields.get("user") ?? "",
        ageSeconds: Number(fields.get("age")),
      };
    });
}
