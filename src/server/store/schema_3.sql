-- How far the index has come, and up to which line the blocks of a file are at rest.
ALTER TABLE files ADD COLUMN indexed_line INTEGER NOT NULL DEFAULT 0;
ALTER TABLE files ADD COLUMN merged_line INTEGER NOT NULL DEFAULT 0;
CREATE INDEX files_to_index ON files (updated_at) WHERE indexed_line < last_line;
CREATE INDEX files_to_merge ON files (id) WHERE merged_line < last_line;

-- `codec` 2 is a zstd frame that refers to the text of the block `base_block`. A base is another
-- block of the same user, at rest, and has no base itself.
ALTER TABLE blocks ADD COLUMN base_block INTEGER REFERENCES blocks (id);
CREATE INDEX blocks_of_base ON blocks (base_block) WHERE base_block IS NOT NULL;

-- What the lines tell; all of it can be made from them again. `type` is null for a line that is no
-- JSON object; `role` is null where it is the type. A uuid is 16 bytes, any other id a text.
CREATE TABLE messages (
    file_id INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    line INTEGER NOT NULL,
    type TEXT,
    role TEXT,
    uuid ANY,
    parent_uuid ANY,
    timestamp INTEGER,
    is_error INTEGER,
    PRIMARY KEY (file_id, line)
) STRICT, WITHOUT ROWID;

CREATE INDEX messages_by_uuid ON messages (uuid) WHERE uuid IS NOT NULL;

-- The tools that a line uses, in order.
CREATE TABLE tool_uses (
    file_id INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    line INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (file_id, line, position)
) STRICT, WITHOUT ROWID;

-- What a message of the model cost, once, though each of its lines says it. `line` is the first.
CREATE TABLE usages (
    file_id INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    message_id TEXT NOT NULL,
    line INTEGER NOT NULL,
    timestamp INTEGER,
    model TEXT,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_creation INTEGER NOT NULL,
    PRIMARY KEY (file_id, message_id)
) STRICT, WITHOUT ROWID;

-- One row while `reindex` is at work, so that an interrupted one goes on where it was.
CREATE TABLE reindexing (file_id INTEGER NOT NULL) STRICT;
