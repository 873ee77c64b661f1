// What is known of a session besides its lines.

import { BASE, SHARE } from "./api.js";
import { el, flat, shown } from "./dom.js";
import { ago, brief, count, duration, moment, money, plural } from "./format.js";

/// The file that holds the conversation itself.
export function mainFile(session) {
  const transcripts = session.files.filter((file) => file.file_type === "transcript");
  return (
    transcripts.find((file) => file.file_name === `${session.external_id}.jsonl`) ??
    transcripts[0] ??
    session.files[0]
  );
}

/// Where it was held.
export function facts(session) {
  const git = session.git_info ?? {};
  const known = [
    ["Folder", session.cwd],
    ["Branch", git.branch],
    ["Machine", session.hostname],
    ["User", session.username],
    ["Shared by", session.is_owner ? "" : session.owner_email],
  ];
  const items = known
    .filter(([, value]) => value)
    .map(([name, value]) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, shown(flat(value, 300)))),
    );
  const when = el(
    "div",
    {},
    el("dt", {}, "Last activity"),
    el(
      "dd",
      {},
      el(
        "time",
        { datetime: session.last_sync_at, title: moment(session.last_sync_at) },
        ago(session.last_sync_at),
      ),
    ),
  );
  return el("dl", { class: "facts" }, items, when);
}

/// What all of its lines say together.
export const counted = (session) =>
  [figures(session), lineage(session)].filter((node) => node !== null);

function figures(session) {
  const known = session.figures;
  if (!known) return null;
  const sum = (name) => known.tokens.reduce((total, row) => total + (row[name] ?? 0), 0);
  const sumIn = sum("input") + sum("cache_read") + sum("cache_creation");
  const failed = known.tools.reduce((total, tool) => total + tool.errors, 0);
  const uses = known.tools.reduce((total, tool) => total + tool.uses, 0);
  const parts = [
    known.prompts ? plural(known.prompts, "prompt") : "",
    known.duration_seconds ? duration(known.duration_seconds) : "",
    sum("output") ? `${brief(sumIn)} tokens in, ${brief(sum("output"))} out` : "",
    known.cost ? money(known.cost) : "",
    uses ? `${plural(uses, "tool call")}${failed ? `, ${count(failed)} failed` : ""}` : "",
    known.lines_added || known.lines_removed
      ? `+${count(known.lines_added)} −${count(known.lines_removed)} lines`
      : "",
    known.tokens
      .map((row) => row.model)
      .filter(Boolean)
      .join(", "),
  ];
  return el(
    "ul",
    { class: "figures", "aria-label": "Figures" },
    parts.filter(Boolean).map((part) => el("li", {}, shown(part))),
  );
}

/// What it grew out of, and what out of it.
function lineage(session) {
  if (!session.lineage?.length || SHARE) return null;
  const items = session.lineage.map((other) =>
    el(
      "li",
      {},
      `${other.relation.replaceAll("_", " ")} `,
      el(
        "a",
        { href: `${BASE}/sessions/${encodeURIComponent(other.session_id)}`, "data-in": true },
        shown(flat(other.title || other.external_id, 120)),
      ),
    ),
  );
  return el("ul", { class: "figures", "aria-label": "Related sessions" }, items);
}

/// Instead of a session that cannot be read.
export function missing(error) {
  const text =
    error.status === 404
      ? "There is no such session, or it is not yours."
      : `The session cannot be read: ${error.message}`;
  return el(
    "div",
    { class: "empty", role: "alert" },
    el("h1", {}, "Not found"),
    el("p", {}, text),
    el("p", {}, el("a", { href: `${BASE}/`, "data-in": true }, "All sessions")),
  );
}
