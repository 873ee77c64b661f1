-- What is left of a session that was removed for its age, so that whoever still has it is not asked
-- for it again: how many lines its files had, as {"NAME": LINES}, and nothing of what they said.
-- `active_at` is when something was last said in it.
CREATE TABLE expired (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    external_id TEXT NOT NULL,
    uuid TEXT NOT NULL UNIQUE,
    files TEXT NOT NULL,
    active_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, external_id, provider)
) STRICT, WITHOUT ROWID;

-- What `confab watch` on a machine has said of all its sessions: those that it has not brought in
-- whole, and those that fail.
CREATE TABLE machines (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hostname TEXT NOT NULL,
    reported_at INTEGER NOT NULL,
    waiting_sessions INTEGER NOT NULL,
    waiting_bytes INTEGER NOT NULL,
    failed_sessions INTEGER NOT NULL,
    PRIMARY KEY (user_id, hostname)
) STRICT, WITHOUT ROWID;

-- What the machine of a session has said of it with what it last sent: bytes that are still only
-- there, lines that were left out, and what failed since.
CREATE TABLE reports (
    session_id INTEGER PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    reported_at INTEGER NOT NULL,
    pending_bytes INTEGER NOT NULL,
    withheld_lines INTEGER NOT NULL,
    error TEXT,
    error_at INTEGER
) STRICT;

-- A row for each removal whose words may still be in pages of the index. Its number never comes
-- again, so that who has gone through the index knows which removals came only meanwhile.
CREATE TABLE removals (number INTEGER PRIMARY KEY AUTOINCREMENT) STRICT;
INSERT INTO removals SELECT NULL FROM purging;
DROP TABLE purging;

-- As before, but the number of a share never comes again: for who holds a link it is what they are.
CREATE TABLE shares_7 (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
    hash BLOB UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    UNIQUE (session_id, user_id),
    CHECK ((user_id IS NULL) <> (hash IS NULL))
) STRICT;
INSERT INTO shares_7 SELECT id, session_id, user_id, hash, created_at, expires_at FROM shares;
DROP TABLE shares;
ALTER TABLE shares_7 RENAME TO shares;
CREATE INDEX shares_of_user ON shares (user_id) WHERE user_id IS NOT NULL;

-- What lists go by: when something was said last in a session, which may be long before it arrived.
-- Where no line tells, when lines arrived last. Never ahead of the clock of then.
ALTER TABLE sessions ADD COLUMN active_at INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET active_at = min(coalesce(last_message_at, last_sync_at), last_sync_at);
CREATE INDEX sessions_active ON sessions (user_id, active_at, id);
