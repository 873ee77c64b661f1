// What an edit has changed, line by line.

import { el, shown } from "./dom.js";

// Steps of a comparison; what would take more is shown as taken out and put in.
const STEPS_MAX = 400000;

/// The lines of both texts: `[mark, text]`, with ` `, `-` or `+`.
export function changes(before, after) {
  const one = before === "" ? [] : before.split("\n");
  const other = after === "" ? [] : after.split("\n");
  let start = 0;
  while (start < one.length && start < other.length && one[start] === other[start]) start += 1;
  let end = 0;
  while (
    end < one.length - start &&
    end < other.length - start &&
    one.at(-1 - end) === other.at(-1 - end)
  )
    end += 1;
  const middle = compared(
    one.slice(start, one.length - end),
    other.slice(start, other.length - end),
  );
  const same = (line) => [" ", line];
  return [...one.slice(0, start).map(same), ...middle, ...one.slice(one.length - end).map(same)];
}

/// The longest common lines, and what lies between them.
function compared(one, other) {
  const [n, m] = [one.length, other.length];
  if (n * m > STEPS_MAX || !n || !m)
    return [...one.map((line) => ["-", line]), ...other.map((line) => ["+", line])];
  const lengths = Array.from({ length: n + 1 }, () => new Uint32Array(m + 1));
  for (let i = n - 1; i >= 0; i -= 1) {
    for (let j = m - 1; j >= 0; j -= 1) {
      lengths[i][j] =
        one[i] === other[j]
          ? lengths[i + 1][j + 1] + 1
          : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  const lines = [];
  let [i, j] = [0, 0];
  while (i < n || j < m) {
    if (i < n && j < m && one[i] === other[j]) {
      lines.push([" ", one[i]]);
      i += 1;
      j += 1;
    } else if (j >= m || (i < n && lengths[i + 1][j] >= lengths[i][j + 1])) {
      lines.push(["-", one[i]]);
      i += 1;
    } else {
      lines.push(["+", other[j]]);
      j += 1;
    }
  }
  return lines;
}

/// The hunks of an edit: as Claude Code has recorded them, otherwise compared here.
export function hunks(patch, before, after) {
  const recorded = Array.isArray(patch) ? patch.filter((hunk) => Array.isArray(hunk?.lines)) : [];
  if (recorded.length) {
    return recorded.map((hunk) => ({
      before: Number(hunk.oldStart) || 1,
      after: Number(hunk.newStart) || 1,
      lines: hunk.lines.map(String).map((line) => [line[0] ?? " ", line.slice(1)]),
    }));
  }
  return [{ before: null, after: null, lines: changes(before, after) }];
}

/// Hunks as nodes, at most so many lines of them; and how many there are.
export function drawn(parts, linesMax) {
  const rows = [];
  let left = linesMax;
  let total = 0;
  for (const [index, hunk] of parts.entries()) {
    total += hunk.lines.length;
    if (index && left > 0) rows.push(el("span", { class: "hunk" }, "⋯\n"));
    let [before, after] = [hunk.before, hunk.after];
    for (const [mark, text] of hunk.lines) {
      if (left <= 0) break;
      left -= 1;
      const number = before === null ? "" : mark === "-" ? before : after;
      if (before !== null && mark !== "+" && mark !== "\\") before += 1;
      if (after !== null && mark !== "-" && mark !== "\\") after += 1;
      const kind = { "+": "added", "-": "removed" }[mark] ?? "same";
      rows.push(
        el("span", { class: `line ${kind}`, "data-number": number }, `${mark} `, shown(text), "\n"),
      );
    }
  }
  const isPlain = parts.every((hunk) => hunk.before === null);
  return {
    node: el("pre", { class: `diff ${isPlain ? "plain" : ""}` }, rows),
    total,
  };
}
