// The server and every machine that sends to it; and, where it watches itself, what it watches.

import { Refusal, get, send } from "./api.js";
import { button, el, flat, shown } from "./dom.js";
import { ago, bytes, count, moment } from "./format.js";

const AGAIN = 10000;

/// Shows the state; returns what ends that.
export function statusPage(main) {
  document.title = "Status · confab";
  const server = el(
    "section",
    { class: "figure", "aria-label": "Server" },
    el("p", { class: "loading" }, "Loading…"),
  );
  const machines = el("section", { class: "figure", "aria-label": "Machines" });
  const watch = el("section", { class: "figure", "aria-label": "Watching" });
  const prices = el("section", { class: "figure", "aria-label": "Prices" });
  main.replaceChildren(
    el("div", { class: "page-head" }, el("h1", { tabindex: "-1" }, "Status")),
    server,
    machines,
    watch,
    prices,
  );
  const page = { key: () => false };
  let timer = 0;
  let turn = 0;
  // Whoever asks at once takes the place of what would have asked later.
  const load = async () => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", load);
    const own = (turn += 1);
    try {
      const state = await get("/status");
      if (page.isClosed || own !== turn) return;
      server.replaceChildren(...serverParts(state));
      machines.replaceChildren(...machineParts(state.machines ?? []));
      if (state.watch) watchParts(watch, state.watch, load);
      prices.replaceChildren(...priceParts(state.prices ?? []));
    } catch (error) {
      if (own !== turn) return;
      server.replaceChildren(el("p", { class: "problem", role: "alert" }, error.message));
    }
    if (!page.isClosed) timer = setTimeout(() => (document.hidden ? again() : load()), AGAIN);
  };
  const again = () => document.addEventListener("visibilitychange", load, { once: true });
  page.close = () => {
    page.isClosed = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", load);
  };
  load();
  return page;
}

function serverParts(state) {
  const health =
    typeof state.health === "object" && state.health
      ? (state.health.status ?? "unknown")
      : String(state.health ?? "unknown");
  const isWell = health === "ok";
  const known = [
    [
      "Health",
      el(
        "span",
        { class: isWell ? "well" : "failed" },
        isWell ? "✓ well" : `✗ ${flat(health, 80)}`,
      ),
    ],
    ["Version", flat(state.version ?? "", 40)],
    ["Database", bytes(state.database_bytes)],
    ["Write-ahead log", bytes(state.wal_bytes)],
    ["Sessions", count(state.sessions)],
    ["Lines", count(state.lines)],
    ["Not in the index yet", count(state.not_indexed_lines)],
  ];
  return [
    el("h2", {}, "Server"),
    el(
      "dl",
      { class: "facts wide" },
      known.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
    ),
  ];
}

function machineParts(list) {
  if (!list.length)
    return [el("h2", {}, "Machines"), el("p", { class: "quiet" }, "None has sent anything yet.")];
  const columns = [
    ["Machine"],
    ["Last contact"],
    ["Sessions", "number"],
    ["Live", "number"],
    ["Lines", "number"],
    ["Only there", "number"],
    ["Left out", "number"],
    ["Last failure"],
  ];
  const rows = list.map((machine) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, shown(flat(machine.machine || "unknown", 120))),
      el(
        "td",
        {},
        el(
          "time",
          { datetime: machine.last_contact ?? "", title: moment(machine.last_contact) },
          ago(machine.last_contact),
        ),
      ),
      el("td", { class: "number" }, count(machine.sessions)),
      el(
        "td",
        { class: "number" },
        machine.live_sessions ? el("span", { class: "well" }, count(machine.live_sessions)) : "0",
      ),
      el("td", { class: "number" }, count(machine.lines)),
      el("td", { class: "number" }, ...pendingParts(machine)),
      el("td", { class: "number" }, count(machine.withheld_lines)),
      el("td", {}, ...failureParts(machine)),
    ),
  );
  const head = el(
    "tr",
    {},
    columns.map(([name, kind]) => el("th", { scope: "col", class: kind ?? false }, name)),
  );
  return [
    el("h2", {}, "Machines"),
    el(
      "div",
      { class: "scrolls", tabindex: "0" },
      el("table", {}, el("thead", {}, head), el("tbody", {}, rows)),
    ),
    el(
      "p",
      { class: "quiet small-text" },
      "Only there: what a machine had not sent yet when it sent its last lines. Left out: lines that were too large or could not be redacted; others stand in for them.",
    ),
  ];
}

/// What has not been sent of sessions that have begun to be.
function pendingParts(machine) {
  const said = (size, sessions) =>
    el("span", { class: "failed" }, `${bytes(size)} of ${count(sessions)} sessions`);
  // Where one program follows all sessions, it knows of those that nobody here has heard of.
  if (machine.waiting_sessions) return [said(machine.waiting_bytes, machine.waiting_sessions)];
  if (machine.pending_bytes) return [said(machine.pending_bytes, machine.behind_sessions)];
  return ["0"];
}

const FAILURES = {
  unavailable: "the server could not be reached",
  timed_out: "an answer took too long",
  busy: "it asked too often",
  sign_in: "its key was not accepted",
  refused: "the server did not take it",
  file: "a file could not be read or sent",
};

function failureParts({ last_failure: failure, failed_sessions: failing }) {
  const now = failing ? [el("span", { class: "failed" }, `${count(failing)} sessions fail; `)] : [];
  if (!failure) return failing ? [...now, "why, its log knows"] : ["none"];
  const what = FAILURES[failure.kind] ?? "something went wrong";
  const at = el("time", { datetime: failure.at, title: moment(failure.at) }, ago(failure.at));
  return [...now, `${what}, `, at];
}

/// What costs go by, and where that comes from.
function priceParts(list) {
  const columns = ["Input", "Output", "Cache read", "Cache written"];
  const rows = list.map((price) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, shown(flat(price.model, 80))),
      [price.input, price.output, price.cache_read, price.cache_creation].map((dollars) =>
        el("td", { class: "number" }, String(dollars)),
      ),
      el("td", {}, shown(flat(price.about ?? "from your table", 120))),
    ),
  );
  const head = el(
    "tr",
    {},
    el("th", { scope: "col" }, "Model"),
    columns.map((name) => el("th", { scope: "col", class: "number" }, name)),
    el("th", { scope: "col" }, "From"),
  );
  return [
    el("h2", {}, "Prices"),
    el(
      "p",
      { class: "quiet small-text" },
      "US dollars for a million tokens. A table of yours takes the place of this one: `confab-server prices` prints it, the setting prices names it.",
    ),
    el(
      "div",
      { class: "scrolls", tabindex: "0" },
      el("table", {}, el("thead", {}, head), el("tbody", {}, rows)),
    ),
  ];
}

/// What is told of a watch, in this order; the rest stands below.
const TOLD = [
  ["sessions", "Sessions on this machine"],
  ["followed", "Followed as they are written"],
  ["to_bring", "To be brought in"],
  ["brought", "Brought in"],
  ["left", "Left to other programs"],
  ["waiting", "Waiting"],
  ["failed", "Failed"],
  ["folders", "Folders"],
  ["updated_at", "Last word"],
  ["last_line", "It says"],
  ["restarts", "Restarts"],
];
const HIDDEN = ["bytes", "bytes_done", "pid", "running", "started_at", "phase"];
/// Names of settings, and what may be entered.
const SETTINGS = {
  interval: ["Send what has changed", "At most this often, like 30s; empty for at once"],
  folders: ["Claude's folders", "One on each line; none for your own"],
  exclude: ["Never send", "Folders and ids of sessions, one on each line"],
  since: [
    "Bring in sessions of the last",
    "Like 30d; empty for all. Older ones come when they change",
  ],
  retention_days: [
    "Keep sessions for so many days",
    "Behind the last word in them, then they are deleted here for good, but for archived and shared ones; empty for ever",
    "number",
  ],
};

/// What the watch on the server's own machine does, and its settings, for whom it is.
function watchParts(section, state, load) {
  // Only what is told is drawn again: somebody may be filling the form in.
  const facts = section.querySelector("dl");
  const fresh = watchFacts(state);
  if (facts) facts.replaceWith(fresh);
  if (facts) return;
  const said = el("p", { class: "quiet", role: "status" });
  const attempt = async (act, done) => {
    try {
      await act();
      said.textContent = done;
      load();
    } catch (error) {
      said.textContent = error.message;
    }
  };
  const sync = () => attempt(() => send("POST", "/watch/sync"), "It looks at everything now.");
  const settings = el("div");
  section.replaceChildren(
    el("h2", {}, "This machine"),
    fresh,
    el("div", { class: "actions" }, button("Sync now", sync, { id: "sync-now" })),
    settings,
    said,
  );
  get("/watch/settings")
    .then((known) => settings.replaceChildren(settingsForm(known, attempt)))
    .catch((error) => error instanceof Refusal || Promise.reject(error));
}

function watchFacts(state) {
  const isWell = state.running !== false && !state.failed;
  const phase = flat(String(state.phase ?? (state.running ? "running" : "not running")), 60);
  const part =
    state.bytes > state.bytes_done ? `, ${bytes(state.bytes_done)} of ${bytes(state.bytes)}` : "";
  const known = TOLD.filter(([name]) => state[name] !== undefined && state[name] !== null);
  const named = new Set([...TOLD.map(([name]) => name), ...HIDDEN]);
  const rest = Object.keys(state).filter((name) => !named.has(name));
  const items = [...known, ...rest.map((name) => [name, name.replaceAll("_", " ")])];
  return el(
    "dl",
    { class: "facts wide" },
    el("dt", {}, "Watch"),
    el("dd", { class: isWell ? "well" : "failed" }, `${isWell ? "✓" : "✗"} ${phase}${part}`),
    items.map(([name, label]) => [
      el("dt", {}, shown(flat(label, 60))),
      el("dd", {}, valueOf(state[name])),
    ]),
  );
}

function valueOf(value) {
  if (Array.isArray(value)) return value.slice(0, 50).map((item) => el("div", {}, valueOf(item)));
  if (typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value)) {
    return el("time", { datetime: value, title: moment(value) }, ago(value));
  }
  if (typeof value === "number") return count(value);
  return shown(flat(typeof value === "object" ? JSON.stringify(value) : String(value), 300));
}

/// Settings by their type: a number, a switch, a text, or one text a line.
function settingsForm(known, attempt) {
  const fields = Object.entries(known).map(([name, value]) => setting(name, value));
  const press = el("button", { type: "submit", id: "save-settings" }, "Save");
  let kept = known.retention_days ?? Infinity;
  let confirmed = Infinity;
  const save = (event) => {
    event.preventDefault();
    const changed = Object.fromEntries(fields.map(({ name, read }) => [name, read()]));
    const days = changed.retention_days ?? Infinity;
    // What is deleted does not come back: that is asked for once more.
    if (days < kept && days !== confirmed) {
      confirmed = days;
      press.textContent = `Save, and delete what is older than ${count(days)} days for good`;
      attempt(async () => {}, "Nothing is saved yet: press once more.");
      return;
    }
    press.textContent = "Save";
    const put = async () => {
      await send("PUT", "/watch/settings", changed);
      kept = days;
    };
    attempt(put, "Saved.");
  };
  return el(
    "form",
    { class: "settings", onsubmit: save },
    el("h3", {}, "Settings"),
    fields.map(({ node }) => node),
    press,
  );
}

function setting(name, value) {
  const id = `setting-${name}`;
  const [label, hint, kind] = SETTINGS[name] ?? [name.replaceAll("_", " "), ""];
  const about = { id, "aria-describedby": hint ? `${id}-hint` : null };
  let field;
  let read;
  if (typeof value === "boolean") {
    field = el("input", { ...about, type: "checkbox", checked: value });
    read = () => field.checked;
  } else if (typeof value === "number" || kind === "number") {
    field = el("input", { ...about, type: "number", min: "1", value: value ?? "" });
    read = () => (field.value === "" ? null : Number(field.value));
  } else if (Array.isArray(value)) {
    field = el("textarea", { ...about, rows: Math.min(8, value.length + 1), spellcheck: "false" });
    field.value = value.join("\n");
    const lines = () => field.value.split("\n").map((line) => line.trim());
    read = () => lines().filter(Boolean);
  } else {
    field = el("input", { ...about, type: "text", value: value ?? "", spellcheck: "false" });
    read = () => field.value.trim() || null;
  }
  const parts = [el("label", { for: id }, shown(flat(label, 80))), field];
  if (hint) parts.push(el("span", { class: "quiet small-text", id: `${id}-hint` }, hint));
  return { name, read, node: el("div", { class: "setting" }, parts) };
}
