// Which page is shown, and the keys that work on all of them.

import { BASE, SHARE } from "./api.js";
import { button, el } from "./dom.js";

const KEYS = [
  ["/", "Search"],
  ["j  k", "Next and previous: session, line that was found, prompt"],
  ["Enter", "Open"],
  ["Esc", "Back"],
  ["e", "Next error"],
  ["g  G", "Start and end of a session"],
  ["?", "These keys"],
];

const main = document.getElementById("main");
const box = document.getElementById("search");
let page = null;
let shownPath = "";
let isShown = false;
// Where the reader was in the pages behind.
let listScroll = 0;
let leftSession = "";
// What brings the reader back to where they were in a list that is still coming.
let settle = null;

/// Shows the page of the address.
async function show(isBack = false) {
  const path = location.pathname.slice(BASE.length);
  const query = new URLSearchParams(location.search);
  const here = path + location.search;
  // Another line of the same page is its own matter.
  if (page && here === shownPath) return;
  if (shownPath === "/" || shownPath.startsWith("/?")) listScroll = scrollY;
  leftSession = /^\/sessions\/([^/?]+)/.exec(shownPath)?.[1] ?? "";
  leave();
  page?.close();
  page = null;
  shownPath = here;
  const isFirst = !isShown;
  isShown = true;
  main.className = "";
  const session = /^\/sessions\/([^/]+)$/.exec(path);
  const [module, open] =
    session || SHARE
      ? [
          import("./session.js"),
          ({ sessionPage }) => sessionPage(main, session?.[1] ?? null, query, location.hash),
        ]
      : path === "/stats"
        ? [import("./stats.js"), ({ statsPage }) => statsPage(main, query)]
        : path === "/status"
          ? [import("./status.js"), ({ statusPage }) => statusPage(main)]
          : [import("./list.js"), ({ listPage }) => listPage(main, query, box)];
  // Somebody may have gone elsewhere meanwhile.
  const loaded = await module.catch(() => null);
  if (shownPath !== here) return;
  if (!loaded) return stale(isFirst);
  page = open(loaded);
  if (path !== "/") box.value = "";
  main.classList.add(session || SHARE ? "is-session" : path === "/" ? "is-list" : "is-figures");
  for (const link of document.querySelectorAll(".site nav a")) {
    if (link.getAttribute("href") === BASE + path) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!location.hash) scrollTo({ top: 0, behavior: "instant" });
  if (isBack && path === "/") restore();
}

/// A module is not there. The server has others since it was upgraded: its page names them.
function stale(isFirst) {
  if (!isFirst) return location.reload();
  const text = "A part of this page could not be loaded. ";
  const again = button("Try again", () => location.reload());
  main.replaceChildren(el("p", { class: "problem", role: "alert" }, text, again));
}

/// The list is where the reader left it, once it is that long; more of it is asked for until then.
function restore() {
  const wanted = listScroll;
  const left = leftSession;
  settle = new MutationObserver(() => {
    if (!page?.isLoaded) return;
    const isLong = document.documentElement.scrollHeight >= wanted + innerHeight;
    if (!isLong && page.cursor) {
      page.next();
      return;
    }
    leave();
    scrollTo({ top: wanted, behavior: "instant" });
    const link =
      left &&
      main.querySelector(
        `a.session[href$="${CSS.escape(left)}"], a.hit[href*="${CSS.escape(left)}"]`,
      );
    if (link) link.focus({ preventScroll: true });
  });
  settle.observe(main, { childList: true, subtree: true });
}

/// The reader goes their own way.
function leave() {
  settle?.disconnect();
  settle = null;
}

for (const name of ["wheel", "pointerdown", "keydown"])
  addEventListener(name, leave, { passive: true, capture: true });

async function go(address) {
  history.pushState("in", "", address);
  await show();
  if (!location.hash) main.querySelector("h1")?.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  const line = event.target.closest?.("a.line-link");
  // The line that the address has already: it is gone to once more.
  if (line && line.href === location.href) page?.hashChanged?.(location.hash);
  const link = event.target.closest?.("a[data-in]");
  if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
addEventListener("popstate", () => show(true));
addEventListener("hashchange", () => page?.hashChanged?.(location.hash));

document.getElementById("search-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const found = main.querySelector("a.session, a.hit");
  if (page?.search) {
    page.search(box.value.trim());
    found?.focus();
  } else {
    go(`${BASE}/?q=${encodeURIComponent(box.value.trim())}`);
  }
});

document.addEventListener("keydown", (event) => {
  if (
    event.defaultPrevented ||
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    document.querySelector("dialog[open]")
  )
    return;
  const isTyping = event.target.matches?.("input, textarea, select");
  if (event.key === "Escape") return escape(event, isTyping);
  if (isTyping) return;
  if (event.key === "/" && !SHARE) {
    event.preventDefault();
    box.focus();
    box.select();
  } else if (event.key === "?") {
    help();
  } else if (page?.key(event)) {
    event.preventDefault();
  }
});

/// Out of the box, out of a search, out of a session.
function escape(event, isTyping) {
  if (isTyping) {
    event.target.blur();
    main.querySelector("a.session, a.hit")?.focus({ preventScroll: true });
  } else if (page?.search) {
    if (!box.value) return;
    box.value = "";
    page.search("");
  } else if (history.state === "in") {
    history.back();
  } else if (!SHARE) {
    go(`${BASE}/`);
  }
  event.preventDefault();
}

function help() {
  const rows = KEYS.map(([keys, text]) => [
    el(
      "dt",
      {},
      keys.split("  ").map((key) => [el("kbd", {}, key), " "]),
    ),
    el("dd", {}, text),
  ]);
  const dialog = el(
    "dialog",
    { "aria-labelledby": "help-title" },
    el(
      "header",
      {},
      el("h2", { id: "help-title" }, "Keys"),
      button("×", () => dialog.close(), { class: "close", "aria-label": "Close" }),
    ),
    el("dl", { class: "facts wide" }, rows),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

document.getElementById("help").addEventListener("click", help);
document.body.classList.toggle("is-guest", SHARE !== null);
history.scrollRestoration = "manual";
show();
