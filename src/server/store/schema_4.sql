-- A user who may not come in any more keeps their keys and sessions.
ALTER TABLE users ADD COLUMN disabled_at INTEGER;

-- Argon2id, each hash with the parameters that it was made with.
CREATE TABLE passwords (
    user_id INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    memory_kib INTEGER NOT NULL,
    passes INTEGER NOT NULL,
    lanes INTEGER NOT NULL,
    salt BLOB NOT NULL,
    hash BLOB NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

-- Browsers that are signed in. The token itself, which their cookie holds, is not stored. They are
-- a few for each user: an index would be larger than what it spares.
CREATE TABLE sign_ins (
    hash BLOB PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Machines that wait for somebody to confirm them, a thousand at most. Neither code is stored.
-- `answer` is 0 as long as nobody has said anything, 1 when `user_id` has confirmed, 2 when they
-- have denied.
CREATE TABLE device_codes (
    hash BLOB PRIMARY KEY,
    user_code_hash BLOB NOT NULL,
    key_name TEXT NOT NULL,
    address TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    answer INTEGER NOT NULL,
    user_id INTEGER REFERENCES users (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
