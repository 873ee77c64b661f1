// All sessions, and what is found in them: one box for words and filters.

import { BASE, address, follow, get } from "./api.js";
import { announce, button, el, flat, shown } from "./dom.js";
import { ago, brief, bytes, day, moment, plural } from "./format.js";

const ROWS = 60;
// Rows of one request.
const ROWS_MAX = 1000;
// What is kept while a list is on its way; of more, the list is asked for once more.
const EARLY_MAX = 1000;
// Times of rows that are older change at midnight alone.
const CHANGING_TIME = 48 * 60 * 60 * 1000;
const HITS = 30;
// Empty answers after which whoever looks for lines is asked whether to go on.
const EMPTY_ANSWERS_MAX = 10;
const TYPING_PAUSE = 160;
// Filters that are for lines alone.
const LINE_FILTER = /(?:^|\s)-?(?:tool|role):/;
const LIVE_TIME = 2 * 60 * 1000;

/// Shows the list; returns what ends that.
export function listPage(main, query, box) {
  const page = new ListPage(main, query.get("q") ?? "", box);
  page.open();
  return page;
}

class ListPage {
  constructor(main, query, box) {
    this.main = main;
    this.query = query;
    this.box = box;
    this.rows = new Map();
    this.ends = [];
    // What the stream tells while a list is on its way: the last word on each session.
    this.early = new Map();
    this.isLoaded = false;
    this.isLoading = false;
    this.cursor = null;
    // Up to where the stream has told everything.
    this.position = null;
    this.found = 0;
  }

  open() {
    document.title = "Sessions · confab";
    this.box.value = this.query;
    this.list = el("div", { class: "sessions" });
    this.hits = el("section", { class: "hits", "aria-label": "Found in conversations" });
    this.more = el("p", { class: "more-rows" });
    this.problem = el("p", { class: "problem", role: "alert", hidden: true });
    this.archived = button("Archived", () => this.toggleArchived(), {
      class: "show-archived",
      hidden: true,
      "aria-pressed": "false",
    });
    this.main.replaceChildren(
      el("h1", { class: "hidden", tabindex: "-1" }, "Sessions"),
      this.problem,
      this.list,
      this.archived,
      this.more,
      this.hits,
    );
    const typed = () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.search(this.box.value.trim()), TYPING_PAUSE);
    };
    this.box.addEventListener("input", typed);
    this.ends.push(
      () => this.box.removeEventListener("input", typed),
      () => clearTimeout(this.timer),
    );
    this.seen = new IntersectionObserver(
      (entries) => entries.some((entry) => entry.isIntersecting) && this.next(),
      { rootMargin: "800px" },
    );
    this.ends.push(() => this.seen.disconnect());
    this.today = new Date().toDateString();
    const clock = setInterval(() => this.tick(), 20000);
    const look = () => this.tick();
    document.addEventListener("visibilitychange", look);
    this.ends.push(
      () => clearInterval(clock),
      () => document.removeEventListener("visibilitychange", look),
    );
    // The list says from where the stream goes on: nothing is missed between them.
    this.load();
  }

  follow() {
    if (this.isFollowing) return;
    this.isFollowing = true;
    const told = (act) => (data, id) => {
      if (id) this.position = id;
      act(data);
    };
    this.ends.push(
      follow(() => address("/stream", { since: this.position }), {
        session: told((entry) => this.hear(entry.id, entry)),
        gone: told(({ id }) => this.hear(id, null)),
        // What was missed nobody knows any more.
        reset: told(() => this.load()),
        // The first list may have failed.
        position: told(() => this.isLoaded || this.isBusy || this.load()),
      }),
    );
  }

  close() {
    this.isClosed = true;
    this.abort?.abort();
    for (const end of this.ends) end();
  }

  search(query) {
    if (query === this.query || this.isClosed) return;
    this.query = query;
    history.replaceState(
      history.state,
      "",
      `${BASE}/${query ? `?q=${encodeURIComponent(query)}` : ""}`,
    );
    this.load();
  }

  /// Asks for sessions, as many as are shown already, and, when something is looked for, for lines.
  async load() {
    this.abort?.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    const { query } = this;
    const isAgain = this.isLoaded && this.loadedQuery === query;
    const limit = isAgain ? Math.min(ROWS_MAX, Math.max(ROWS, this.rows.size)) : ROWS;
    this.cursor = null;
    this.isBusy = true;
    this.isEarlyLost = false;
    this.main.setAttribute("aria-busy", "true");
    const isForLines = LINE_FILTER.test(query);
    const [sessions, lines] = await Promise.allSettled([
      isForLines ? { sessions: [] } : get("/sessions", { q: query, limit }, signal),
      query ? linesFrom(query, null, signal) : null,
    ]);
    // Another one is on its way, and hears what is told meanwhile.
    if (signal.aborted || this.isClosed) return;
    try {
      if (sessions.reason ?? lines.reason) throw sessions.reason ?? lines.reason;
      this.show(sessions.value, lines.value ?? null, query);
      this.tell(null);
    } catch (error) {
      this.tell(error);
    }
    this.isBusy = false;
    const early = [...this.early];
    this.early.clear();
    if (this.isLoaded) for (const [id, entry] of early) this.hear(id, entry);
    this.main.removeAttribute("aria-busy");
    this.look();
    this.follow();
    if (this.isEarlyLost) this.load();
  }

  /// Shows what was asked for in place of what is shown.
  show(answer, found, query) {
    const focused = document.activeElement?.closest?.("a.session")?.getAttribute("href");
    this.rows.clear();
    this.list.replaceChildren();
    this.today = new Date().toDateString();
    this.position ??= answer.stream_position ?? null;
    this.found = found?.hits.length ?? 0;
    this.end = Infinity;
    this.isLoaded = true;
    this.loadedQuery = query;
    this.add(answer);
    this.showHits(found, query);
    const again = focused && this.list.querySelector(`a[href="${CSS.escape(focused)}"]`);
    again?.focus({ preventScroll: true });
    if (query) announce(`${plural(this.rows.size, "session")}, ${plural(this.found, "line")}`);
  }

  tell(error) {
    this.problem.hidden = !error;
    this.problem.textContent = error ? error.message : "";
    this.box.setAttribute("aria-invalid", String(error?.status === 400));
  }

  async next() {
    if (!this.cursor || this.isLoading) return;
    this.isLoading = true;
    const { cursor, query } = this;
    try {
      const answer = await get("/sessions", { q: query, limit: ROWS, cursor });
      if (cursor === this.cursor && !this.isClosed) this.add(answer);
    } catch (error) {
      if (cursor === this.cursor) {
        this.tell(error);
        this.more.replaceChildren(button("Try again", () => this.next()));
      }
      this.isLoading = false;
      return;
    }
    this.isLoading = false;
    this.look();
  }

  /// Looks anew whether the end of the list is in view: where it still is, nobody would say so.
  look() {
    this.seen.unobserve(this.more);
    if (!this.isClosed) this.seen.observe(this.more);
  }

  /// The stream tells of a session; null when it is gone. While a list is on its way, that waits.
  hear(id, entry) {
    if (!this.isBusy && !this.isLoaded) return;
    if (!this.isBusy) {
      if (entry) this.arrived(entry);
      else this.gone(id);
    } else if (this.early.size < EARLY_MAX || this.early.has(id)) {
      this.early.set(id, entry);
    } else {
      this.isEarlyLost = true;
    }
  }

  /// A session was deleted, or belongs further down than the list goes by now.
  gone(id) {
    const known = this.rows.get(id);
    if (!known) return;
    const section = known.node.closest("section");
    known.node.remove();
    this.rows.delete(id);
    if (section && !section.querySelector("li")) section.remove();
    this.empty();
  }

  add({ sessions, next_cursor }) {
    this.cursor = next_cursor ?? null;
    this.end = sessions.length ? activity(sessions.at(-1)) : this.end;
    for (const entry of sessions) {
      const known = this.rows.get(entry.id);
      if (known) this.renew(known, entry);
      else this.place(this.row(entry));
    }
    this.more.textContent = this.cursor ? "Loading more…" : "";
    this.empty();
  }

  /// Says that there is nothing, once that is known.
  empty() {
    const isEmpty = !this.cursor && !this.rows.size && !this.found;
    const said = this.list.querySelector(".empty");
    if (isEmpty && !said) this.list.append(nothing(this.query));
    else if (!isEmpty) said?.remove();
  }

  /// Puts a row where its time belongs, below the name of its day; a new one before those of the
  /// same time.
  place(node, isNew = false) {
    const at = activity(node.entry) + (isNew ? 1 : 0);
    const name = day(node.entry.last_activity_at);
    const sections = [...this.list.querySelectorAll("section")];
    let section = sections.at(-1)?.dataset.day === name ? sections.at(-1) : null;
    section ??= sections.find((section) => section.dataset.day === name);
    if (!section) {
      section = el(
        "section",
        { "data-day": name, "aria-label": name },
        el("h2", {}, name),
        el("ul"),
      );
      const next = sections.find((section) => activity(section.querySelector("li").entry) < at);
      this.list.insertBefore(section, next ?? null);
    }
    const list = section.querySelector("ul");
    const isOlder = (other) => other && activity(other.entry) < at;
    const next = isOlder(list.lastElementChild) ? [...list.children].find(isOlder) : null;
    list.insertBefore(node, next);
  }

  renew(known, entry) {
    known.entry = known.node.entry = entry;
    fill(known.link, entry);
    this.mark(known.node, entry);
  }

  /// A session has changed: in its row, or in a new one where its time belongs.
  arrived(entry) {
    const known = this.rows.get(entry.id);
    // Whoever has only been opened comes with their first line, and of a search's, only what was
    // found is shown.
    if (!known && (this.query || !entry.total_lines)) return;
    const before = known ? activity(known.entry) : 0;
    if (known) this.renew(known, entry);
    const isMoved = known && activity(entry) !== before;
    if (this.query || (known && !isMoved)) return;
    // Further down than the list goes: it comes with what is there.
    if (this.cursor && activity(entry) < this.end) return this.gone(entry.id);
    const from = known?.node.closest("section");
    // Sessions that are written at the same time do not change places all the time.
    if (
      known?.wasLive &&
      isLive(entry) &&
      activity(entry) > before &&
      from.dataset.day === day(entry.last_activity_at)
    )
      return;
    const node = known?.node ?? this.row(entry);
    const hadFocus = node.contains(document.activeElement);
    node.remove();
    if (from && !from.querySelector("li")) from.remove();
    this.place(node, true);
    if (hadFocus) node.querySelector("a").focus({ preventScroll: true });
    this.empty();
    this.rows.get(entry.id).wasLive = isLive(entry);
  }

  row(entry) {
    const link = el("a", {
      class: "session",
      href: `${BASE}/sessions/${encodeURIComponent(entry.id)}`,
      "data-in": true,
    });
    fill(link, entry);
    const node = el("li", {}, link);
    node.entry = entry;
    this.mark(node, entry);
    this.rows.set(entry.id, { node, link, entry, wasLive: isLive(entry) });
    return node;
  }

  /// What is put away is shown when it is asked for.
  mark(node, entry) {
    node.classList.toggle("archived", entry.archived === true);
    if (entry.archived) this.archived.hidden = false;
  }

  toggleArchived() {
    const isShown = this.list.classList.toggle("with-archived");
    this.archived.setAttribute("aria-pressed", String(isShown));
  }

  /// Times go on, where somebody looks; with the day, all of them change their names.
  tick() {
    if (document.hidden) return;
    if (this.isLoaded && !this.isBusy && this.today !== new Date().toDateString()) {
      this.load();
      return;
    }
    for (const row of this.rows.values()) {
      if (Date.now() - activity(row.entry) > CHANGING_TIME) continue;
      const live = isLive(row.entry);
      row.wasLive &&= live;
      const time = row.link.querySelector("time");
      if (live !== row.link.classList.contains("is-live")) fill(row.link, row.entry);
      else if (time.textContent !== ago(time.dateTime)) time.textContent = ago(time.dateTime);
    }
  }

  showHits(found, query) {
    if (!found || !(found.hits.length || found.next_cursor)) {
      this.hits.replaceChildren();
      return;
    }
    const list = el("ul", {}, found.hits.map(hit));
    const parts = [el("h2", {}, "In conversations"), list];
    if (found.next_cursor) {
      let cursor = found.next_cursor;
      const more = button(
        moreLines(found),
        async () => {
          const answer = await linesFrom(query, cursor);
          list.append(...answer.hits.map(hit));
          cursor = answer.next_cursor;
          more.textContent = moreLines(answer);
          if (cursor) return;
          more.replaceWith(list.childElementCount ? "" : el("p", {}, "Nothing was found."));
        },
        { class: "more" },
      );
      parts.push(more);
    }
    this.hits.replaceChildren(...parts);
  }

  /// Keys of this page; true when one was meant.
  key(event) {
    const links = [...this.main.querySelectorAll("a.session, a.hit")].filter((link) =>
      link.checkVisibility(),
    );
    const at = links.indexOf(document.activeElement);
    if (event.key === "j") links[Math.min(at + 1, links.length - 1)]?.focus();
    else if (event.key === "k") links[Math.max(at - 1, 0)]?.focus();
    else return false;
    document.activeElement.scrollIntoView({ block: "nearest", behavior: "instant" });
    return true;
  }
}

/// Lines that match: an answer may have none and yet tell where to go on.
async function linesFrom(query, cursor, signal) {
  let answer = { hits: [], next_cursor: cursor };
  for (let n = 0; n < EMPTY_ANSWERS_MAX; n += 1) {
    const from = answer.next_cursor ? { cursor: answer.next_cursor } : {};
    answer = await get("/search", { q: query, limit: HITS, ...from }, signal);
    if (answer.hits.length || !answer.next_cursor) break;
  }
  return answer;
}

const moreLines = (answer) =>
  answer.hits.length ? "More lines" : "Nothing so far: look into older sessions";

/// When something was said last in a session, in milliseconds.
const activity = (entry) => Date.parse(entry.last_activity_at);

const isLive = (entry) =>
  (entry.live ?? false) && Date.now() - new Date(entry.last_sync_at) < LIVE_TIME;

function fill(link, entry) {
  const title = flat(entry.summary || entry.first_user_message || "", 200) || "Without a title";
  const live = isLive(entry);
  const project = entry.project || entry.cwd?.split("/").at(-1) || "";
  const facts = [
    project && el("span", { class: "project" }, shown(flat(project, 80))),
    entry.hostname && el("span", { class: "machine" }, shown(flat(entry.hostname, 80))),
    entry.shared_by && el("span", { class: "shared" }, "from ", shown(flat(entry.shared_by, 80))),
    entry.archived && el("span", { class: "tag" }, "archived"),
    entry.provider && entry.provider !== "claude-code"
      ? el("span", { class: "tag" }, shown(flat(entry.provider, 30)))
      : null,
  ];
  const sizes = [
    plural(entry.lines ?? entry.total_lines ?? 0, "line"),
    entry.bytes === undefined ? "" : bytes(entry.bytes),
    entry.tokens ? `${brief(entry.tokens)} tokens` : "",
  ];
  link.classList.toggle("is-live", live);
  link.replaceChildren(
    el("span", { class: "dot", ...(live ? { role: "img", "aria-label": "live" } : {}) }),
    el("span", { class: "title" }, shown(title)),
    el("span", { class: "where" }, facts),
    el("span", { class: "size" }, sizes.filter(Boolean).join(" · ")),
    el(
      "time",
      { datetime: entry.last_activity_at, title: moment(entry.last_activity_at) },
      ago(entry.last_activity_at),
    ),
  );
}

function hit(found) {
  const query =
    found.file_name && !isMain(found) ? `?file=${encodeURIComponent(found.file_name)}` : "";
  const href = `${BASE}/sessions/${encodeURIComponent(found.session_id)}${query}#L${found.line}`;
  const snippet = found.snippet.map((part) =>
    part.hit ? el("mark", {}, shown(part.text)) : shown(part.text),
  );
  const about = [found.role, found.tool, found.project, found.machine]
    .filter(Boolean)
    .map((part) => el("span", {}, shown(flat(part, 60))));
  return el(
    "li",
    {},
    el(
      "a",
      { class: "hit", href, "data-in": true },
      el("span", { class: "snippet" }, snippet),
      el(
        "span",
        { class: "about" },
        el("span", { class: "title" }, shown(flat(found.title || found.external_id, 120))),
        about,
        el("span", {}, `line ${found.line}`),
        el(
          "time",
          { datetime: found.timestamp ?? "", title: moment(found.timestamp) },
          ago(found.timestamp),
        ),
      ),
    ),
  );
}

const isMain = (found) => found.file_name === `${found.external_id}.jsonl`;

function nothing(query) {
  if (query)
    return el(
      "div",
      { class: "empty" },
      el("p", {}, "Nothing is like this."),
      el(
        "p",
        { class: "quiet" },
        "Filters: ",
        ...[
          "project:",
          "branch:",
          "tool:",
          "role:",
          "model:",
          "machine:",
          "after:2026-01-31",
          "-not",
        ].flatMap((name) => [el("code", {}, name), " "]),
      ),
    );
  return el(
    "div",
    { class: "empty" },
    el("p", {}, "No session has arrived yet."),
    el(
      "p",
      { class: "quiet" },
      "On the machine where you work: ",
      el("code", {}, "confab watch"),
      " brings in everything there is, ",
      el("code", {}, "confab setup"),
      " what comes.",
    ),
  );
}
