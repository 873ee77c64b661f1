// What the page asks the server. A browser that is not signed in any more is sent to where it can.

/// Path of the page's root, without a slash at its end: modules lie in `assets/VERSION/` below it.
export const BASE = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
const API = `${BASE}/api/v1`;
/// What a link brought along that lets its reader read one session; null for users.
export const SHARE = /^\/s\/([^/]+)$/.exec(location.pathname.slice(BASE.length))?.[1] ?? null;

/// What the server said instead of what was asked for.
export class Refusal extends Error {
  constructor(status, text) {
    super(text || `the server answered ${status}`);
    this.status = status;
  }
}

/// An address of the API; parameters that are null or empty are left out.
export function address(path, parameters = {}) {
  const query = new URLSearchParams(SHARE ? { share: SHARE } : {});
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  return query.size ? `${API}${path}?${query}` : API + path;
}

/// The JSON of an address.
export const get = (path, parameters, signal) =>
  ask("GET", address(path, parameters), null, signal);

/// Sends JSON, and returns the JSON that is answered; null when nothing is.
export const send = (method, path, body) => ask(method, address(path), body ?? {}, undefined);

async function ask(method, url, body, signal) {
  const headers = body && method !== "DELETE" ? { "Content-Type": "application/json" } : {};
  const options = { method, headers, signal, credentials: "same-origin" };
  if (body && method !== "DELETE") options.body = JSON.stringify(body);
  const answer = await fetch(url, options);
  if (answer.status === 401 && !SHARE) signIn();
  const text = await answer.text();
  if (!answer.ok) throw new Refusal(answer.status, said(text));
  return text ? JSON.parse(text) : null;
}

function said(text) {
  try {
    return JSON.parse(text).error ?? text.trim();
  } catch {
    return text.trim();
  }
}

/// Leaves for the sign-in, and comes back here.
export function signIn() {
  const here = location.pathname.slice(BASE.length) + location.search;
  location.assign(`${BASE}/auth/login?next=${encodeURIComponent(here)}`);
}

/// Follows a stream of events: `listeners` by their name, `onstate(is_open, is_refused)`. It is closed
/// while nobody looks, since a browser keeps few connections, and `url()` says from where it goes on.
export function follow(url, listeners, onstate = () => {}) {
  let source = null;
  let timer = 0;
  let delay = 1000;
  const open = () => {
    clearTimeout(timer);
    if (source || document.hidden) return;
    source = new EventSource(url());
    source.onopen = () => {
      delay = 1000;
      onstate(true);
    };
    source.onerror = () => {
      const isRefused = source?.readyState === EventSource.CLOSED;
      if (isRefused) {
        close();
        timer = setTimeout(open, delay);
        delay = Math.min(delay * 2, 60000);
      }
      onstate(false, isRefused);
    };
    for (const [name, listener] of Object.entries(listeners)) {
      source.addEventListener(name, (event) => listener(JSON.parse(event.data), event.lastEventId));
    }
  };
  const close = () => {
    source?.close();
    source = null;
  };
  const look = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", look);
  open();
  return () => {
    clearTimeout(timer);
    close();
    document.removeEventListener("visibilitychange", look);
  };
}
