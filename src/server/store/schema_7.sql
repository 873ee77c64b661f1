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

-- What lists go by: when something was said last in a session, which may be long before it arrived.
-- Where no line tells, when lines arrived last. Never ahead of the clock of then.
ALTER TABLE sessions ADD COLUMN active_at INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET active_at = min(coalesce(last_message_at, last_sync_at), last_sync_at);
CREATE INDEX sessions_active ON sessions (user_id, active_at, id);
