import ssh2 from "ssh2";

interface KeyPair {
  readonly public: string;
  readonly private: string;
}

const TRIES_MAX = 16;
const SAMPLE = Buffer.from("whether the two are halves of one key");

/**
 * A new Ed25519 key, as files of OpenSSH have both halves. The library drops bytes of about one in
 * three hundred, which no one can then read: such a one is thrown away, and another one made.
 */
export function generatedKey(
  make: () => KeyPair = () => ssh2.utils.generateKeyPairSync("ed25519"),
): KeyPair {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const made = make();
    if (isSound(made)) return made;
  }
  throw new Error("no key that was made can be read");
}

function isSound(made: KeyPair): boolean {
  const [open, secret] = [ssh2.utils.parseKey(made.public), ssh2.utils.parseKey(made.private)];
  if (open instanceof Error || secret instanceof Error) return false;
  const signature = secret.sign(SAMPLE);
  return !(signature instanceof Error) && open.verify(SAMPLE, signature) === true;
}
