// What a program wrote to a terminal, as text with colours. Colours become classes of the nearest
// of sixteen; every other order to a terminal is left out, and links and titles with it.

import { el, shown } from "./dom.js";

// The first: CSI with parameters and a final letter. Then OSC, DCS and their like up to their end,
// which is looked for nearby only. Then what is left of two characters.
const ORDER =
  /(?:\u001b\[|\u009b)([0-9;:?<=>!]{0,64})[ -/]{0,4}([@-~])|\u001b[\]PX^_][^\u0007\u001b\u009c]{0,4096}(?:\u0007|\u001b\\|\u009c)?|\u001b[ -/]{0,4}[0-~]?/g;
const SIXTEEN = [
  [0, 0, 0],
  [205, 0, 0],
  [0, 205, 0],
  [205, 205, 0],
  [0, 0, 238],
  [205, 0, 205],
  [0, 205, 205],
  [229, 229, 229],
  [127, 127, 127],
  [255, 0, 0],
  [0, 255, 0],
  [255, 255, 0],
  [92, 92, 255],
  [255, 0, 255],
  [0, 255, 255],
  [255, 255, 255],
];

/// The nodes of a terminal's text.
export function terminal(text) {
  const nodes = [];
  const style = {
    bold: false,
    dim: false,
    italic: false,
    underline: false,
    inverse: false,
    front: -1,
    back: -1,
  };
  const push = (part) => {
    if (!part) return;
    const classes = classesOf(style);
    nodes.push(...(classes ? [el("span", { class: classes }, shown(part))] : shown(part)));
  };
  text = overwritten(text);
  let end = 0;
  for (const match of text.matchAll(ORDER)) {
    push(text.slice(end, match.index));
    end = match.index + match[0].length;
    if (match[2] === "m" && !/[?<=>!]/.test(match[1])) select(style, match[1]);
  }
  push(text.slice(end));
  return nodes;
}

/// A carriage return goes back to the start of the line: what comes then is what is seen.
function overwritten(text) {
  if (!text.includes("\r")) return text;
  const line = (line) => {
    let end = line.length;
    while (line[end - 1] === "\r") end -= 1;
    return line.slice(end && line.lastIndexOf("\r", end - 1) + 1, end);
  };
  return text.split("\n").map(line).join("\n");
}

function classesOf(style) {
  const classes = [];
  for (const name of ["bold", "dim", "italic", "underline", "inverse"])
    if (style[name]) classes.push(`t-${name}`);
  if (style.front >= 0) classes.push(`t-f${style.front}`);
  if (style.back >= 0) classes.push(`t-b${style.back}`);
  return classes.join(" ");
}

/// Select Graphic Rendition (ECMA-48, 8.3.117).
function select(style, parameters) {
  const codes = parameters.split(/[;:]/).map((code) => Number(code || 0));
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at];
    if (code === 0)
      Object.assign(style, {
        bold: false,
        dim: false,
        italic: false,
        underline: false,
        inverse: false,
        front: -1,
        back: -1,
      });
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 7) style.inverse = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.underline = false;
    else if (code === 27) style.inverse = false;
    else if (code >= 30 && code <= 37) style.front = code - 30;
    else if (code >= 90 && code <= 97) style.front = code - 82;
    else if (code === 39) style.front = -1;
    else if (code >= 40 && code <= 47) style.back = code - 40;
    else if (code >= 100 && code <= 107) style.back = code - 92;
    else if (code === 49) style.back = -1;
    else if (code === 38 || code === 48) {
      const long = codes[at + 1] === 2;
      const colour = long ? nearest(codes.slice(at + 2, at + 5)) : indexed(codes[at + 2] ?? 0);
      style[code === 38 ? "front" : "back"] = colour;
      at += long ? 4 : 2;
    }
  }
}

function indexed(index) {
  if (index < 16) return index;
  if (index >= 232) return nearest(Array(3).fill(8 + (index - 232) * 10));
  const level = (step) => (step ? 55 + step * 40 : 0);
  const cube = index - 16;
  return nearest([level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)]);
}

function nearest([red = 0, green = 0, blue = 0]) {
  let best = 7;
  let least = Infinity;
  SIXTEEN.forEach(([r, g, b], index) => {
    const distance = (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2;
    if (distance < least) [best, least] = [index, distance];
  });
  return best;
}
