#!/usr/bin/env bash
# run.sh CONFAB CONFAB_SERVER [--mine]: what `./build.sh run` shows. A recorded session grows while
# it is followed, ends, is read back from the server and compared with its files line for line.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
confab=$(readlink -f "$1")
server=$(readlink -f "$2")
mine=${3-}

WAIT_SECONDS_MAX=60
BATCH_SESSIONS=8
RECORDING=$root/fixtures/transcripts/subagents/home/.claude/projects/-home-dev-project
SESSION=11111111-1111-4111-8111-111111111111

say() { printf '%s\n' "$*"; }

die() {
    printf 'run: error: %s\n' "$*" >&2
    exit 1
}

# Waits until a command succeeds.
wait_until() {
    local what=$1 end=$((SECONDS + WAIT_SECONDS_MAX))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || die "not within $WAIT_SECONDS_MAX s: $what"
        sleep 0.05
    done
}

# The pids of everything that was started with the work folder in its environment.
ours() {
    local pid
    for pid in $(cd /proc && ls -d [0-9]*); do
        [ "$pid" = "$$" ] || [ "$pid" = "$BASHPID" ] && continue
        tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" | grep -q "^HOME=$work/home$" && echo "$pid"
    done 2>/dev/null
    return 0
}

clean_up() {
    local status=$?
    trap - EXIT
    for pid in $(ours) ${server_pid-}; do kill -9 "$pid" 2>/dev/null || true; done
    rm -rf "$work"
    exit "$status"
}

start_server() {
    key=$("$server" key create --name run --data "$data")
    "$server" serve --listen 127.0.0.1:0 --data "$data" >"$work/server.out" 2>"$work/server.err" &
    server_pid=$!
    wait_until "the server listens" grep -qs '^listening on ' "$work/server.out"
    url=$(sed 's/^listening on //' "$work/server.out")
    say "server:   $url, data in $data"
}

# Runs the client with a home of its own, so that no real configuration is touched.
client() {
    env -i HOME="$work/home" PATH="$PATH" CONFAB_CLAUDE_DIR="$claude" \
        CONFAB_SYNC_INTERVAL_MS=200 CONFAB_SYNC_JITTER_MS=0 "$confab" "$@"
}

configure() {
    mkdir -p "$work/home/.confab"
    printf '{"backend_url":"%s","api_key":"%s"}' "$url" "$key" >"$work/home/.confab/config.json"
    chmod 600 "$work/home/.confab/config.json"
}

# get PATH: the body of the answer; fails unless it is 200.
get() {
    local status header address=${url#http://}
    exec 3<>"/dev/tcp/${address%:*}/${address##*:}" || return 1
    printf 'GET /api/v1%s HTTP/1.0\r\nAuthorization: Bearer %s\r\n\r\n' "$1" "$key" >&3
    IFS= read -r status <&3
    while IFS= read -r header <&3 && [ "$header" != $'\r' ]; do :; done
    cat <&3
    exec 3>&-
    [[ $status == *" 200 "* ]]
}

backend_id() { get "/sessions/by-external-id/$1" | sed 's/.*"session_id":"\([^"]*\)".*/\1/'; }

# stored SESSION FILE: how many lines the server has.
stored() {
    local id
    id=$(backend_id "$1") || return 1
    get "/sessions/$id/files/download?file_name=$2" 2>/dev/null | wc -l
}

has() {
    local count
    count=$(stored "$1" "$2") && [ "$count" -ge "$3" ]
}
nobody_left() { [ -z "$(ours)" ]; }

# hook NAME EVENT SESSION TRANSCRIPT CWD
hook() {
    printf '{"session_id":"%s","transcript_path":"%s","cwd":"%s","hook_event_name":"%s"%s}\n' \
        "$3" "$4" "$5" "$2" ',"source":"startup","reason":"other"' | client hook "$1" >/dev/null
}

# compare SESSION FILE PATH: adds to `lines` and `redacted`.
compare() {
    local id numbers
    id=$(backend_id "$1")
    get "/sessions/$id/files/download?file_name=$2" >"$work/back" || die "$1/$2 is not there"
    numbers=$(awk -f "$here/compare.awk" "$3" "$work/back") || die "$1/$2: $numbers"
    lines=$((lines + ${numbers% *}))
    redacted=$((redacted + ${numbers#* }))
    files=$((files + 1))
}

recorded_session() {
    local transcript=$claude/projects/-home-dev-project/$SESSION.jsonl
    local recorded=$RECORDING/$SESSION.jsonl secret total at
    total=$(($(wc -l <"$recorded") + 1))
    mkdir -p "$(dirname "$transcript")"
    hook session-start SessionStart "$SESSION" "$transcript" "$root"
    say "session:  started; $total lines will follow, and those of $(agents | wc -l) agents"
    for at in 10 20 30; do
        sed -n "$((at - 9)),${at}p" "$recorded" >>"$transcript"
        wait_until "line $at arrives" has "$SESSION" "$SESSION.jsonl" "$at"
        say "          line $at is at the server, the session goes on"
    done
    # A made-up secret, put together here so that none lies in the repository.
    secret=$(printf '%s%s' AKIA IOSFODNN7ABCDEFG)
    printf '{"type":"user","message":{"role":"user","content":"key %s"}}\n' "$secret" >>"$transcript"
    mkdir -p "${transcript%.jsonl}/subagents"
    agents | while read -r name; do cp "$RECORDING/$SESSION/subagents/$name" "${transcript%.jsonl}/subagents/"; done
    sed -n '31,$p' "$recorded" >>"$transcript"
    hook session-end SessionEnd "$SESSION" "$transcript" "$root"
    wait_until "the daemon ends" nobody_left
    say "session:  ended; the daemon is gone"
    compare "$SESSION" "$SESSION.jsonl" "$transcript"
    while read -r name; do
        compare "$SESSION" "$name" "${transcript%.jsonl}/subagents/$name"
    done < <(agents)
    get "/sessions/$(backend_id "$SESSION")/files/download?file_name=$SESSION.jsonl" >"$work/back"
    ! grep -q "$secret" "$work/back" || die "a secret has reached the server"
    grep -q 'key \[REDACTED:' "$work/back" || die "the secret's line is not there"
    [ -z "$(ls -A "$work/home/.confab/sync" 2>/dev/null)" ] || die "state is left behind"
    say "compared: $files files, $lines lines, all there, once and in order"
    say "redacted: $redacted lines; the made-up secret did not leave this machine"
    kill -TERM "$server_pid"
    wait "$server_pid" || die "the server did not end cleanly: $(cat "$work/server.err")"
    say "removed:  server, data and everything else"
}

agents() { (cd "$RECORDING/$SESSION/subagents" && ls agent-*.jsonl); }

own_sessions() {
    local path id cwd count=0
    while IFS= read -r path; do
        id=$(basename "$path" .jsonl)
        [[ $id == agent-* || ! -s $path ]] && continue
        cwd=$(grep -m1 -o '"cwd":"[^"\\]*"' "$path" | cut -d'"' -f4 || true)
        hook session-start SessionStart "$id" "$path" "${cwd:-/}"
        count=$((count + 1))
        printf '%s\t%s\n' "$id" "$path" >>"$work/sessions"
        [ $((count % BATCH_SESSIONS)) != 0 ] || finish_batch
    done < <(find "$claude/projects" -mindepth 2 -maxdepth 2 -name '*.jsonl' | sort)
    finish_batch
    [ "$count" -gt 0 ] || die "there are no sessions in $claude/projects"
    while IFS=$'\t' read -r id path; do
        # Only what was there when it was read back counts: the session may be going on.
        head -n "$(stored "$id" "$id.jsonl")" "$path" >"$work/original"
        compare "$id" "$id.jsonl" "$work/original"
    done <"$work/sessions"
    say "compared: $count sessions, $lines lines, all there, once and in order"
    say "redacted: $redacted lines"
    say "kept:     the server (pid $server_pid, $url) and its data ($data)"
    say "key:      $key"
    server_pid=
}

# Daemons send what there is when they are asked to end.
finish_batch() {
    local pid
    wait_until "all have arrived" all_arrived
    for pid in $(ours); do kill -TERM "$pid"; done
    wait_until "the daemons end" nobody_left
}

all_arrived() {
    local id path
    while IFS=$'\t' read -r id path; do
        has "$id" "$id.jsonl" "$(wc -l <"$path")" || return 1
    done < <(tail -n "$BATCH_SESSIONS" "$work/sessions")
}

work=$(mktemp -d)
trap clean_up EXIT
mkdir -p "$work/home"
lines=0 redacted=0 files=0
if [ "$mine" = --mine ]; then
    claude=${CLAUDE_CONFIG_DIR:-$HOME/.claude} data=$HOME/.confab/server
    [ -d "$claude/projects" ] || die "there is no folder $claude/projects"
    start_server
    configure
    own_sessions
else
    claude=$work/home/.claude data=$work/data
    start_server
    configure
    recorded_session
fi
