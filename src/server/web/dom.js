// Nodes made of names and texts. Nothing in these modules reads HTML: whatever comes from a
// transcript enters the page as text of a node, or not at all.

// Marks of redaction, and characters that would change how the text around them is read.
const SPECIAL =
  /\[REDACTED:([A-Z0-9_]{1,64})(?::[0-9a-f]{1,16})?\]|[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/g;
// Schemes of addresses that a link may lead to.
const SCHEMES = ["http:", "https:", "mailto:"];

/// An element. `attributes` are attributes, but for `on…`, which are listeners, and for those that
/// are false or absent, which are left out. Children are nodes, texts, or lists of them.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(
    ...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/// An element of a drawing.
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/// A foreign text as nodes: marks of redaction stand out, and what cannot be seen can be.
export function shown(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(SPECIAL)) {
    if (match.index > end) nodes.push(text.slice(end, match.index));
    nodes.push(match[1] ? redacted(match[1]) : control(match[0]));
    end = match.index + match[0].length;
  }
  if (end === 0) return [text];
  if (end < text.length) nodes.push(text.slice(end));
  return nodes;
}

function redacted(kind) {
  const name = kind.toLowerCase().replaceAll("_", " ");
  return el(
    "mark",
    { class: "redacted", title: `${name}, redacted before it was sent` },
    `[REDACTED:${kind}]`,
  );
}

function control(character) {
  const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return el("span", { class: "control", title: `the character U+${code}` }, `U+${code}`);
}

/// A foreign text where only text can be: one line, without what cannot be seen.
export function flat(text, charsMax = 300) {
  const line = text
    .slice(0, charsMax * 4)
    .replace(CONTROLS, " ")
    .replace(/ {2,}/g, " ")
    .trim();
  return line.length > charsMax ? `${line.slice(0, charsMax)}…` : line;
}

/// A link to somewhere else when the address is one that can be followed, otherwise its text.
export function outside(address, ...children) {
  let url = null;
  try {
    url = new URL(address);
  } catch {
    // Not an address.
  }
  if (!url || !SCHEMES.includes(url.protocol)) return el("span", { class: "no-link" }, ...children);
  return el(
    "a",
    {
      href: url.href,
      rel: "noopener noreferrer nofollow",
      target: "_blank",
      title: flat(url.href),
    },
    ...children,
  );
}

/// A button with a text.
export function button(text, act, attributes = {}) {
  return el("button", { type: "button", onclick: act, ...attributes }, text);
}

/// A button that copies a text. A browser that lets nobody copy, as it does where the page comes over
/// plain HTTP, shows it selected.
export function copier(text, attributes = {}, field = null) {
  const press = button(
    "Copy",
    async () => {
      const value = text();
      try {
        await navigator.clipboard.writeText(value);
        press.textContent = "Copied";
      } catch {
        field ??= el("input", { type: "text", readonly: true, "aria-label": "To be copied" });
        field.value = value;
        if (!field.isConnected) press.after(field);
        field.focus();
        field.select();
        press.textContent = "Selected: press Ctrl+C";
      }
    },
    attributes,
  );
  return press;
}

/// Says something to those who hear the page.
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}
