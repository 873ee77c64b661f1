// What a line of a transcript is: read tolerantly, since every version of Claude Code writes
// other ones.

const INTERRUPTED = "[Request interrupted by user";

/// A line as the page knows it: its number, what it says in the conversation, and as it is stored.
///
/// `kind` is one of `prompt`, `said` (by the agent), `results`, `command`, `output` (of a command),
/// `interrupted`, `summary` (of what was compacted), `compacted`, `error`, `notice`, and `other`
/// for what is no part of the conversation.
export function read(line, raw) {
  const event = { line, raw, kind: "other", label: "", time: "", blocks: [], side: false };
  if (typeof raw !== "object" || raw === null)
    return { ...event, kind: "broken", label: "not JSON" };
  event.time = text(raw.timestamp);
  event.side = raw.isSidechain === true;
  event.label = text(raw.type) || "line";
  if (raw.type === "user") return user(event, raw);
  if (raw.type === "assistant") return assistant(event, raw);
  if (raw.type === "system") return system(event, raw);
  if (raw.type === "attachment") return attachment(event, raw);
  return event;
}

const text = (value) => (typeof value === "string" ? value : "");

/// A message's content as a list of blocks that are objects.
export function blocksOf(content) {
  if (typeof content === "string") return [{ type: "text", text: content }];
  return Array.isArray(content)
    ? content.filter((block) => typeof block === "object" && block !== null)
    : [];
}

function user(event, raw) {
  event.blocks = blocksOf(raw.message?.content);
  const said = event.blocks
    .filter((block) => block.type === "text")
    .map((block) => text(block.text))
    .join("\n");
  if (event.blocks.some((block) => block.type === "tool_result"))
    return { ...event, kind: "results" };
  if (raw.isCompactSummary) return { ...event, kind: "summary" };
  if (said.startsWith(INTERRUPTED)) return { ...event, kind: "interrupted", text: said };
  const command = /<command-name>([^<]{0,200})<\/command-name>/.exec(said.slice(0, 4000));
  if (command) {
    const given = /<command-args>([\s\S]{0,4000}?)<\/command-args>/.exec(said.slice(0, 8000));
    return { ...event, kind: "command", text: `${command[1]} ${given?.[1] ?? ""}`.trim() };
  }
  const output = /^\s*<(?:local-command-stdout|local-command-stderr|bash-stdout|bash-input)>/.exec(
    said,
  );
  if (output)
    return {
      ...event,
      kind: "output",
      text: said.replace(
        /<\/?(?:local-command-(?:stdout|stderr)|bash-(?:stdout|stderr|input))>/g,
        "",
      ),
    };
  if (raw.isMeta || !event.blocks.length) return { ...event, label: "told to Claude" };
  return { ...event, kind: "prompt" };
}

function assistant(event, raw) {
  event.blocks = blocksOf(raw.message?.content);
  event.model = text(raw.message?.model);
  event.message = text(raw.message?.id);
  event.usage = raw.message?.usage;
  const kind = raw.isApiErrorMessage ? "error" : event.blocks.length ? "said" : "other";
  const said = event.blocks.map((block) => text(block.text)).join("\n");
  return { ...event, kind, text: said };
}

function system(event, raw) {
  const subtype = text(raw.subtype);
  event.label = subtype || "system";
  if (subtype === "compact_boundary") {
    const { trigger, preTokens, postTokens } = raw.compactMetadata ?? {};
    return {
      ...event,
      kind: "compacted",
      trigger: text(trigger),
      before: preTokens,
      after: postTokens,
    };
  }
  const said = text(raw.content).replace(/<\/?local-command-(?:stdout|stderr)>/g, "");
  if (subtype === "api_error" || raw.level === "error") {
    return { ...event, kind: "error", text: said || text(raw.error?.message) || "the API failed" };
  }
  if (subtype === "local_command" && said.trim()) return { ...event, kind: "output", text: said };
  if (raw.level === "warning" && said.trim()) return { ...event, kind: "notice", text: said };
  return event;
}

function attachment(event, raw) {
  const content = raw.attachment ?? {};
  const type = text(content.type);
  event.label = type || "attachment";
  if (type === "queued_command") {
    return { ...event, kind: "prompt", queued: true, blocks: blocksOf(content.prompt) };
  }
  if (/^hook_.*(error|cancelled|blocking)/.test(type)) {
    const said =
      text(content.stderr) ||
      text(content.blockingError?.blockingError) ||
      text(content.content) ||
      text(content.stdout);
    return {
      ...event,
      kind: "notice",
      text: `${text(content.hookName) || "hook"}: ${said || type}`,
    };
  }
  return event;
}

/// The results that a line brings: by the call that they answer.
export function resultsOf(event) {
  if (event.kind !== "results") return [];
  const results = event.blocks.filter((block) => block.type === "tool_result");
  // What Claude Code has noted besides belongs to the one result of the line.
  const noted =
    results.length === 1 && typeof event.raw.toolUseResult === "object"
      ? event.raw.toolUseResult
      : null;
  return results.map((block) => ({
    id: text(block.tool_use_id),
    line: event.line,
    time: event.time,
    is_error: block.is_error === true,
    blocks: blocksOf(block.content),
    noted,
  }));
}

/// The texts of blocks, joined.
export function joined(blocks) {
  return blocks
    .filter((block) => block.type === "text")
    .map((block) => text(block.text))
    .join("\n");
}

/// What a value says in a few words.
export const word = text;
