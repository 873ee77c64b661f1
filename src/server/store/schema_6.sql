-- Put aside by its owner: still there, but not shown unless asked for.
ALTER TABLE sessions ADD COLUMN archived_at INTEGER;

-- Who else may read a session: a user, or whoever has the token, which itself is not stored, until
-- `expires_at`.
CREATE TABLE shares (
    id INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
    hash BLOB UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    UNIQUE (session_id, user_id),
    CHECK ((user_id IS NULL) <> (hash IS NULL))
) STRICT;

-- Which file counts a message.
CREATE INDEX usages_counted ON usages (message_id, user_id) WHERE NOT is_copy;

CREATE INDEX shares_of_user ON shares (user_id) WHERE user_id IS NOT NULL;
