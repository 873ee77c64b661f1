// Calls of tools and what they returned, each as people know it from the terminal.

import { terminal } from "./ansi.js";
import { drawn, hunks } from "./diff.js";
import { button, el, flat, shown } from "./dom.js";
import { blocksOf, joined, word } from "./events.js";
import { bytes, plural } from "./format.js";
import { markdown } from "./markdown.js";

// What is shown of a long text until more is asked for.
const CHARS_MAX = 12000;
const MORE_CHARS_MAX = 400000;
const DIFF_LINES_MAX = 200;
const NUMBERED_LINES_MAX = 400;
const FIELDS_MAX = 100;
const JSON_DEPTH_MAX = 6;
// Formats that hold pixels and nothing that runs.
const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const IMAGE_CHARS_MAX = 16 << 20;

/// What stands in the line of a call next to the tool's name.
export function summary(name, input) {
  const path = word(input.file_path) || word(input.notebook_path) || word(input.path);
  switch (name) {
    case "Bash":
      return word(input.description) || word(input.command);
    case "Grep":
    case "Glob":
      return [word(input.pattern), path || word(input.glob)].filter(Boolean).join("  in ");
    case "Task":
    case "Agent":
      return [word(input.subagent_type), word(input.description)].filter(Boolean).join(": ");
    case "TodoWrite":
      return Array.isArray(input.todos) ? plural(input.todos.length, "item") : "";
    case "WebFetch":
      return word(input.url);
    case "WebSearch":
    case "ToolSearch":
      return word(input.query);
    default:
      return (
        path || flat(word(Object.values(input).find((value) => typeof value === "string")), 120)
      );
  }
}

/// What a call asks for.
export function asked(name, input) {
  switch (name) {
    case "Bash":
      return [
        el(
          "pre",
          { class: "command" },
          el("span", { class: "prompt-mark", "aria-hidden": "true" }, "$ "),
          long(word(input.command), shown),
        ),
      ];
    case "Edit":
    case "MultiEdit":
    case "Write":
    case "NotebookEdit":
    case "Read":
    case "Grep":
    case "Glob":
      return [];
    case "TodoWrite":
      return [todos(input.todos)];
    case "Task":
    case "Agent":
      return [
        el(
          "div",
          { class: "asked" },
          long(word(input.prompt), (text) => markdown(text)),
        ),
      ];
    default:
      return [fields(input)];
  }
}

/// What a call returned, with what it asked for where that is only seen in what came of it.
export function returned(name, input, result) {
  let said = result
    ? joined(result.blocks).replace(/^<tool_use_error>([\s\S]*)<\/tool_use_error>/, "$1")
    : "";
  const nodes = result
    ? result.blocks.filter((block) => block.type === "image").map((block) => image(block.source))
    : [];
  if (result?.is_error)
    nodes.push(el("pre", { class: "output failed" }, long(said, terminal)));
  switch (name) {
    case "Edit":
    case "MultiEdit":
    case "Write":
    case "NotebookEdit":
      nodes.unshift(...edited(name, input, result?.noted));
      break;
    case "Read":
      if (result && !result.is_error && !nodes.length)
        nodes.push(...readFile(result.noted?.file, said));
      break;
    case "Bash":
      if (result && !result.is_error) nodes.push(...output(result.noted, said));
      break;
    case "TodoWrite":
      break;
    case "Task":
    case "Agent":
      // What the agent said, without what the harness adds for the model that reads it.
      said = joined(blocksOf(result?.noted?.content)) || said;
      if (said && !result.is_error)
        nodes.push(
          el(
            "div",
            { class: "answer" },
            long(said, (text) => markdown(text)),
          ),
        );
      break;
    default:
      if (result && !result.is_error) nodes.push(...plainOutput(result, said));
  }
  return nodes;
}

function plainOutput(result, said) {
  if (said) return [el("pre", { class: "output" }, long(said, terminal))];
  const rest = result.blocks.filter((block) => block.type !== "image" && block.type !== "text");
  return rest.length ? [fields({ content: rest })] : [];
}

/// Output of a command: both of its streams where they are told apart.
function output(noted, said) {
  const told = [word(noted?.stdout), word(noted?.stderr)];
  if (!told[0] && !told[1])
    return said ? [el("pre", { class: "output" }, long(said, terminal))] : [];
  const names = ["output", "output stderr"];
  const nodes = told.map(
    (text, index) =>
      text && el("pre", { class: names[index] }, long(text, terminal)),
  );
  if (noted.interrupted === true) nodes.push(el("p", { class: "note failed" }, "Interrupted"));
  return nodes.filter(Boolean);
}

function edited(name, input, noted) {
  if (name === "MultiEdit" && Array.isArray(input.edits) && !noted?.structuredPatch?.length) {
    return input.edits
      .slice(0, FIELDS_MAX)
      .map((edit) => diff(hunks(null, word(edit?.old_string), word(edit?.new_string))));
  }
  const after = word(input.content) || word(input.new_string) || word(input.new_source);
  const parts = hunks(
    noted?.structuredPatch,
    word(input.old_string),
    name === "Write" ? after.replace(/\n$/, "") : after,
  );
  if (name === "Write" && parts[0].before === null) parts[0].before = parts[0].after = 1;
  return [diff(parts)];
}

function diff(parts) {
  const first = drawn(parts, DIFF_LINES_MAX);
  if (first.total <= DIFF_LINES_MAX) return first.node;
  const holder = el("div", {}, first.node);
  holder.append(
    button(
      `Show all ${plural(first.total, "line")}`,
      () => holder.replaceChildren(drawn(parts, 20000).node),
      { class: "more" },
    ),
  );
  return holder;
}

/// A file with the numbers of its lines, as it was noted, or else as it was told to the model.
function readFile(file, said) {
  let lines = [];
  let start = 1;
  if (typeof file?.content === "string") {
    lines = file.content.split("\n");
    start = Number(file.startLine) || 1;
  } else {
    const told = said
      .split(/\n\s*<system-reminder>/, 1)[0]
      .split("\n")
      .map((line) => /^\s{0,10}(\d{1,9})[\t→](.*)$/s.exec(line));
    if (!told.length || !told[0])
      return said ? [el("pre", { class: "output" }, long(said, shown))] : [];
    start = Number(told[0][1]);
    lines = told.map((match) => match?.[2] ?? "");
  }
  if (lines.length > 1 && lines.at(-1) === "") lines.pop();
  const numbered = (linesMax) =>
    el(
      "pre",
      { class: "numbered" },
      lines
        .slice(0, linesMax)
        .map((line, index) =>
          el(
            "span",
            { class: "line", "data-number": start + index },
            shown(line.slice(0, CHARS_MAX)),
            "\n",
          ),
        ),
    );
  const node = el("div", {}, numbered(NUMBERED_LINES_MAX));
  if (lines.length > NUMBERED_LINES_MAX) {
    node.append(
      button(
        `Show all ${plural(lines.length, "line")}`,
        () => node.replaceChildren(numbered(20000)),
        { class: "more" },
      ),
    );
  }
  return [node];
}

function todos(list) {
  const items = (Array.isArray(list) ? list : []).slice(0, FIELDS_MAX).map((item) => {
    const status = word(item?.status);
    const mark = { completed: "☑", in_progress: "▶" }[status] ?? "☐";
    const name = { completed: "done", in_progress: "in progress" }[status] ?? "to do";
    return el(
      "li",
      { class: `todo ${status === "completed" ? "done" : ""}` },
      el("span", { role: "img", "aria-label": name }, mark),
      " ",
      shown(word(item?.content) || word(item?.subject)),
    );
  });
  return el("ul", { class: "todos" }, items);
}

/// Names and values of something unknown.
export function fields(value) {
  const entries = Object.entries(value).slice(0, FIELDS_MAX);
  if (!entries.length) return el("p", { class: "note" }, "nothing");
  return el(
    "dl",
    { class: "fields" },
    entries.map(([name, value]) => [
      el("dt", {}, shown(flat(name, 200))),
      el("dd", {}, valued(value)),
    ]),
  );
}

function valued(value) {
  if (typeof value === "string")
    return value.includes("\n") || value.length > 200
      ? el("pre", { class: "output" }, long(value, shown))
      : shown(value);
  if (typeof value !== "object" || value === null) return el("code", {}, String(value));
  return el("pre", { class: "output" }, long(pretty(value), shown));
}

/// JSON over several lines; what lies too deep on one.
export function pretty(value, depth = 0) {
  if (typeof value !== "object" || value === null || depth >= JSON_DEPTH_MAX) return compact(value);
  const list = Array.isArray(value);
  const entries = Object.entries(value);
  if (!entries.length) return list ? "[]" : "{}";
  const indent = "  ".repeat(depth + 1);
  const lines = entries.map(
    ([name, value]) =>
      indent + (list ? "" : `${JSON.stringify(name)}: `) + pretty(value, depth + 1),
  );
  return `${list ? "[" : "{"}\n${lines.join(",\n")}\n${"  ".repeat(depth)}${list ? "]" : "}"}`;
}

function compact(value) {
  try {
    return JSON.stringify(value) ?? "null";
  } catch {
    // Deeper than the engine goes.
    return "…";
  }
}

/// A text by `draw`, its beginning alone when it is long.
export function long(text, draw) {
  if (text.length <= CHARS_MAX) return draw(text);
  const holder = el("span", { class: "long" }, draw(text.slice(0, CHARS_MAX)));
  const rest = text.length - CHARS_MAX;
  holder.append(
    button(
      `Show ${bytes(Math.min(rest, MORE_CHARS_MAX))} more`,
      () =>
        holder.replaceChildren(
          ...[draw(text.slice(0, CHARS_MAX + MORE_CHARS_MAX))].flat(),
          rest > MORE_CHARS_MAX ? "\n… the raw line holds the rest" : "",
        ),
      { class: "more" },
    ),
  );
  return [holder];
}

/// A picture of a format that holds pixels alone; anything else is only named.
export function image(source) {
  const type = word(source?.media_type);
  const data = word(source?.data);
  if (
    word(source?.type) !== "base64" ||
    !IMAGES.includes(type) ||
    data.length > IMAGE_CHARS_MAX ||
    !/^[A-Za-z0-9+/]*={0,2}$/.test(data)
  ) {
    return el(
      "p",
      { class: "note" },
      `A picture that is not shown: ${flat(type, 60) || "of no known format"}`,
    );
  }
  const node = el("img", { class: "picture", alt: "Picture", src: `data:${type};base64,${data}` });
  node.addEventListener("error", () =>
    node.replaceWith(el("p", { class: "note" }, "A picture that cannot be shown")),
  );
  return node;
}
