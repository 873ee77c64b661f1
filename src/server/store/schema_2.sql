-- Commits and pull requests of sessions. `type` is `commit` or `pull_request`, `ref` a hash or a
-- number. `host` tells one GitHub from another. Without rowid, it takes one page while it is empty.
CREATE TABLE links (
    id INTEGER NOT NULL,
    session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    type TEXT NOT NULL,
    url TEXT NOT NULL,
    host TEXT NOT NULL,
    owner TEXT NOT NULL,
    repo TEXT NOT NULL,
    ref TEXT NOT NULL,
    title TEXT,
    source TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (session_id, type, host, owner, repo, ref)
) STRICT, WITHOUT ROWID;
