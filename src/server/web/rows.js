// Lines of a transcript as rows of the page.

import { terminal } from "./ansi.js";
import { button, copier, el, flat, shown } from "./dom.js";
import { joined, word } from "./events.js";
import { brief, hour, moment, plural } from "./format.js";
import { markdown } from "./markdown.js";
import { asked, fields, image, long, pretty, returned, summary } from "./tools.js";

const RAW_CHARS_MAX = 400000;
const AGENTS = ["Task", "Agent"];
const CALLS = ["tool_use", "server_tool_use"];

/// Draws lines one after the other. What it needs of the transcript that they belong to:
/// `href(line)`, `calls` and `results` by their id, and `agent(call, result)`, which makes the node
/// of an agent that was called.
export class Rows {
  constructor(transcript, who) {
    this.transcript = transcript;
    /// The element of each line.
    this.of = new Map();
    /// Where results go that are not there yet.
    this.slots = new Map();
    /// Results whose call is not known yet.
    this.orphans = [];
    this.nodes = [];
    this.others = [];
    this.who = who;
  }

  /// Adds a line.
  add(event) {
    const body = this.body(event);
    if (body === null) {
      if (event.kind === "other") this.others.push(event);
      return;
    }
    this.flush();
    this.push(event, body);
  }

  /// Ends a run of lines that are no part of the conversation.
  flush() {
    const events = this.others;
    if (!events.length) return;
    this.others = [];
    const [first, last] = [events[0].line, events.at(-1).line];
    const name = `${plural(events.length, "further line")}`;
    const kinds = [...new Set(events.map((event) => event.label))].slice(0, 4).join(", ");
    const fold = el(
      "details",
      { class: "others" },
      el("summary", {}, el("span", {}, name), " ", el("span", { class: "hint" }, flat(kinds))),
    );
    const open = () => {
      if (fold.childElementCount > 1) return;
      for (const event of events) fold.append(this.other(event));
    };
    fold.addEventListener("toggle", () => fold.open && open());
    const node = el(
      "div",
      { class: "row is-other", "data-line": first },
      this.gutter(first, last),
      el("div", { class: "body" }, fold),
    );
    // A link to one of these lines opens the fold.
    for (const event of events)
      this.of.set(event.line, {
        node,
        open: () => ((fold.open = true), open(), fold.querySelector(`[data-line="${event.line}"]`)),
      });
    this.nodes.push(node);
  }

  push(event, body) {
    const node = el("article", {
      class: `row is-${event.kind}${event.side ? " side" : ""}`,
      "data-line": event.line,
    });
    node.append(this.gutter(event.line), el("div", { class: "body" }, this.heading(event), body));
    this.of.set(event.line, { node });
    this.nodes.push(node);
  }

  /// Numbers that link to the line itself.
  gutter(line, last = line) {
    const name = last > line ? `${line}–${last}` : String(line);
    return el("div", { class: "gutter" }, this.link(line, name));
  }

  link(line, name = String(line)) {
    return el(
      "a",
      { class: "line-link", href: this.transcript.href(line), "aria-label": `Line ${name}` },
      name,
    );
  }

  /// Who speaks, where that changes; and the way to the raw line.
  heading(event) {
    const names = {
      prompt: "You",
      said: "Claude",
      summary: "Summary",
      error: "Error",
      command: "Command",
      output: "Output",
    };
    const who =
      (event.side && { prompt: "Task", said: "Agent" }[event.kind]) || (names[event.kind] ?? "");
    const isNew = who !== "" && who !== this.who;
    if (who) this.who = who;
    const time = event.time
      ? el("time", { datetime: event.time, title: moment(event.time) }, hour(event.time))
      : null;
    const marks = [
      isNew ? el("span", { class: "who" }, who) : null,
      isNew && event.model
        ? el("span", { class: "quiet model" }, shown(flat(event.model, 60)))
        : null,
      event.queued ? el("span", { class: "quiet" }, "while it worked") : null,
    ];
    // A call says the same in its own head.
    const isCall =
      event.kind === "said" && event.blocks.length === 1 && CALLS.includes(event.blocks[0].type);
    const aside = isCall ? null : el("span", { class: "aside" }, time, this.rawButton(event));
    return isNew || aside
      ? el("header", { class: `head ${isNew ? "new" : ""}` }, marks, aside)
      : null;
  }

  rawButton(event) {
    let raw = null;
    const toggle = (click) => {
      const self = click.currentTarget;
      if (raw) {
        raw.remove();
        raw = null;
      } else {
        raw = rawNode(event.raw);
        (self.closest("[data-raw-after]") ?? self.closest("header")).after(raw);
      }
      self.setAttribute("aria-expanded", String(raw !== null));
    };
    return button("{ }", toggle, {
      class: "raw-button",
      "aria-expanded": "false",
      "aria-label": `Raw line ${event.line}`,
      title: "Raw line",
    });
  }

  /// A line that nobody said, within a fold.
  other(event) {
    const head = el(
      "header",
      { class: "head" },
      this.link(event.line),
      el("span", { class: "label" }, shown(flat(event.label, 80))),
      el(
        "span",
        { class: "aside" },
        event.time
          ? el("time", { datetime: event.time, title: moment(event.time) }, hour(event.time))
          : null,
        this.rawButton(event),
      ),
    );
    const parts = event.blocks.length
      ? [el("div", { class: "meta" }, long(joined(event.blocks), shown))]
      : [];
    return el("div", { class: "one", "data-line": event.line }, head, parts);
  }

  /// The content of a row; null when the line has no row of its own.
  body(event) {
    switch (event.kind) {
      case "prompt":
      case "said":
        return event.blocks.map((block) => this.block(event, block));
      case "results":
        return this.results(event);
      case "summary":
        return [folded("Conversation so far, summed up", "", () => markdown(joined(event.blocks)))];
      case "compacted":
        return [el("p", { class: "divider" }, compaction(event))];
      case "interrupted":
        return [
          el("p", { class: "divider failed" }, shown(flat(event.text.replace(/^\[|\]$/g, "")))),
        ];
      case "error":
        return [el("div", { class: "problem" }, long(event.text, shown))];
      case "notice":
        return [el("div", { class: "notice" }, long(event.text, terminal))];
      case "command":
        return [el("p", { class: "slash" }, el("code", {}, shown(event.text)))];
      case "output":
        return event.text.trim()
          ? [el("pre", { class: "output" }, long(event.text, terminal))]
          : null;
      case "broken":
        return [
          el("p", { class: "note failed" }, "This line is not JSON."),
          el("pre", { class: "output" }, long(String(event.raw), shown)),
        ];
      default:
        return null;
    }
  }

  block(event, block) {
    switch (block.type) {
      case "text":
        return el(
          "div",
          { class: "text" },
          long(word(block.text), (text) => markdown(text)),
        );
      case "thinking":
        return this.thinking(word(block.thinking));
      case "redacted_thinking":
        return el("p", { class: "note" }, "Thinking that is kept secret");
      case "image":
        return image(block.source);
      case "tool_use":
      case "server_tool_use":
        return this.call(event, block);
      default:
        return folded(flat(word(block.type) || "something else", 60), "", () => [fields(block)]);
    }
  }

  thinking(text) {
    if (!text.trim()) return el("p", { class: "note" }, "Thinking that was not recorded");
    return folded(
      "Thinking",
      flat(text, 120),
      () => long(text, (part) => markdown(part)),
      "thinking",
    );
  }

  /// A call with its result beside it, or the place for it.
  call(event, block) {
    const id = word(block.id);
    const name = word(block.name) || "tool";
    const input = typeof block.input === "object" && block.input !== null ? block.input : {};
    const card = el("div", {
      class: "tool",
      role: "group",
      "aria-label": `Tool ${flat(name, 60)}`,
    });
    const state = el("span", { class: "state" });
    const time = event.time
      ? el("time", { datetime: event.time, title: moment(event.time) }, hour(event.time))
      : null;
    const links = el("span", { class: "aside" });
    const own = el("span", { class: "aside" }, time, this.rawButton(event));
    card.append(
      el(
        "header",
        { class: "tool-head", "data-raw-after": true },
        el("span", { class: "tool-name" }, shown(flat(name, 80))),
        el("span", { class: "tool-summary" }, shown(flat(summary(name, input), 240))),
        state,
        own,
        links,
      ),
      ...asked(name, input),
    );
    const slot = el("div", { class: "slot" });
    card.append(slot);
    const fill = (result) => {
      card.classList.toggle("failed", result?.is_error === true);
      card.classList.toggle("waiting", !result);
      state.replaceChildren(...(result ? (result.is_error ? ["failed"] : []) : ["no result yet"]));
      slot.replaceChildren(...returned(name, input, result));
      if (!result) return;
      links.replaceChildren(
        "→ ",
        this.link(result.line),
        this.rawButton({ line: result.line, raw: result.raw }),
      );
      this.of.set(result.line, { node: card });
    };
    const result = this.transcript.results.get(id);
    fill(result ?? null);
    if (!result) this.slots.set(id, fill);
    if (AGENTS.includes(name))
      card.append(
        this.transcript.agent({ id, name, input }, () => this.transcript.results.get(id)),
      );
    return card;
  }

  /// Results stand beside their calls; those without one, and what else the line says, stand here.
  results(event) {
    const nodes = [];
    for (const block of event.blocks) {
      const id = word(block.tool_use_id);
      if (block.type !== "tool_result") nodes.push(...this.besides(event, block));
      else if (!this.transcript.calls.has(id)) {
        this.orphans.push(id);
        const result = this.transcript.results.get(id);
        const content = result ? returned("", {}, result) : [];
        nodes.push(
          el(
            "div",
            {
              class: `tool ${result?.is_error ? "failed" : ""}`,
              role: "group",
              "aria-label": "Result",
            },
            el("header", { class: "tool-head" }, el("span", { class: "tool-name" }, "Result")),
            content,
          ),
        );
      }
    }
    return nodes.length ? nodes : null;
  }

  besides(event, block) {
    const said = word(block.text);
    if (said.startsWith("[Request interrupted"))
      return [el("p", { class: "divider failed" }, shown(flat(said.replace(/^\[|\]$/g, ""))))];
    return said.trim() || block.type !== "text" ? [this.block(event, block)] : [];
  }
}

/// A line as it is stored.
function rawNode(raw) {
  const text = typeof raw === "string" ? raw : pretty(raw);
  const copied = () => (typeof raw === "string" ? raw : JSON.stringify(raw));
  const copy = copier(copied, { class: "small" });
  return el(
    "div",
    { class: "raw" },
    copy,
    el(
      "pre",
      { "aria-label": "Raw line" },
      long(text.slice(0, RAW_CHARS_MAX), shown),
    ),
  );
}

/// A fold whose content is made when it is opened.
function folded(name, hint, content, kind = "") {
  const fold = el(
    "details",
    { class: `fold ${kind}` },
    el("summary", {}, name, " ", hint ? el("span", { class: "hint" }, hint) : null),
  );
  fold.addEventListener(
    "toggle",
    () =>
      fold.open &&
      fold.childElementCount === 1 &&
      fold.append(el("div", { class: "text" }, content())),
  );
  return fold;
}

function compaction({ trigger, before, after }) {
  const how = trigger ? `Compacted (${flat(trigger, 20)})` : "Compacted";
  if (typeof before !== "number") return how;
  const left = typeof after === "number" ? ` → ${brief(after)}` : "";
  return `${how}: ${brief(before)} tokens${left}`;
}
