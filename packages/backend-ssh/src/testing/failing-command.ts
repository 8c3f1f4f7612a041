import { access, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { HOST_COMMAND } from "./ssh-upstream.ts";

/**
 * What befalls a request once the host's command has done all that it asks: its answer is held
 * back, or half of it, until the fault is over, or it is an error.
 */
export type AnswerFault = "half" | "silent" | "error" | "ended";

/** `mayfly-ssh-host`, and around it what a test wants to happen to its answers. */
export interface FailingCommand extends AsyncDisposable {
  /** By its path. */
  readonly path: string;
  /** From now on. */
  fault(fault: AnswerFault): Promise<void>;
  /** Resolves once the command has acted under the present fault, and answered what it will. */
  acted(): Promise<void>;
  heal(): Promise<void>;
}

export async function writeFailingCommand(): Promise<FailingCommand> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-ssh-failing-"));
  const [path, fault, acted] = ["command", "fault", "acted"].map((name) => join(folder, name));
  await writeFile(path ?? "", script({ fault: fault ?? "", acted: acted ?? "", folder }));
  const remove = (file = ""): Promise<void> => rm(file, { force: true });
  return {
    path: path ?? "",
    fault: async (kind) => {
      await remove(acted);
      await writeFile(fault ?? "", kind);
    },
    acted: async () => {
      for (let looks = 0; looks < 1_200; looks++) {
        const isThere = await access(acted ?? "").then(
          () => true,
          () => false,
        );
        if (isThere) return;
        await pause(25);
      }
      throw new Error("the host's command was not asked in 30 s");
    },
    heal: () => remove(fault),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

const script = ({ fault, acted, folder }: Readonly<Record<string, string>>): string => `
[ "$1" = serve ] && [ -e '${fault}' ] || exec /bin/sh '${HOST_COMMAND}' "$@"
kind="$(cat '${fault}')"
answer="$(mktemp '${folder}/answer.XXXXXX')"
/bin/sh '${HOST_COMMAND}' serve > "$answer" || exit
case "$kind" in
  half) head -c 5 "$answer" ;;
  error) : > '${acted}'; exit 1 ;;
  ended) : > '${acted}'; kill -KILL $$ ;;
esac
: > '${acted}'
while [ -e '${fault}' ]; do sleep 0.05; done
exit 1
`;
