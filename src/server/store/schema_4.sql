-- A password is stored as Argon2id makes it; who has none cannot sign in. Who is disabled cannot do
-- anything.
ALTER TABLE users ADD COLUMN password TEXT;
ALTER TABLE users ADD COLUMN disabled_at INTEGER;

-- Browsers that are signed in, by the hash of what their cookie holds.
CREATE TABLE browsers (
    hash BLOB PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Programs that wait for a user to confirm them, by the hashes of both codes. `user_id` is who has
-- confirmed, `is_denied` that somebody has refused.
CREATE TABLE devices (
    hash BLOB PRIMARY KEY,
    user_code_hash BLOB NOT NULL UNIQUE,
    key_name TEXT NOT NULL,
    address TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
    is_denied INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
