-- Users and their keys. A key itself is not stored.
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE keys (
    id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    UNIQUE (user_id, name)
) STRICT;

-- `uuid` is the id on the wire. Times are microseconds since 1970. `git_info` is JSON.
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    external_id TEXT NOT NULL,
    transcript_path TEXT NOT NULL,
    cwd TEXT NOT NULL,
    hostname TEXT NOT NULL,
    username TEXT NOT NULL,
    git_info TEXT,
    summary TEXT,
    first_user_message TEXT,
    model TEXT,
    first_seen INTEGER NOT NULL,
    last_sync_at INTEGER NOT NULL,
    last_message_at INTEGER,
    UNIQUE (user_id, external_id, provider)
) STRICT;

CREATE INDEX sessions_newest ON sessions (user_id, last_sync_at);

-- `chunks` counts appends; `raw_bytes` is the length of the file as it reads back.
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    last_line INTEGER NOT NULL,
    raw_bytes INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (session_id, name)
) STRICT;

-- The blocks of a file cover its lines without gap or overlap, in any division: neighbours may be
-- merged. `codec` 0 is raw text, 1 a zstd frame.
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY,
    file_id INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    first_line INTEGER NOT NULL,
    last_line INTEGER NOT NULL,
    raw_bytes INTEGER NOT NULL,
    codec INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (file_id, first_line)
) STRICT;

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    type TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    payload TEXT,
    received_at INTEGER NOT NULL
) STRICT;

CREATE INDEX events_of_session ON events (session_id);
