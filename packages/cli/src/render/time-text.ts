const UNITS = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
  ["s", 1],
] as const;

/** `3 min 12 s`, `2 d 4 h`, `480 ms`: at most two units, rounded down. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  let left = Math.floor(ms / 1_000);
  const parts: string[] = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

/** `in 12 min`, `4 min ago`, `now`: one unit, for a column. */
export function relativeText(at: string, nowMs: number): string {
  const ms = Date.parse(at) - nowMs;
  if (Math.abs(ms) < 1_000) return "now";
  const text = durationText(Math.abs(ms)).split(" ").slice(0, 2).join(" ");
  return ms > 0 ? `in ${text}` : `${text} ago`;
}

/** `22:15` today, else `2026-11-20 22:15`, in the reader's time zone. */
export function clockText(at: string, nowMs: number, timeZone: string): string {
  const [day, time] = dayAndTime(Date.parse(at), timeZone);
  const [today] = dayAndTime(nowMs, timeZone);
  return day === today ? time.slice(0, 5) : `${day} ${time.slice(0, 5)}`;
}

/** `22:15:03`, or with its day where that is another one than today. */
export function clockSecondsText(at: string, nowMs: number, timeZone: string): string {
  const [day, time] = dayAndTime(Date.parse(at), timeZone);
  const [today] = dayAndTime(nowMs, timeZone);
  return day === today ? time : `${day} ${time}`;
}

function dayAndTime(ms: number, timeZone: string): readonly [day: string, time: string] {
  const parts = new Intl.DateTimeFormat("en-CA", {
    timeZone,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  }).formatToParts(ms);
  const part = (type: Intl.DateTimeFormatPartTypes): string =>
    parts.find((each) => each.type === type)?.value ?? "";
  return [
    `${part("year")}-${part("month")}-${part("day")}`,
    `${part("hour")}:${part("minute")}:${part("second")}`,
  ];
}
