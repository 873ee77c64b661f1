// A session, read from its first line to the one that is being written.

import { BASE, Refusal, SHARE, address, follow, get } from "./api.js";
import { counted, facts, mainFile, missing } from "./about.js";
import { agentFile } from "./agents.js";
import { actions } from "./dialogs.js";
import { announce, button, el, flat, shown } from "./dom.js";
import { read } from "./events.js";
import { count, plural } from "./format.js";
import { CHUNK_LINES, Transcript } from "./transcript.js";

// Pixels from the end within which the reader is taken along.
const END_NEAR = 120;
// Pixels from the top within which the line that was gone to is the one that is read.
const MARKED_NEAR = 60;
const FIRST_LINES = 3 * CHUNK_LINES;

/// Shows a session, or the one that a link leads to; returns what ends that.
export function sessionPage(main, id, query, hash) {
  const page = new SessionPage(
    main,
    id === null ? null : decodeURIComponent(id),
    query.get("file"),
    hash,
  );
  page.open();
  return page;
}

class SessionPage {
  constructor(main, id, file, hash) {
    this.main = main;
    this.id = id;
    this.wanted = file;
    this.line = Number(/^#L(\d{1,9})$/.exec(hash)?.[1] ?? 0);
    this.pending = [];
    this.unseen = 0;
    // Counts where the reader wanted to go.
    this.turn = 0;
    // The line that is being gone to.
    this.going = null;
    this.keeping = 0;
    this.touched = new Set();
    this.ends = [];
    this.agentPrompts = new Map();
  }

  async open() {
    this.main.replaceChildren(el("p", { class: "loading" }, "Loading…"));
    if (this.id === null && !(await this.find())) return;
    // Both are asked for at once: what is shown first waits for neither.
    const from = Math.max(1, this.line - ((this.line - 1) % CHUNK_LINES));
    const parameters = { file: this.wanted, from, limit: FIRST_LINES };
    const path = `/sessions/${encodeURIComponent(this.id)}`;
    const first = get(`${path}/events`, parameters);
    first.catch(() => {});
    try {
      this.session = await get(path, { figures: false });
    } catch (error) {
      if (!this.isClosed) this.main.replaceChildren(missing(error));
      return;
    }
    if (this.isClosed) return;
    this.file = this.wanted ?? mainFile(this.session)?.file_name ?? null;
    this.host = el("div", { class: "lines", role: "region", "aria-label": "Transcript" });
    this.draw();
    this.transcript = new Transcript(this.session, this.file, this.host, this);
    this.transcript.first = { from, answer: first };
    const entry = this.session.files.find((file) => file.file_name === this.file);
    this.transcript.extend(entry?.last_synced_line ?? 0);
    if (!entry?.last_synced_line)
      this.host.before(el("p", { class: "empty", id: "nothing" }, "Nothing has arrived yet."));
    if (this.line) this.goTo(this.line);
    this.live();
    this.outline();
    this.count(path, first);
  }

  /// What is counted over all lines comes when the first ones are there to be read.
  async count(path, first) {
    await first.catch(() => {});
    const session = await get(path).catch(() => null);
    if (!session || this.isClosed) return;
    this.keep(() => this.counted.replaceChildren(...counted(session)));
  }

  /// The session that a link leads to; false when there is none.
  async find() {
    try {
      const { sessions } = await get("/sessions");
      this.id = sessions[0]?.id ?? null;
      if (this.id === null) throw new Refusal(404, "");
      return !this.isClosed;
    } catch (error) {
      if (!this.isClosed) this.main.replaceChildren(missing(error));
      return false;
    }
  }

  close() {
    this.isClosed = true;
    this.transcript?.close();
    for (const end of this.ends) end();
  }

  title() {
    return flat(
      this.session.summary || this.session.first_user_message || this.session.external_id,
      200,
    );
  }

  draw() {
    const { session } = this;
    document.title = `${this.title()} · confab`;
    this.status = el("span", { class: "live-state" });
    this.position = el("span", { class: "quiet", id: "position" });
    this.newer = button("", () => this.toEnd(), { class: "newer", hidden: true });
    const jumps = el(
      "div",
      { class: "jumps", role: "group", "aria-label": "Jump" },
      button("↑ Prompt", () => this.prompt(-1), { title: "Previous prompt (k)", id: "previous" }),
      button("↓ Prompt", () => this.prompt(1), { title: "Next prompt (j)", id: "next" }),
      (this.errors = button("Error", () => this.error(), {
        title: "Next error (e)",
        hidden: true,
      })),
      button("Start", () => this.goTo(1), { title: "First line (g)" }),
      button("End", () => this.toEnd(), { title: "Last line (G)" }),
    );
    const bar = el(
      "div",
      { class: "bar" },
      el(
        "div",
        { class: "bar-title" },
        this.status,
        el("span", { class: "title" }, shown(this.title())),
      ),
      this.position,
      jumps,
    );
    const top = el(
      "div",
      { class: "session-top" },
      el("h1", { tabindex: "-1" }, shown(this.title())),
      facts(session),
      (this.counted = el("div", { class: "counted" })),
      this.files(),
      this.wanted ? this.banner() : null,
      actions(session),
    );
    this.main.replaceChildren(top, bar, this.host, this.newer);
    // Whoever came by keys goes on from here.
    if (document.activeElement === document.body && !this.line)
      top.querySelector("h1").focus({ preventScroll: true });
    const scroll = () => this.scrolled();
    addEventListener("scroll", scroll, { passive: true });
    this.ends.push(() => removeEventListener("scroll", scroll));
  }

  /// The files of the session other than its transcript.
  files() {
    const others = this.session.files.filter(
      (file) => file.file_name !== mainFile(this.session)?.file_name,
    );
    if (!others.length) return null;
    const items = others.map((file) =>
      el(
        "li",
        {},
        el(
          "a",
          { href: this.href(file.file_name, 0), "data-in": true },
          shown(flat(file.file_name, 200)),
        ),
        el("span", { class: "quiet" }, ` ${plural(file.last_synced_line, "line")}`),
      ),
    );
    return el(
      "details",
      { class: "fold" },
      el("summary", {}, plural(others.length, "further file")),
      el("ul", { class: "files" }, items),
    );
  }

  banner() {
    return el(
      "p",
      { class: "notice" },
      "You read ",
      el("code", {}, shown(flat(this.file, 200))),
      ". ",
      el("a", { href: this.href(null, 0), "data-in": true }, "Back to the conversation"),
    );
  }

  /// The address of a line.
  href(file, line) {
    const query =
      file && file !== mainFile(this.session)?.file_name ? `?file=${encodeURIComponent(file)}` : "";
    const path = SHARE ? `/s/${SHARE}` : `/sessions/${encodeURIComponent(this.id)}`;
    return `${BASE}${path}${query}${line ? `#L${line}` : ""}`;
  }

  /// Changes what is drawn, and leaves what the reader looks at where it is.
  keep(act) {
    if (this.keeping) return act();
    this.keeping += 1;
    const atEnd = this.isAtEnd() && this.isFollowing;
    const anchor = this.anchor();
    const before = anchor?.getBoundingClientRect().top ?? 0;
    const line = anchor?.dataset.line;
    const chunk = anchor?.closest(".chunk");
    act();
    this.keeping -= 1;
    if (atEnd) {
      scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    } else if (anchor && scrollY > 0) {
      // It may have been drawn anew.
      const now = anchor.isConnected ? anchor : chunk?.querySelector(`[data-line="${line}"]`);
      const moved = now ? now.getBoundingClientRect().top - before : 0;
      if (Math.abs(moved) >= 1) scrollBy({ top: moved, behavior: "instant" });
    }
    for (const { node } of this.touched) node.chunk.known = node.offsetHeight;
    this.touched.clear();
  }

  /// Something changed the height of a chunk: the boxes around it know theirs anew.
  touch(chunk) {
    for (let node = chunk.node; node; node = node.parentElement?.closest(".chunk"))
      if (node.chunk) this.touched.add(node.chunk);
  }

  /// Something in a chunk has become higher by itself, as pictures do.
  resized(entries) {
    const top = this.topOfView();
    let moved = 0;
    for (const { target } of entries) {
      const { chunk } = target;
      const height = target.offsetHeight;
      const isOuter = !target.parentElement.closest(".chunk");
      if (
        isOuter &&
        chunk.known !== undefined &&
        target.getBoundingClientRect().top + chunk.known <= top
      )
        moved += height - chunk.known;
      chunk.known = height;
    }
    if (Math.abs(moved) >= 1) scrollBy({ top: moved, behavior: "instant" });
  }

  topOfView() {
    return this.main.querySelector(".bar")?.getBoundingClientRect().bottom ?? 0;
  }

  /// The row that the reader looks at.
  anchor() {
    const box = this.host.getBoundingClientRect();
    const x = Math.min(innerWidth - 2, box.left + 20);
    for (let y = Math.max(this.topOfView() + 2, box.top); y < innerHeight; y += 60) {
      const row = document.elementFromPoint(x, y)?.closest(".row, .chunk");
      if (row && this.host.contains(row)) return row;
    }
    return null;
  }

  isAtEnd() {
    return document.documentElement.scrollHeight - innerHeight - scrollY < END_NEAR;
  }

  scrolled() {
    if (this.scrolling) return;
    this.scrolling = requestAnimationFrame(() => {
      this.scrolling = 0;
      if (this.isClosed) return;
      this.isFollowing = this.isAtEnd();
      if (this.isFollowing) this.see();
      this.place();
      const h1 = this.main.querySelector("h1");
      this.main.classList.toggle("is-down", h1 ? h1.getBoundingClientRect().bottom < 60 : false);
    });
  }

  /// Which line the reader is at.
  place() {
    const at = this.current();
    this.position.textContent = at ? `${count(at)} / ${count(this.transcript.lastLine)}` : "";
  }

  current() {
    const row = this.anchor()?.closest(".lines > .chunk > .row") ?? this.anchor();
    return Number(row?.dataset.line ?? row?.chunk?.from ?? 0);
  }

  see() {
    this.unseen = 0;
    this.newer.hidden = true;
  }

  async goTo(line) {
    if (line <= 1 && !this.line) {
      scrollTo({ top: 0, behavior: "instant" });
      return;
    }
    const turn = (this.turn += 1);
    const node = await this.transcript.show(line);
    if (!node || this.isClosed || turn !== this.turn) return;
    for (const marked of this.host.querySelectorAll(".here")) marked.classList.remove("here");
    node.classList.add("here");
    node.setAttribute("tabindex", "-1");
    node.focus({ preventScroll: true });
    this.place();
  }

  /// The address has another line.
  hashChanged(hash) {
    this.line = Number(/^#L(\d{1,9})$/.exec(hash)?.[1] ?? 0);
    if (this.line) this.goTo(this.line);
  }

  toEnd() {
    this.see();
    this.isFollowing = true;
    this.transcript
      .show(this.transcript.lastLine)
      .then(() => scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" }));
  }

  /// Goes to the next or previous prompt.
  prompt(direction) {
    this.jump(this.known("prompts", ".is-prompt"), direction);
  }

  /// Lines that the server has marked, and those that are drawn: its index may be behind.
  known(name, kind) {
    const rows = this.host.querySelectorAll(`:scope > .chunk > .row${kind}`);
    const drawn = [...rows].map((row) => Number(row.dataset.line));
    return [...new Set([...(this.marks?.[name] ?? []), ...drawn])].sort((a, b) => a - b);
  }

  error() {
    this.jump(this.known("errors", ":has(.failed, .problem)"), 1);
  }

  jump(lines, direction) {
    if (!lines?.length) return;
    // Keys may come faster than lines.
    const here = this.going ?? this.marked() ?? this.current();
    const next =
      direction > 0 ? lines.find((line) => line > here) : lines.findLast((line) => line < here);
    if (next === undefined) {
      announce(direction > 0 ? "This was the last one" : "This was the first one");
      return;
    }
    announce(`Line ${next}, ${lines.indexOf(next) + 1} of ${lines.length}`);
    this.line = this.going = next;
    this.goTo(next).finally(() => {
      if (this.going === next) this.going = null;
    });
  }

  /// The line that was gone to, as long as it is at the top.
  marked() {
    const marked = this.host.querySelector(".here");
    const distance = marked ? marked.getBoundingClientRect().top - this.topOfView() : Infinity;
    if (Math.abs(distance) > MARKED_NEAR) return null;
    return Number(marked.dataset.line ?? marked.closest(".row").dataset.line);
  }

  async outline() {
    try {
      this.marks = await get(`/sessions/${encodeURIComponent(this.id)}/outline`, {
        file: this.file,
      });
      if (!this.isClosed) this.errors.hidden = !this.marks.errors.length;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  }

  /// Takes in what is being written.
  live() {
    const from = () =>
      address(`/sessions/${encodeURIComponent(this.id)}/stream`, {
        file: this.file,
        from: this.transcript.lastLine + this.pending.length + 1,
      });
    const take = () => {
      this.flushing = 0;
      const lines = this.pending.splice(0);
      if (this.isClosed || !lines.length) return;
      document.getElementById("nothing")?.remove();
      const wasFollowing = this.isFollowing;
      this.transcript.append(lines);
      for (const { line, raw } of lines)
        if (this.marks && read(line, raw).kind === "prompt") this.marks.prompts.push(line);
      if (!wasFollowing) {
        this.unseen += lines.length;
        this.newer.textContent = `${plural(this.unseen, "new line")} ↓`;
        this.newer.hidden = false;
      }
      this.place();
    };
    const end = follow(
      from,
      {
        line: (data) => {
          if (data.line > this.transcript.lastLine) this.pending.push(data);
          this.flushing ||= setTimeout(take, 16);
        },
        file: (data) => this.fileGrown(data),
        gone: () => this.gone(new Refusal(404, "")),
      },
      (isOpen, isRefused) => {
        this.state(isOpen);
        if (isRefused) this.check();
      },
    );
    this.ends.push(end);
  }

  /// The stream was refused: the session may be gone.
  async check() {
    try {
      await get(`/sessions/${encodeURIComponent(this.id)}`, { figures: false });
    } catch (error) {
      if (error.status === 404) this.gone(error);
    }
  }

  /// It was deleted, or is not shared any more: what is shown of it goes as well.
  gone(error) {
    if (this.isClosed) return;
    this.close();
    this.main.replaceChildren(missing(error));
  }

  state(isOpen) {
    this.status.className = `live-state ${isOpen ? "open" : "lost"}`;
    this.status.title = isOpen
      ? "What is written appears here"
      : "The connection is lost; trying again";
    this.status.setAttribute("role", "img");
    this.status.setAttribute("aria-label", isOpen ? "Connected" : "Not connected");
  }

  fileGrown({ file_name, file_type, last_synced_line }) {
    const known = this.session.files.find((file) => file.file_name === file_name);
    if (known) known.last_synced_line = last_synced_line;
    else this.session.files.push({ file_name, file_type, last_synced_line });
    this.transcript.grown(file_name, last_synced_line);
  }

  /// The file of an agent within the session.
  agentFile(call, result) {
    return agentFile(this.session, call, result, this.agentPrompts);
  }

  /// Keys of this page; true when one was meant.
  key(event) {
    if (this.isClosed) return false;
    const acts = {
      j: () => this.prompt(1),
      k: () => this.prompt(-1),
      e: () => this.error(),
      g: () => scrollTo({ top: 0, behavior: "instant" }),
      G: () => this.toEnd(),
    };
    acts[event.key]?.();
    return event.key in acts;
  }
}
