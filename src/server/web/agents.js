// Which file holds the lines of an agent.

import { get } from "./api.js";
import { joined, read, word } from "./events.js";

// Files whose first line is looked at for the prompt of a call.
const AGENT_PROMPTS_MAX = 50;

/// The file of an agent: named by its result, or found by its prompt as long as there is none; null
/// when there is none. `prompts` keeps what was read of files.
export async function agentFile(session, call, result, prompts) {
  const said = result ? joined(result.blocks) : "";
  const told = word(result?.noted?.agentId);
  const named = told || /agentId:\s*([A-Za-z0-9_-]{1,64})/.exec(said)?.[1];
  const isAgent = (file) => /(^|\/)agent-[^/]*\.jsonl$/.test(file.file_name);
  const agents = session.files.filter(isAgent);
  if (named) return agents.find((file) => file.file_name.endsWith(`agent-${named}.jsonl`)) ?? null;
  const prompt = word(call.input.prompt).trim();
  for (const file of agents.slice(0, AGENT_PROMPTS_MAX)) {
    if ((await promptOf(session, file, prompts)) === prompt) return file;
  }
  return null;
}

async function promptOf(session, file, prompts) {
  const name = file.file_name;
  if (!prompts.has(name)) {
    const path = `/sessions/${encodeURIComponent(session.id)}/events`;
    const { events } = await get(path, { file: name, from: 1, limit: 1 });
    prompts.set(name, events.length ? joined(read(1, events[0].raw).blocks).trim() : "");
  }
  return prompts.get(name);
}
