// What can be done with a session: shared, exported, put away, deleted.

import { BASE, SHARE, address, get, send } from "./api.js";
import { announce, button, copier, el, flat, shown } from "./dom.js";
import { moment } from "./format.js";

const FORMATS = [
  ["html", "A page", "One file that needs nothing else, to be read in any browser"],
  ["markdown", "Markdown", "What was said, as text"],
  ["jsonl", "JSON Lines", "Every line as it is stored"],
];
const DAYS = [
  [1, "1 day"],
  [7, "7 days"],
  [30, "30 days"],
  [90, "90 days"],
];

/// The buttons of a session's page. Whoever only shares in it can export it.
export function actions(session) {
  const isOwn = session.is_owner && !SHARE;
  const bar = el("div", { class: "actions", role: "group", "aria-label": "Session" });
  if (isOwn) bar.append(button("Share…", () => share(session), { id: "share" }));
  bar.append(button("Export…", () => exported(session), { id: "export" }));
  if (!isOwn) return bar;
  const archive = button("", () => putAway(session, archive), { id: "archive" });
  name(archive, session);
  bar.append(
    archive,
    button("Delete…", () => remove(session), { id: "delete", class: "danger" }),
  );
  return bar;
}

function name(archive, session) {
  archive.textContent = session.archived ? "Bring back" : "Archive";
}

async function putAway(session, archive) {
  try {
    await send("POST", `/sessions/${encodeURIComponent(session.id)}/archive`, {
      archived: !session.archived,
    });
    session.archived = !session.archived;
    name(archive, session);
    announce(session.archived ? "Archived" : "Brought back");
  } catch (error) {
    dialog("Archive", [failure(error)]);
  }
}

/// A dialog with a title, which is its name; focus returns when it closes.
function dialog(title, content) {
  const box = el("dialog", { "aria-labelledby": "dialog-title" });
  box.append(
    el(
      "header",
      {},
      el("h2", { id: "dialog-title" }, title),
      button("×", () => box.close(), { class: "close", "aria-label": "Close" }),
    ),
    ...content,
  );
  box.addEventListener("close", () => box.remove());
  box.addEventListener("click", (event) => event.target === box && box.close());
  document.body.append(box);
  box.showModal();
  return box;
}

function failure(error) {
  return el("p", { class: "problem", role: "alert" }, error.message);
}

function exported(session) {
  const path = `/sessions/${encodeURIComponent(session.id)}/export`;
  const items = FORMATS.map(([format, label, text]) =>
    el(
      "li",
      {},
      el(
        "a",
        { href: address(path, { format }), download: true, class: "choice" },
        el("strong", {}, label),
        el("span", { class: "quiet" }, text),
      ),
    ),
  );
  dialog("Export", [el("ul", { class: "choices" }, items)]);
}

function remove(session) {
  const path = `/sessions/${encodeURIComponent(session.id)}`;
  const problem = el("div");
  const act = async () => {
    try {
      await send("DELETE", path);
      box.close();
      history.pushState(null, "", `${BASE}/`);
      dispatchEvent(new PopStateEvent("popstate"));
      announce("Deleted");
    } catch (error) {
      problem.replaceChildren(failure(error));
    }
  };
  const box = dialog("Delete", [
    el(
      "p",
      {},
      "Every line of this session is deleted from the server, for good. ",
      "What lies on the machine that it was written on stays there.",
    ),
    problem,
    el(
      "div",
      { class: "buttons" },
      button("Keep it", () => box.close(), { autofocus: true }),
      button("Delete for good", act, { class: "danger", id: "delete-now" }),
    ),
  ]);
}

function share(session) {
  const path = `/sessions/${encodeURIComponent(session.id)}/shares`;
  const list = el("div", { "aria-live": "polite" });
  const problem = el("div");
  const load = async () => {
    try {
      const answer = await get(path);
      const shares = Array.isArray(answer) ? answer : answer.shares;
      list.replaceChildren(
        shares.length
          ? el("ul", { class: "shares" }, shares.map(item))
          : el("p", { class: "quiet" }, "Nobody but you can read it."),
      );
    } catch (error) {
      list.replaceChildren(failure(error));
    }
  };
  const item = (entry) => {
    const end = async () => {
      await attempt(() => send("DELETE", `${path}/${encodeURIComponent(entry.id)}`));
    };
    const what = entry.email
      ? [shown(flat(entry.email, 200))]
      : ["Link", entry.url ? link(entry.url) : null];
    return el(
      "li",
      {},
      el("span", {}, what),
      el("span", { class: "quiet" }, entry.expires_at ? `until ${moment(entry.expires_at)}` : ""),
      button("End", end, {
        class: "small",
        "aria-label": `End sharing ${flat(entry.email ?? "by link", 200)}`,
      }),
    );
  };
  const attempt = async (act) => {
    problem.replaceChildren();
    try {
      const made = await act();
      if (made?.url)
        problem.replaceChildren(
          el("p", {}, "Whoever has this link can read the session:"),
          link(made.url),
        );
      await load();
    } catch (error) {
      problem.replaceChildren(failure(error));
    }
  };
  const email = el("input", {
    type: "text",
    id: "share-email",
    autocomplete: "off",
    maxlength: "255",
    required: true,
  });
  const days = el(
    "select",
    { id: "share-days" },
    DAYS.map(([number, label]) => el("option", { value: number, selected: number === 7 }, label)),
  );
  const submit = (act) => (event) => {
    event.preventDefault();
    attempt(act);
  };
  dialog("Share", [
    el(
      "form",
      {
        class: "inline",
        onsubmit: submit(() => send("POST", path, { email: email.value.trim() })),
      },
      el("label", { for: "share-email" }, "With a user of this server"),
      el("div", { class: "row-inputs" }, email, el("button", { type: "submit" }, "Share")),
    ),
    el(
      "form",
      {
        class: "inline",
        onsubmit: submit(() => send("POST", path, { expires_days: Number(days.value) })),
      },
      el("label", { for: "share-days" }, "With whoever has a link, for"),
      el(
        "div",
        { class: "row-inputs" },
        days,
        el("button", { type: "submit", id: "make-link" }, "Make a link"),
      ),
    ),
    problem,
    el("h3", {}, "Shared with"),
    list,
  ]);
  load();
}

/// A link to be copied.
function link(url) {
  const field = el("input", {
    type: "text",
    readonly: true,
    class: "link",
    value: new URL(url, location.href).href,
    "aria-label": "Link",
  });
  const copy = copier(() => field.value, {}, field);
  return el("span", { class: "row-inputs" }, field, copy);
}
