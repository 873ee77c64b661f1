-- What lists and filters go by: the last folder of the repository or, without one, of the working
-- directory. `rtrim` of all that is no slash leaves what is before the last part.
ALTER TABLE sessions ADD COLUMN branch TEXT
    GENERATED ALWAYS AS (nullif(git_info ->> '$.branch', '')) VIRTUAL;
ALTER TABLE sessions ADD COLUMN repository TEXT GENERATED ALWAYS AS (
    CASE WHEN rtrim(git_info ->> '$.repo_url', '/') LIKE '%.git'
        THEN substr(rtrim(git_info ->> '$.repo_url', '/'), 1,
            length(rtrim(git_info ->> '$.repo_url', '/')) - 4)
        ELSE rtrim(git_info ->> '$.repo_url', '/') END) VIRTUAL;
ALTER TABLE sessions ADD COLUMN folder TEXT
    GENERATED ALWAYS AS (rtrim(replace(cwd, '\', '/'), '/')) VIRTUAL;
ALTER TABLE sessions ADD COLUMN project TEXT GENERATED ALWAYS AS (coalesce(
    nullif(substr(repository, 1 + length(
        rtrim(repository, replace(replace(repository, '/', ''), ':', '')))), ''),
    nullif(substr(folder, 1 + length(rtrim(folder, replace(folder, '/', '')))), ''))) VIRTUAL;

-- The time of the first line that has one: of two files with the same lines, the one that begins
-- later is the copy. All rows are made anew, since they tell more now.
ALTER TABLE files ADD COLUMN begun_at INTEGER;
UPDATE files SET indexed_line = 0;

-- `mark` is 1 for what a user typed, 2 for an error, 3 for a compaction. `added` and `removed` are
-- lines of files that a tool changed. `tool` is whose result the line is. `words` is how many
-- different words it has.
ALTER TABLE messages ADD COLUMN mark INTEGER;
ALTER TABLE messages ADD COLUMN added INTEGER;
ALTER TABLE messages ADD COLUMN removed INTEGER;
ALTER TABLE messages ADD COLUMN tool TEXT;
ALTER TABLE messages ADD COLUMN words INTEGER NOT NULL DEFAULT 0;
CREATE INDEX messages_marked ON messages (file_id, mark, line) WHERE mark IS NOT NULL;

-- `call` is a hash of the id that the result has as well; `is_error` is null until it is there.
ALTER TABLE tool_uses ADD COLUMN call INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tool_uses ADD COLUMN is_error INTEGER;

-- A message that files of a user share counts where it was first: elsewhere it is a copy.
ALTER TABLE usages ADD COLUMN user_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usages ADD COLUMN is_copy INTEGER NOT NULL DEFAULT 0;
CREATE INDEX usages_by_message ON usages (message_id, user_id);
CREATE TRIGGER usages_gone AFTER DELETE ON usages WHEN NOT old.is_copy BEGIN
    UPDATE usages SET is_copy = 0 WHERE message_id = old.message_id AND file_id = (
        SELECT other.file_id FROM usages AS other JOIN files ON files.id = other.file_id
        WHERE other.message_id = old.message_id AND other.user_id = old.user_id
        ORDER BY files.begun_at IS NULL, files.begun_at, files.id LIMIT 1);
END;

-- Lines and sessions elsewhere that the lines of a file go on from: a uuid, or the agent's id of
-- a session.
CREATE TABLE origins (
    file_id INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    origin ANY NOT NULL,
    PRIMARY KEY (file_id, origin)
) STRICT, WITHOUT ROWID;

CREATE INDEX origins_by_origin ON origins (origin);

-- The newest sessions of a user, by what was said in them last.
CREATE INDEX sessions_latest
    ON sessions (user_id, coalesce(last_message_at, last_sync_at), id);

-- Which lines hold which words. A row is a line: its number is `file << 27 | line`. No text is
-- kept, and neither where in a line a word is: the line itself is asked for that.
CREATE VIRTUAL TABLE words USING fts5 (
    word, content = '', contentless_delete = 1, detail = 'none',
    tokenize = "ascii tokenchars '_='"
);
-- Fewer merges, of larger pieces, than usual: a third less work while history is brought in.
INSERT INTO words (words, rank) VALUES ('automerge', 8);
INSERT INTO words (words, rank) VALUES ('hashsize', 4194304);
-- And few pieces when there is time, which makes searching fast.
INSERT INTO words (words, rank) VALUES ('usermerge', 2);

-- One row while words of removed lines may still be in pages of the index.
CREATE TABLE purging (since INTEGER NOT NULL) STRICT;
