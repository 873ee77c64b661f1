// The server and every machine that sends to it; and, where it watches itself, what it watches.

import { Refusal, get, send } from "./api.js";
import { announce, button, el, flat, shown } from "./dom.js";
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
  main.replaceChildren(
    el("div", { class: "page-head" }, el("h1", { tabindex: "-1" }, "Status")),
    server,
    machines,
    watch,
  );
  const page = { key: () => false };
  let timer = 0;
  const load = async () => {
    try {
      const state = await get("/status");
      if (page.isClosed) return;
      server.replaceChildren(...serverParts(state));
      machines.replaceChildren(...machineParts(state.machines ?? []));
      if (state.watch) watchParts(watch, state.watch, load);
    } catch (error) {
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
  const columns = ["Machine", "Last contact", "Sessions", "Live", "Lines"];
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
    ),
  );
  const head = el(
    "tr",
    {},
    columns.map((name, at) => el("th", { scope: "col", class: at > 1 ? "number" : false }, name)),
  );
  return [
    el("h2", {}, "Machines"),
    el(
      "div",
      { class: "scrolls", tabindex: "0" },
      el("table", {}, el("thead", {}, head), el("tbody", {}, rows)),
    ),
  ];
}

/// What the server's own machine is watched for, and its settings, for whom it is.
function watchParts(section, state, load) {
  // A form that somebody fills in is not replaced.
  if (
    section.contains(document.activeElement) &&
    document.activeElement.matches("input, textarea, select")
  )
    return;
  const said = el("p", { class: "quiet", "aria-live": "polite" });
  const attempt = async (act, done) => {
    try {
      await act();
      said.textContent = done;
      announce(done);
      load();
    } catch (error) {
      said.textContent = error.message;
    }
  };
  const entries = typeof state === "object" ? Object.entries(state) : [["state", state]];
  const facts = entries.map(([name, value]) => [
    el("dt", {}, shown(flat(name.replaceAll("_", " "), 60))),
    el("dd", {}, valueOf(value)),
  ]);
  const sync = button(
    "Sync now",
    () => attempt(() => send("POST", "/watch/sync"), "It looks at everything now."),
    { id: "sync-now" },
  );
  const settings = el("div");
  section.replaceChildren(
    el("h2", {}, "This machine"),
    el("dl", { class: "facts wide" }, facts),
    el("div", { class: "actions" }, sync),
    settings,
    said,
  );
  get("/watch/settings")
    .then((known) => settings.replaceChildren(settingsForm(known, attempt)))
    .catch((error) => error instanceof Refusal || Promise.reject(error));
}

function valueOf(value) {
  if (Array.isArray(value))
    return el(
      "ul",
      {},
      value.slice(0, 50).map((item) => el("li", {}, valueOf(item))),
    );
  if (typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value))
    return el("time", { datetime: value, title: moment(value) }, ago(value));
  if (typeof value === "number") return count(value);
  return shown(flat(typeof value === "object" ? JSON.stringify(value) : String(value), 300));
}

/// Settings by their type: a number, a switch, a text, or one text a line.
function settingsForm(known, attempt) {
  const inputs = Object.entries(known).map(([name, value]) => {
    const id = `setting-${name}`;
    const label = el("label", { for: id }, shown(flat(name.replaceAll("_", " "), 60)));
    if (typeof value === "boolean")
      return [
        name,
        el("input", { id, type: "checkbox", checked: value }),
        label,
        (field) => field.checked,
      ];
    if (typeof value === "number")
      return [
        name,
        el("input", { id, type: "number", min: "0", value }),
        label,
        (field) => Number(field.value),
      ];
    if (Array.isArray(value)) {
      const field = el("textarea", {
        id,
        rows: Math.min(8, value.length + 1),
        spellcheck: "false",
      });
      field.value = value.join("\n");
      return [
        name,
        field,
        label,
        (field) =>
          field.value
            .split("\n")
            .map((line) => line.trim())
            .filter(Boolean),
      ];
    }
    return [
      name,
      el("input", { id, type: "text", value: value ?? "", spellcheck: "false" }),
      label,
      (field) => field.value.trim() || null,
    ];
  });
  const save = (event) => {
    event.preventDefault();
    const changed = Object.fromEntries(inputs.map(([name, field, , read]) => [name, read(field)]));
    attempt(() => send("PUT", "/watch/settings", changed), "Saved.");
  };
  return el(
    "form",
    { class: "settings", onsubmit: save },
    el("h3", {}, "Settings"),
    inputs.map(([, field, label]) => el("div", { class: "setting" }, label, field)),
    el("button", { type: "submit", id: "save-settings" }, "Save"),
  );
}
