//! The JSON paths of a transcript line that are never touched, whatever a pattern says: ids, times,
//! signatures and base64 data.
//!
//! Paths, not names: `message.id` is Claude's, an `id` inside a tool's input or output is the
//! user's and is redacted like any other string. Arrays do not count as a step of a path.

/// A place in the shape of a transcript line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node(u8);

impl Node {
    /// The line itself.
    pub const LINE: Node = Node(0);
    /// A value that must not change.
    pub const PROTECTED: Node = Node(1);
    /// Anything without protected values below it.
    pub const FREE: Node = Node(2);
    /// `message`: one message of the API.
    const MESSAGE: Node = Node(3);
    /// An element of `message.content`.
    const BLOCK: Node = Node(4);
    /// `source` of an image or a document.
    const SOURCE: Node = Node(5);
    /// `data` of a progress line, which carries whole lines of a sub-agent.
    const PROGRESS: Node = Node(6);
    /// `snapshot`, `attachment`, `worktreeSession`, `compactMetadata` and their parts.
    const RECORD: Node = Node(7);
    /// `toolUseResult`: written by a tool, so that little of it is an id.
    const RESULT: Node = Node(8);
    /// `toolUseResult.file`: a picture or a document that was read.
    const FILE: Node = Node(9);
    /// An element of a tool result's `content`: a text or a picture.
    const NESTED: Node = Node(10);

    /// The node of an object's value. `key` is the raw content of the key: one that is spelt with
    /// escapes protects nothing.
    pub fn child(self, key: &[u8]) -> Node {
        match (self, key) {
            (Node::FREE | Node::PROTECTED, _) => Node::FREE,
            (Node::LINE | Node::RECORD | Node::PROGRESS, key) if is_line_id(key) => Node::PROTECTED,
            (Node::LINE, b"message" | b"messages") => Node::MESSAGE,
            (Node::LINE, b"data") => Node::PROGRESS,
            (Node::LINE, b"snapshot" | b"attachment" | b"worktreeSession" | b"compactMetadata") => {
                Node::RECORD
            }
            (Node::RECORD, b"preservedSegment" | b"preservedMessages") => Node::RECORD,
            (Node::LINE, b"toolUseResult") => Node::RESULT,
            (Node::PROGRESS, b"message") => Node::LINE,
            (Node::MESSAGE, b"id") => Node::PROTECTED,
            (Node::MESSAGE, b"content") => Node::BLOCK,
            (Node::BLOCK, b"id" | b"tool_use_id" | b"signature" | b"data") => Node::PROTECTED,
            (Node::BLOCK | Node::RESULT, b"content") => Node::NESTED,
            (Node::BLOCK | Node::RESULT | Node::NESTED, b"source") => Node::SOURCE,
            (Node::SOURCE, b"data") => Node::PROTECTED,
            (Node::RESULT, b"agentId") => Node::PROTECTED,
            (Node::RESULT, b"file") => Node::FILE,
            (Node::FILE, b"base64") => Node::PROTECTED,
            _ => Node::FREE,
        }
    }
}

/// Ids and times that Claude Code itself puts on a line.
fn is_line_id(key: &[u8]) -> bool {
    matches!(
        key,
        b"uuid"
            | b"parentUuid"
            | b"logicalParentUuid"
            | b"leafUuid"
            | b"headUuid"
            | b"anchorUuid"
            | b"tailUuid"
            | b"uuids"
            | b"sessionId"
            | b"session_id"
            | b"requestSessionId"
            | b"requestId"
            | b"promptId"
            | b"agentId"
            | b"id"
            | b"messageId"
            | b"snapshotMessageId"
            | b"interruptedMessageId"
            | b"toolUseID"
            | b"toolUseId"
            | b"tool_use_id"
            | b"parentToolUseID"
            | b"sourceToolUseID"
            | b"sourceToolAssistantUUID"
            | b"timestamp"
            | b"timestamps"
    )
}
