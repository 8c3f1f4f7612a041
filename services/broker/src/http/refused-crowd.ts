/**
 * Who was taken and who refused is looked at by this long at least, in which so many ended: places
 * come free by the batch. In a second at the latest.
 */
const LOOK = { msMin: 100, endedMin: 16, msMax: 1000 } as const;
/** So many times as many refused as taken at one look are a flood; */
const FLOOD = 4;
/** and so is more refused than taken, at so many looks in a row. */
const FLOODED_LOOKS = 2;
/** Some refused at each look for so long: the queue stands. */
const STANDING_MS = 500;
/** Nobody refused for so long, or no more than this part of who came in it: it is over. */
const OVER_AFTER_MS = 500;
const OVER_PART_MAX = 1 / 3;

/** What became of those who came since some found no place. */
export interface Crowd {
  refused(now: number): void;
  taken(): void;
  ended(): void;
  isOverload(now: number): boolean;
}

interface Look {
  readonly fromMs: number;
  /** Nobody could have been taken before one ended: who was refused until then came in a lump. */
  lumped: number;
  taken: number;
  refused: number;
  ended: number;
}
const openLook = (fromMs: number): Look => ({
  fromMs,
  lumped: 0,
  taken: 0,
  refused: 0,
  ended: 0,
});

/**
 * Tells an overload from a lump. Requests that were held up on their way, by a stall of whoever
 * sends them or of this process, come all at once: what finds no place is refused once, and those
 * after it are served. To take that for an overload would refuse them as well. A flood refuses most
 * of who comes, look after look; a queue that stands refuses some at each look for long.
 *
 * Under overload the limit is low, and in the end it may be that alone by which anybody is refused.
 * So an overload is over when no more than a part of who comes is.
 */
export function createCrowd(): Crowd {
  /** Null: nobody was refused lately. */
  let look: Look | null = null;
  /** Of the first of the looks in a row at each of which somebody was refused. */
  let sinceMs = 0;
  let floods = 0;
  let refusedMs = 0;
  let isOverload = false;
  const forget = (): void => {
    look = null;
    floods = 0;
    isOverload = false;
  };
  const judge = ({ lumped, taken, refused }: Look, now: number): void => {
    if (lumped + refused === 0) {
      forget();
      return;
    }
    floods = refused > taken ? floods + 1 : 0;
    isOverload = refused > taken * FLOOD || floods >= FLOODED_LOOKS || now - sinceMs >= STANDING_MS;
    look = openLook(now);
  };
  /** The same, of the overload that there is. */
  const judgeAgain = ({ fromMs, taken, refused, ended }: Look, now: number): void => {
    const isWhole = now - fromMs >= OVER_AFTER_MS && ended > 0;
    if (now - refusedMs >= OVER_AFTER_MS) forget();
    else if (isWhole && refused <= (taken + refused) * OVER_PART_MAX) forget();
    else if (isWhole) look = openLook(now);
  };
  return {
    refused: (now) => {
      if (look === null) {
        look = openLook(now);
        sinceMs = now;
      }
      if (look.ended === 0) look.lumped += 1;
      else look.refused += 1;
      refusedMs = now;
    },
    taken: () => {
      if (look !== null && look.ended > 0) look.taken += 1;
    },
    ended: () => {
      if (look !== null) look.ended += 1;
    },
    isOverload: (now) => {
      if (look === null) return false;
      if (isOverload) judgeAgain(look, now);
      else if (isWhole(look, now)) judge(look, now);
      return isOverload;
    },
  };
}

function isWhole({ fromMs, ended }: Look, now: number): boolean {
  const lasted = now - fromMs;
  return (lasted >= LOOK.msMin && ended >= LOOK.endedMin) || lasted >= LOOK.msMax;
}
