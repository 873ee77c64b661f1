// A file of a session, drawn where somebody looks. Its lines lie in chunks: each is a box that is
// as high as its lines are, or as they are thought to be until they were drawn once. Boxes near the
// view are filled, those far away are emptied, and what the reader looks at stays where it is.

import { button, el, flat } from "./dom.js";
import { get } from "./api.js";
import { read, resultsOf, word } from "./events.js";
import { plural } from "./format.js";
import { Rows } from "./rows.js";

// Lines of a chunk, and of a request.
export const CHUNK_LINES = 40;
const REQUEST_LINES_MAX = 480;
// Drawn chunks that are kept although they are far away.
const FAR_CHUNKS_MAX = 12;
// Milliseconds of a frame that go into drawing.
const FRAME_SHARE = 6;
// Pixels around the view within which everything is drawn.
const MARGIN = 1600;
const LINE_HEIGHT_GUESS = 40;
const AGENT_DEPTH_MAX = 8;

/// A file of a session within a page.
export class Transcript {
  /// `session` has `id` and `files`; `href(file, line)` is a line's address. `page.keep(act)` acts
  /// without moving what the reader looks at.
  constructor(session, file, host, page, depth = 0) {
    this.session = session;
    this.file = file;
    this.host = host;
    this.page = page;
    this.depth = depth;
    this.lastLine = 0;
    this.chunks = [];
    this.calls = new Map();
    this.results = new Map();
    this.agents = new Set();
    // What looks again for its agent when a file comes.
    this.waiting = new Set();
    this.far = new Set();
    // What is being fetched.
    this.loads = new Set();
    // Chunks that are read and wait to be drawn.
    this.due = new Set();
    this.abort = new AbortController();
    this.seen = new IntersectionObserver((entries) => this.look(entries), {
      rootMargin: `${MARGIN}px 0px`,
    });
    this.sized = new ResizeObserver((entries) => {
      this.page.resized(entries);
      reachable(entries.map(({ target }) => target));
    });
    host.style.setProperty("--line-height-guess", `${LINE_HEIGHT_GUESS}px`);
  }

  href(line) {
    return this.page.href(this.file, line);
  }

  /// The file has so many lines. What a chunk lacks of them is fetched, unless they are on their way
  /// already.
  extend(lastLine, isComing = false) {
    if (lastLine <= this.lastLine) return;
    const last = this.chunks.at(-1);
    if (last && last.to - last.from + 1 < CHUNK_LINES) {
      last.to = Math.min(lastLine, last.from + CHUNK_LINES - 1);
      last.node.style.setProperty("--lines", last.to - last.from + 1);
      if (!isComing) this.complete(last);
    }
    const fragment = document.createDocumentFragment();
    for (let from = (this.chunks.at(-1)?.to ?? 0) + 1; from <= lastLine; from += CHUNK_LINES) {
      const to = Math.min(lastLine, from + CHUNK_LINES - 1);
      const node = el("div", { class: "chunk" });
      node.style.setProperty("--lines", to - from + 1);
      const chunk = {
        from,
        to,
        node,
        state: "empty",
        events: [],
        rows: null,
        near: false,
        isPinned: false,
      };
      node.chunk = chunk;
      this.chunks.push(chunk);
      fragment.append(node);
      this.seen.observe(node);
    }
    this.host.append(fragment);
    this.lastLine = lastLine;
  }

  /// Forgets everything.
  close() {
    this.isClosed = true;
    this.abort.abort();
    for (const { abort } of this.loads) abort.abort();
    cancelAnimationFrame(this.drawing);
    this.seen.disconnect();
    this.sized.disconnect();
    for (const agent of this.agents) agent.close();
  }

  chunkOf(line) {
    return this.chunks[Math.floor((line - 1) / CHUNK_LINES)] ?? this.chunks.at(-1);
  }

  look(entries) {
    for (const { target, isIntersecting } of entries) {
      const { chunk } = target;
      chunk.near = isIntersecting;
      if (isIntersecting) this.far.delete(chunk);
      else if (chunk.state === "drawn") this.far.add(chunk);
    }
    for (const chunk of this.chunks) {
      if (!chunk.near) continue;
      if (chunk.state === "empty") this.load(chunk);
      else if (chunk.state === "read") this.drawSoon(chunk);
    }
    // Whoever drags the scroll bar along leaves a trail of what nobody waits for any more.
    for (const { chunks, abort } of this.loads) {
      if (!chunks.some((chunk) => chunk.near || chunk.isWanted)) abort.abort();
    }
    this.forget();
  }

  /// Empties what is far away; its box keeps the height.
  forget() {
    for (const chunk of this.far) {
      if (this.far.size <= FAR_CHUNKS_MAX) break;
      this.far.delete(chunk);
      if (
        chunk.isPinned ||
        chunk.state !== "drawn" ||
        chunk.node.querySelector("details[open], .raw, :focus")
      )
        continue;
      chunk.node.style.setProperty("--height", `${chunk.node.offsetHeight}px`);
      chunk.node.classList.add("measured");
      chunk.node.replaceChildren();
      chunk.node.classList.remove("drawn");
      this.sized.unobserve(chunk.node);
      chunk.rows = null;
      chunk.events = [];
      chunk.state = "empty";
    }
  }

  /// Fetches a chunk and those behind it that are wanted as well.
  async load(first) {
    const start = this.chunks.indexOf(first);
    const wanted = [];
    for (
      let at = start;
      at < this.chunks.length && wanted.length * CHUNK_LINES < REQUEST_LINES_MAX;
      at += 1
    ) {
      const chunk = this.chunks[at];
      if (chunk.state !== "empty" || !(chunk.near || chunk === first)) break;
      chunk.state = "loading";
      wanted.push(chunk);
    }
    const load = { chunks: wanted, abort: new AbortController() };
    this.loads.add(load);
    let from = first.from;
    try {
      for (const chunk of wanted) {
        while (chunk.state === "loading") from = await this.fetch(from, load);
      }
    } catch (error) {
      if (error.name === "AbortError") {
        wanted.filter((chunk) => chunk.state === "loading").forEach(forgetLines);
        // Somebody may have come back meanwhile.
        for (const chunk of wanted) if (this.isLost(chunk)) this.load(chunk);
        return;
      }
      if (!error.isAnswer) throw error;
      for (const chunk of wanted) if (chunk.state === "loading") this.fail(chunk, error);
    } finally {
      this.loads.delete(load);
    }
  }

  /// Wanted again, and nobody fetches it.
  isLost(chunk) {
    return chunk.near && chunk.state === "empty" && !this.isClosed;
  }

  /// Fetches lines from one on, gives them to their chunks, and says which is the next one.
  async fetch(from, { chunks: wanted, abort }) {
    const to = wanted.at(-1).to;
    const limit = Math.min(to - from + 1, REQUEST_LINES_MAX);
    const first = this.first?.from === from ? this.first.answer : null;
    this.first = null;
    const answer = await (first ?? this.ask(from, limit, abort.signal)).catch((error) => {
      error.isAnswer = true;
      throw error;
    });
    for (const { line, raw } of answer.events) {
      const chunk = this.chunkOf(line);
      if (chunk.state === "loading") chunk.events.push(read(line, raw));
    }
    const next = answer.events.length ? answer.events.at(-1).line + 1 : to + 1;
    for (const chunk of wanted) {
      if (chunk.state === "loading" && (next > chunk.to || answer.next === null))
        this.arrived(chunk);
    }
    return next;
  }

  ask(from, limit, signal = this.abort.signal) {
    const path = `/sessions/${encodeURIComponent(this.session.id)}/events`;
    return get(path, { file: this.file, from, limit }, signal);
  }

  fail(chunk, error) {
    chunk.state = "failed";
    chunk.events = [];
    const again = () => {
      chunk.state = "empty";
      chunk.node.replaceChildren();
      this.load(chunk);
    };
    chunk.node.replaceChildren(
      el(
        "p",
        { class: "problem", role: "alert" },
        `Lines ${chunk.from} to ${chunk.to} cannot be read: ${error.message}. `,
        button("Try again", again),
      ),
    );
  }

  /// The lines of a chunk are there.
  arrived(chunk) {
    chunk.state = "read";
    this.note(chunk.events);
    // What is waited for is drawn at once, the rest without holding up a frame.
    if (chunk.isWanted || (chunk.near && !this.isMarked)) this.page.keep(() => this.draw(chunk));
    else if (chunk.near) this.drawSoon(chunk);
    chunk.ready?.();
    // It may have grown meanwhile.
    this.complete(chunk);
  }

  /// Draws chunks one after the other, as many in a frame as fit.
  drawSoon(chunk) {
    this.due.add(chunk);
    this.drawing ||= requestAnimationFrame(() => this.drawDue());
  }

  drawDue() {
    this.drawing = 0;
    const end = performance.now() + FRAME_SHARE;
    this.page.keep(() => {
      for (const chunk of this.due) {
        this.due.delete(chunk);
        if (chunk.state === "read" && chunk.near) this.draw(chunk);
        if (performance.now() > end) break;
      }
    });
    if (this.due.size) this.drawing = requestAnimationFrame(() => this.drawDue());
  }

  /// Fetches what a chunk lacks at its end. One that is empty, or has become so, is fetched whole when
  /// it is looked at.
  async complete(chunk) {
    if (chunk.isCompleting || !(chunk.state === "read" || chunk.state === "drawn")) return;
    const from = (chunk.events.at(-1)?.line ?? chunk.from - 1) + 1;
    if (from > chunk.to) return;
    chunk.isCompleting = true;
    try {
      const answer = await this.ask(from, chunk.to - from + 1);
      this.append(answer.events);
      chunk.isCompleting = false;
      if (answer.events.length) this.complete(chunk);
    } catch {
      // The next line that arrives tries again.
      chunk.isCompleting = false;
    }
  }

  /// Lines that have just been written. What is not next to what is known is fetched when it is
  /// looked at.
  append(lines) {
    const fresh = new Map();
    const reached = new Set();
    if (lines.length) this.extend(Math.max(...lines.map(({ line }) => line)), true);
    for (const { line, raw } of lines) {
      const chunk = this.chunkOf(line);
      reached.add(chunk);
      const next = (chunk.events.at(-1)?.line ?? chunk.from - 1) + 1;
      if (
        line !== next ||
        !(
          chunk.state === "read" ||
          chunk.state === "drawn" ||
          (chunk.state === "empty" &&
            line === chunk.from &&
            !chunk.node.classList.contains("measured"))
        )
      )
        continue;
      const event = read(line, raw);
      chunk.events.push(event);
      if (chunk.state === "empty") chunk.state = "read";
      if (!fresh.has(chunk)) fresh.set(chunk, []);
      fresh.get(chunk).push(event);
    }
    this.page.keep(() => {
      for (const [chunk, events] of fresh) {
        this.note(events);
        if (chunk.state === "drawn") this.drawMore(chunk, events);
        else if (chunk.near) this.draw(chunk);
      }
    });
    // Where lines were missed in between, they are asked for once.
    for (const chunk of reached) this.complete(chunk);
  }

  /// Calls and results find each other, in whatever order their lines come.
  note(events) {
    const found = new Set();
    for (const event of events) {
      for (const block of event.kind === "said" ? event.blocks : []) {
        if (block.type === "tool_use" || block.type === "server_tool_use") {
          this.calls.set(word(block.id), event.line);
          found.add(word(block.id));
        }
      }
      for (const result of resultsOf(event)) {
        result.raw = event.raw;
        this.results.set(result.id, result);
        this.fill(result);
      }
    }
    for (const chunk of this.chunks) {
      if (chunk.rows?.orphans.some((id) => found.has(id))) this.page.keep(() => this.draw(chunk));
    }
  }

  fill(result) {
    const line = this.calls.get(result.id);
    const chunk = line === undefined ? null : this.chunkOf(line);
    const fill = chunk?.rows?.slots.get(result.id);
    if (!fill) return;
    this.page.touch(chunk);
    this.page.keep(() => fill(result));
    chunk.rows.slots.delete(result.id);
  }

  draw(chunk) {
    const before = this.chunks[this.chunks.indexOf(chunk) - 1];
    const rows = new Rows(this, before?.rows?.who ?? "");
    for (const event of chunk.events) rows.add(event);
    rows.flush();
    chunk.rows = rows;
    chunk.state = "drawn";
    this.page.touch(chunk);
    chunk.node.replaceChildren(...rows.nodes);
    chunk.node.classList.add("drawn");
    this.sized.observe(chunk.node);
    // How long the first lines took, for whoever measures it.
    if (!this.isMarked) {
      this.isMarked = true;
      performance.mark("confab-drawn");
    }
    if (!this.isMeasured && chunk.events.length >= CHUNK_LINES) {
      this.isMeasured = true;
      const each = Math.max(6, chunk.node.offsetHeight / chunk.events.length);
      this.host.style.setProperty("--line-height-guess", `${each.toFixed(1)}px`);
    }
    if (!chunk.near) this.far.add(chunk);
  }

  /// Draws what was added to the end of a drawn chunk.
  drawMore(chunk, events) {
    const { rows } = chunk;
    const start = rows.nodes.length;
    this.page.touch(chunk);
    for (const event of events) rows.add(event);
    rows.flush();
    chunk.node.append(...rows.nodes.slice(start));
  }

  /// Brings a line into view, and returns its element.
  async show(line) {
    line = Math.max(1, Math.min(line, this.lastLine));
    const chunk = this.chunkOf(line);
    if (!chunk) return null;
    if (chunk.state !== "drawn") {
      chunk.node.scrollIntoView({ block: "start", behavior: "instant" });
      chunk.isWanted = true;
      if (chunk.state === "empty") this.load(chunk);
      if (chunk.state === "read") this.draw(chunk);
      if (chunk.state === "loading") await new Promise((ready) => (chunk.ready = ready));
      chunk.isWanted = false;
      if (chunk.state !== "drawn") return null;
    }
    let place = chunk.rows.of.get(line);
    // A result stands beside its call, which may lie before.
    for (let at = line; !place && at >= chunk.from; at -= 1) place = chunk.rows.of.get(at);
    const near = chunk.rows.of.get(line) ?? this.besides(chunk, line) ?? place;
    const node = near?.open?.() ?? near?.node ?? chunk.node;
    node.scrollIntoView({ block: "start", behavior: "instant" });
    return node;
  }

  /// Where the call of a result stands, when it stands in another chunk.
  besides(chunk, line) {
    const event = chunk.events.find((event) => event.line === line);
    const call = event
      ? resultsOf(event)
          .map((result) => this.calls.get(result.id))
          .find((line) => line !== undefined)
      : undefined;
    return call === undefined ? undefined : this.chunkOf(call).rows?.of.get(call);
  }

  /// An agent within the call that started it.
  agent(call, result) {
    const holder = el("div", { class: "agent" });
    if (this.depth >= AGENT_DEPTH_MAX) return holder;
    let nested = null;
    const body = el("div", { class: "agent-lines" });
    const label = el("span", {}, "Agent");
    const fold = el("details", { class: "fold agent-fold" }, el("summary", {}, label));
    const open = async () => {
      if (!fold.open || nested) return;
      const file = await this.page.agentFile(call, result());
      if (!file) {
        this.waiting.add(open);
        body.replaceChildren(el("p", { class: "note" }, "No lines of this agent have arrived."));
        return;
      }
      this.waiting.delete(open);
      body.replaceChildren();
      nested = new Transcript(this.session, file.file_name, body, this.page, this.depth + 1);
      this.agents.add(nested);
      nested.extend(file.last_synced_line);
      const name = flat(file.file_name.split("/").at(-1), 60);
      label.textContent = `Agent: ${plural(file.last_synced_line, "line")}, ${name}`;
    };
    fold.addEventListener("toggle", open);
    fold.append(body);
    holder.append(fold);
    return holder;
  }

  /// A file of an agent has grown: whoever shows it goes on.
  grown(file, lastLine) {
    for (const open of this.waiting) open();
    for (const agent of this.agents) {
      if (agent.file === file) agent.extend(lastLine);
      agent.grown(file, lastLine);
    }
  }
}

/// What scrolls within chunks can be reached by keys, under a name; what does not is no stop. All of
/// it is measured before anything is changed.
function reachable(nodes) {
  const parts = nodes.flatMap((node) => [...node.querySelectorAll("pre, .scrolls, .meta")]);
  const changed = parts
    .map((part) => ({
      part,
      scrolls:
        part.scrollHeight > part.clientHeight + 1 || part.scrollWidth > part.clientWidth + 1,
    }))
    .filter(({ part, scrolls }) => scrolls !== part.hasAttribute("tabindex"));
  for (const { part, scrolls } of changed) {
    if (!scrolls) {
      for (const name of ["tabindex", "role"]) part.removeAttribute(name);
      continue;
    }
    const name = part.matches(".scrolls") ? "Table" : part.matches(".code") ? "Code" : "Output";
    part.setAttribute("tabindex", "0");
    part.setAttribute("role", "group");
    if (!part.hasAttribute("aria-label")) part.setAttribute("aria-label", name);
  }
}

/// As if a chunk had never been asked for.
function forgetLines(chunk) {
  chunk.state = "empty";
  chunk.events = [];
}
