// All sessions, and what is found in them: one box for words and filters.

import { BASE, address, follow, get } from "./api.js";
import { announce, button, el, flat, shown } from "./dom.js";
import { ago, brief, bytes, day, moment, plural } from "./format.js";

const ROWS = 60;
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
    // What the stream told before the list was there.
    this.early = [];
    this.isLoaded = false;
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
    const seen = new IntersectionObserver(
      (entries) => entries.some((entry) => entry.isIntersecting) && this.next(),
      { rootMargin: "800px" },
    );
    seen.observe(this.more);
    this.ends.push(() => seen.disconnect());
    const clock = setInterval(() => this.tick(), 20000);
    this.ends.push(() => clearInterval(clock));
    this.load();
    // From the newest that is known on: nothing is missed between the list and the stream.
    this.newest = new Date(Date.now() - LIVE_TIME).toISOString();
    this.ends.push(
      follow(() => address("/stream", { since: this.newest }), {
        session: (entry) => this.arrived(entry),
        gone: ({ id }) => this.gone(id),
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

  /// Asks for sessions and, when something is looked for, for lines.
  async load() {
    this.abort?.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    const { query } = this;
    this.cursor = null;
    this.main.setAttribute("aria-busy", "true");
    const isForLines = LINE_FILTER.test(query);
    const [sessions, lines] = await Promise.allSettled([
      isForLines ? { sessions: [] } : get("/sessions", { q: query, limit: ROWS }, signal),
      query ? linesFrom(query, null, signal) : null,
    ]);
    try {
      if (sessions.reason ?? lines.reason) throw sessions.reason ?? lines.reason;
      const answer = sessions.value;
      this.rows.clear();
      this.list.replaceChildren();
      this.add(answer);
      this.isLoaded = true;
      for (const entry of this.early.splice(0)) this.arrived(entry);
      const found = lines.value ?? null;
      this.showHits(found, query);
      this.tell(null);
      const hasLines = found?.hits.length || found?.next_cursor;
      if (!answer.sessions.length && !hasLines) this.list.append(nothing(query));
      const lineCount = found?.hits.length ?? 0;
      if (query)
        announce(`${plural(answer.sessions.length, "session")}, ${plural(lineCount, "line")}`);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.tell(error);
    }
    this.main.removeAttribute("aria-busy");
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
      this.tell(error);
    }
    this.isLoading = false;
  }

  /// A session was deleted.
  gone(id) {
    const known = this.rows.get(id);
    if (!known) return;
    const section = known.node.closest("section");
    known.node.remove();
    this.rows.delete(id);
    if (section && !section.querySelector("li")) section.remove();
  }

  add({ sessions, next_cursor }) {
    this.cursor = next_cursor ?? null;
    for (const entry of sessions) {
      const row = this.row(entry);
      const group = this.group(day(entry.last_sync_at), false);
      group.append(row);
    }
    this.more.textContent = this.cursor ? "Loading more…" : "";
  }

  /// The list of a day; made where it belongs.
  group(name, first) {
    const groups = [...this.list.querySelectorAll("section")];
    const known = first ? groups[0] : groups.at(-1);
    if (known?.dataset.day === name) return known.querySelector("ul");
    const list = el("ul");
    const section = el(
      "section",
      { "data-day": name, "aria-label": name },
      el("h2", {}, name),
      list,
    );
    if (first) this.list.prepend(section);
    else this.list.append(section);
    return list;
  }

  /// A session has changed: in its row, or in a new one at the top.
  arrived(entry) {
    if (entry.last_sync_at > this.newest) this.newest = entry.last_sync_at;
    if (!this.isLoaded) {
      // The list comes, and this on top of it.
      this.early.push(entry);
      return;
    }
    const known = this.rows.get(entry.id);
    if (known) {
      fill(known.link, entry);
      known.entry = entry;
      this.mark(known.node, entry);
    }
    if (this.query) return;
    const today = this.group(day(entry.last_sync_at), true);
    const first = today.firstElementChild?.entry;
    // Sessions that are written at the same time do not change places all the time.
    if (
      known &&
      known.node.parentElement === today &&
      (known.wasLive ||
        known.node === today.firstElementChild ||
        (first && isLive(first) && isLive(known.entry) && known.wasLive))
    )
      return;
    const node = known?.node ?? this.row(entry);
    const hadFocus = node.contains(document.activeElement);
    const from = node.closest("section");
    today.prepend(node);
    if (hadFocus) node.querySelector("a").focus({ preventScroll: true });
    if (from && !from.querySelector("li")) from.remove();
    this.list.querySelector(".empty")?.remove();
    this.rows.get(entry.id).wasLive = true;
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

  /// Times go on.
  tick() {
    for (const row of this.rows.values()) {
      fill(row.link, row.entry);
      row.wasLive = row.wasLive && isLive(row.entry);
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
      { datetime: entry.last_sync_at, title: moment(entry.last_sync_at) },
      ago(entry.last_sync_at),
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
