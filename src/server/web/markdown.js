// Markdown as nodes. HTML in it is text, pictures are links, and links lead to the web or nowhere.
//
// Every step goes forward over the text: its time grows with the text alone, whatever it holds.

import { el, outside, shown } from "./dom.js";

// Quotes and lists in each other; what is deeper is text.
const DEPTH_MAX = 8;
// Emphasis in each other.
const INLINE_DEPTH_MAX = 6;
// Characters between which a pair of marks is looked for.
const INLINE_CHARS_MAX = 20000;
const TABLE_COLUMNS_MAX = 50;

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`\s]{0,40})/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*)$/;
const RULE = /^ {0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})$/;
const ITEM = /^( {0,60})([-*+]|\d{1,9}[.)])(?:[ \t]+(.*))?$/;
const ROW = /^\s*\|?[\s:|-]+$/;

/// The nodes of a text.
export function markdown(text) {
  return blocks(text.replaceAll("\r\n", "\n").split("\n"), 0);
}

function blocks(lines, depth) {
  const nodes = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    if (line.trim() === "") {
      at += 1;
      continue;
    }
    const [node, next] = block(lines, at, depth);
    nodes.push(node);
    at = next;
  }
  return nodes;
}

/// The block that begins at a line, and where the next one begins.
function block(lines, at, depth) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return fenced(lines, at, fence);
  const heading = HEADING.exec(line);
  if (heading) {
    const level = Math.min(6, heading[1].length + 2);
    return [el(`h${level}`, {}, inline(heading[2].replace(/\s#+\s*$/, ""))), at + 1];
  }
  if (RULE.test(line)) return [el("hr"), at + 1];
  if (depth < DEPTH_MAX && /^ {0,3}>/.test(line)) return quoted(lines, at, depth);
  if (depth < DEPTH_MAX && ITEM.test(line)) return list(lines, at, depth);
  if (
    line.includes("|") &&
    at + 1 < lines.length &&
    lines[at + 1].includes("-") &&
    ROW.test(lines[at + 1].slice(0, 2000))
  ) {
    return table(lines, at);
  }
  return paragraph(lines, at, depth);
}

function fenced(lines, at, [, mark, language]) {
  let end = at + 1;
  const closes = (line) => {
    const text = line.trim();
    return (
      text.length >= mark.length && text.startsWith(mark) && text.replaceAll(mark[0], "") === ""
    );
  };
  while (end < lines.length && !closes(lines[end])) end += 1;
  return [code(lines.slice(at + 1, end).join("\n"), language), end + 1];
}

/// A piece of code.
export function code(text, language = "") {
  const label = language ? { "data-language": language.slice(0, 20) } : {};
  return el("pre", { class: "code", ...label }, el("code", {}, shown(text)));
}

function quoted(lines, at, depth) {
  const inner = [];
  let end = at;
  while (end < lines.length && /^ {0,3}>/.test(lines[end])) {
    inner.push(lines[end].replace(/^ {0,3}> ?/, ""));
    end += 1;
  }
  return [el("blockquote", {}, blocks(inner, depth + 1)), end];
}

function list(lines, at, depth) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(mark);
  const attributes =
    ordered && Number.parseInt(mark, 10) !== 1 ? { start: Number.parseInt(mark, 10) } : {};
  const node = el(ordered ? "ol" : "ul", attributes);
  let end = at;
  while (end < lines.length) {
    const item = ITEM.exec(lines[end]);
    if (
      !item ||
      item[1].length > indent.length + 3 ||
      item[1].length < indent.length ||
      /\d/.test(item[2]) !== ordered
    )
      break;
    const inner = [item[3] ?? ""];
    const width = item[1].length + item[2].length + 1;
    end += 1;
    while (end < lines.length) {
      const line = lines[end];
      const spaces = line.length - line.trimStart().length;
      const goesOn =
        line.trim() === ""
          ? (lines[end + 1] ?? "").startsWith(" ".repeat(indent.length + 2))
          : spaces > indent.length + 1 || !startsBlock(line);
      if (!goesOn) break;
      inner.push(line.slice(Math.min(spaces, width)));
      end += 1;
    }
    node.append(itemOf(inner, depth));
    while (end < lines.length && lines[end].trim() === "" && ITEM.test(lines[end + 1] ?? ""))
      end += 1;
  }
  return [node, end];
}

function itemOf(lines, depth) {
  const task = /^\[([ xX])\]\s+/.exec(lines[0]);
  if (task) lines[0] = `${task[1] === " " ? "☐" : "☑"} ${lines[0].slice(task[0].length)}`;
  const nodes = blocks(lines, depth + 1);
  // A single paragraph is the item's own text.
  if (nodes[0]?.tagName === "P") nodes.splice(0, 1, ...nodes[0].childNodes);
  return el("li", {}, nodes);
}

function startsBlock(line) {
  return (
    FENCE.test(line) ||
    HEADING.test(line) ||
    RULE.test(line) ||
    /^ {0,3}>/.test(line) ||
    ITEM.test(line)
  );
}

function table(lines, at) {
  const cells = (line) =>
    line
      .trim()
      .replace(/^\|/, "")
      .replace(/\|$/, "")
      .split("|", TABLE_COLUMNS_MAX)
      .map((cell) => cell.trim());
  const head = cells(lines[at]);
  const body = [];
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|") && lines[end].trim() !== "") {
    const row = cells(lines[end]);
    body.push(
      el(
        "tr",
        {},
        head.map((_, column) => el("td", {}, inline(row[column] ?? ""))),
      ),
    );
    end += 1;
  }
  const top = el(
    "thead",
    {},
    el(
      "tr",
      {},
      head.map((cell) => el("th", { scope: "col" }, inline(cell))),
    ),
  );
  return [
    el("div", { class: "scrolls" }, el("table", {}, top, el("tbody", {}, body))),
    end,
  ];
}

function paragraph(lines, at) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() !== "" && !startsBlock(lines[end])) end += 1;
  const node = el("p");
  // People and agents write lines as they mean them.
  lines
    .slice(at, end)
    .join("\n")
    .split("\n")
    .forEach((line, index) => {
      if (index) node.append(el("br"));
      node.append(...inline(line.trim()));
    });
  return [node, end];
}

/// The nodes of a text within a line; in the text of a link there are no others.
export function inline(text, depth = 0, inLink = false) {
  if (text.length > INLINE_CHARS_MAX || depth > INLINE_DEPTH_MAX) return shown(text);
  const nodes = [];
  // Marks that are known not to come again: they are not looked for twice.
  const gone = new Set();
  let start = 0;
  let at = 0;
  while (at < text.length) {
    const found = "`*_~[!h\\<".includes(text[at]) ? span(text, at, depth, gone, inLink) : null;
    if (!found) {
      at += 1;
      continue;
    }
    if (at > start) nodes.push(...shown(text.slice(start, at)));
    nodes.push(...found[0]);
    at = start = found[1];
  }
  if (start < text.length) nodes.push(...shown(text.slice(start)));
  return nodes;
}

/// The nodes of what begins at a mark, and where it ends; null when nothing begins there.
function span(text, at, depth, gone, inLink) {
  const rest = (mark, from) => {
    if (gone.has(mark)) return -1;
    const end = text.indexOf(mark, from);
    if (end < 0) gone.add(mark);
    return end;
  };
  switch (text[at]) {
    case "\\":
      return /[\\`*_{}[\]()#+\-.!|~<>]/.test(text[at + 1] ?? "") ? [[text[at + 1]], at + 2] : null;
    case "`": {
      let length = 1;
      while (text[at + length] === "`") length += 1;
      const mark = "`".repeat(length);
      const end = rest(mark, at + length);
      return end < 0
        ? [[mark], at + length]
        : [[el("code", {}, shown(text.slice(at + length, end)))], end + length];
    }
    case "[":
      return inLink ? null : link(text, at, rest, depth);
    case "!":
      return text[at + 1] === "[" && !inLink ? link(text, at + 1, rest, depth) : null;
    case "<":
    case "h":
      return inLink ? null : bare(text, at);
    default:
      return emphasis(text, at, rest, depth, inLink);
  }
}

function emphasis(text, at, rest, depth, inLink) {
  const twice = text[at + 1] === text[at];
  const mark = twice ? text[at] + text[at] : text[at];
  const tag = { "**": "strong", __: "strong", "*": "em", _: "em", "~~": "del" }[mark];
  const after = text[at + mark.length] ?? " ";
  // `snake_case` and `2 * 3` are what they are.
  const inWord = mark[0] === "_" && /\w/.test(text[at - 1] ?? " ");
  if (!tag || /\s/.test(after) || inWord) return twice ? [[mark], at + 2] : null;
  const end = rest(mark, at + mark.length);
  const closes =
    end > at + mark.length &&
    !/\s/.test(text[end - 1]) &&
    !(mark[0] === "_" && /\w/.test(text[end + mark.length] ?? " "));
  if (!closes) return twice ? [[mark], at + 2] : null;
  const inner = inline(text.slice(at + mark.length, end), depth + 1, inLink);
  return [[el(tag, {}, inner)], end + mark.length];
}

function link(text, at, rest, depth) {
  const middle = rest("](", at + 1);
  if (middle < 0 || text.slice(at + 1, middle).includes("[")) return null;
  const end = rest(")", middle + 2);
  if (end < 0) return null;
  const target = text
    .slice(middle + 2, end)
    .trim()
    .split(/\s/, 1)[0]
    .replace(/^<|>$/g, "");
  const label = text.slice(at + 1, middle);
  return [[outside(target, ...inline(label || target, depth + 1, true))], end + 1];
}

/// An address as such, with or without brackets.
function bare(text, at) {
  const bracket = text[at] === "<" ? 1 : 0;
  if (!bracket && /\w/.test(text[at - 1] ?? " ")) return null;
  const match = /^https?:\/\/[^\s<>"'`\])]{1,2000}/.exec(
    text.slice(at + bracket, at + bracket + 2048),
  );
  if (!match) return null;
  const target = match[0].replace(/[.,;:!?]+$/, "");
  const end = at + bracket + target.length;
  return [[outside(target, ...shown(target))], end + (bracket && text[end] === ">" ? 1 : 0)];
}
