// Numbers and times as people read them.

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const full = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hour12: false });
const near = new Intl.DateTimeFormat("en", { weekday: "short", day: "numeric", month: "short" });
const far = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric" });

/// 12,345
export const count = (number) => whole.format(number ?? 0);

/// 12.3K
export const brief = (number) => short.format(number ?? 0);

/// `1 line`, `2 lines`
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/// Bytes with a unit.
export function bytes(number) {
  if (number === null || number === undefined) return "";
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (number >= 1000 && unit < units.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return `${number.toFixed(unit && number < 10 ? 1 : 0)} ${units[unit]}`;
}

/// Money; less than a cent is not nothing.
export function money(dollars) {
  if (dollars === null || dollars === undefined) return "";
  return dollars > 0 && dollars < 0.01
    ? "< $0.01"
    : `$${whole.format(Math.round(dollars * 100) / 100)}`;
}

/// `3 min`, `2 h 5 min`
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < MINUTE) return `${Math.round(seconds)} s`;
  if (seconds < HOUR) return `${Math.round(seconds / MINUTE)} min`;
  if (seconds < DAY)
    return `${Math.floor(seconds / HOUR)} h ${Math.round((seconds % HOUR) / MINUTE)} min`;
  return `${Math.floor(seconds / DAY)} d ${Math.round((seconds % DAY) / HOUR)} h`;
}

/// A time that was read, or null.
function date(text) {
  const time = new Date(text ?? "");
  return Number.isNaN(time.getTime()) ? null : time;
}

/// How long ago.
export function ago(text, now = Date.now()) {
  const time = date(text);
  if (!time) return "";
  const seconds = Math.max(0, (now - time) / 1000);
  if (seconds < 45) return "now";
  if (seconds < HOUR) return `${Math.max(1, Math.round(seconds / MINUTE))} min ago`;
  if (seconds < 12 * HOUR) return `${Math.round(seconds / HOUR)} h ago`;
  return day(text, now) === "Today"
    ? clock.format(time)
    : seconds < 2 * DAY
      ? `${day(text, now)} ${clock.format(time)}`
      : day(text, now);
}

/// The day, as one speaks of it.
export function day(text, now = Date.now()) {
  const time = date(text);
  if (!time) return "";
  const start = (moment) => new Date(moment).setHours(0, 0, 0, 0);
  const days = Math.round((start(now) - start(time)) / 1000 / DAY);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  return days < 300 ? near.format(time) : far.format(time);
}

/// Hours and minutes.
export const hour = (text) => (date(text) ? clock.format(date(text)) : "");

/// Date and time in full.
export const moment = (text) => (date(text) ? full.format(date(text)) : "");
