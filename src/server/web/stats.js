// Tokens, cost and tools: per day, model, project and tool.

import { BASE, get } from "./api.js";
import { el, flat, shown } from "./dom.js";
import { brief, count, money } from "./format.js";

const VIEWS = [
  ["day", "Days"],
  ["model", "Models"],
  ["project", "Projects"],
  ["tool", "Tools"],
];
const SPANS = [
  [7, "7 days"],
  [30, "30 days"],
  [90, "90 days"],
  [0, "All"],
];
const DAY = 24 * 3600 * 1000;

/// Shows the figures; returns what ends that.
export function statsPage(main, query) {
  const span = Number(query.get("days") ?? 30);
  const page = { close: () => (page.isClosed = true), key: () => false };
  document.title = "Stats · confab";
  const parts = VIEWS.map(([by, name]) => [
    by,
    el(
      "section",
      { class: "figure", "aria-label": name },
      el("h2", {}, name),
      el("p", { class: "loading" }, "Loading…"),
    ),
  ]);
  const spans = SPANS.map(([days, name]) =>
    el(
      "a",
      {
        href: `${BASE}/stats?days=${days}`,
        "data-in": true,
        class: "choice-link",
        "aria-current": days === span ? "true" : false,
      },
      name,
    ),
  );
  const total = el("div", { class: "total" });
  main.replaceChildren(
    el(
      "div",
      { class: "page-head" },
      el("h1", { tabindex: "-1" }, "Stats"),
      el("nav", { class: "spans", "aria-label": "Time" }, spans),
    ),
    total,
    ...parts.map(([, node]) => node),
  );
  const after = span > 0 ? new Date(Date.now() - span * DAY).toISOString().slice(0, 10) : null;
  for (const [by, node] of parts) {
    get("/stats", { by, after })
      .then(({ rows, has_more: hasMore }) => {
        if (page.isClosed) return;
        node.replaceChildren(
          node.firstChild,
          rows.length ? table(by, rows) : el("p", { class: "quiet" }, "Nothing in this time."),
        );
        if (hasMore) {
          node.append(el("p", { class: "quiet" }, "Of the newest 20000 sessions alone."));
        }
        if (by === "day") total.replaceChildren(...sums(rows));
      })
      .catch((error) =>
        node.replaceChildren(
          node.firstChild,
          el("p", { class: "problem", role: "alert" }, error.message),
        ),
      );
  }
  return page;
}

function sums(rows) {
  const sum = (name) => rows.reduce((total, row) => total + (row[name] ?? 0), 0);
  const known = [
    ["Cost", money(sum("cost"))],
    ["Output", brief(sum("output"))],
    ["Input", brief(sum("input"))],
    ["Cache read", brief(sum("cache_read"))],
    ["Cache written", brief(sum("cache_creation"))],
    ["Messages", count(sum("messages"))],
  ];
  return known.map(([name, value]) =>
    el("div", { class: "sum" }, el("span", { class: "quiet" }, name), el("strong", {}, value)),
  );
}

function table(by, rows) {
  const isTool = by === "tool";
  const columns = isTool
    ? [
        ["Uses", (row) => count(row.uses)],
        ["Failed", (row) => `${count(row.errors)}${share(row)}`],
        ["Sessions", (row) => count(row.sessions)],
      ]
    : [
        ["Output", (row) => brief(row.output)],
        ["Input", (row) => brief(row.input)],
        ["Cache read", (row) => brief(row.cache_read)],
        ["Cache written", (row) => brief(row.cache_creation)],
        ["Cost", (row) => money(row.cost)],
        ["Messages", (row) => count(row.messages)],
        ["Sessions", (row) => count(row.sessions)],
      ];
  const measure = (row) => (isTool ? row.uses : row.cost || row.output) ?? 0;
  const most = Math.max(...rows.map(measure), 1e-9);
  const sorted =
    by === "day"
      ? rows.toSorted((a, b) => String(b.key).localeCompare(String(a.key)))
      : rows.toSorted((a, b) => measure(b) - measure(a));
  const head = el(
    "tr",
    {},
    el(
      "th",
      { scope: "col" },
      { day: "Day", model: "Model", project: "Project", tool: "Tool" }[by],
    ),
    columns.map(([name]) => el("th", { scope: "col", class: "number" }, name)),
  );
  const body = sorted.map((row) => {
    const bar = el("span", { class: "bar-of", "aria-hidden": "true" });
    bar.style.setProperty("--part", String(measure(row) / most));
    return el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        el("span", { class: "key" }, shown(flat(row.key ?? "", 120) || "unknown")),
        bar,
      ),
      columns.map(([, value]) => el("td", { class: "number" }, value(row))),
    );
  });
  return el(
    "div",
    { class: "scrolls", tabindex: "0" },
    el("table", { class: "figures-table" }, el("thead", {}, head), el("tbody", {}, body)),
  );
}

/// How many of the calls of a tool failed.
function share(row) {
  return row.uses ? ` (${Math.round((100 * row.errors) / row.uses)} %)` : "";
}
