#!/bin/sh
{MARK}
# Runs confab-server where there is no systemd: start, stop, restart, reload, status.
set -u
umask 077
data={DATA}
pid_file=$data/server.pid
log=$data/server.log

# The running server's process, when it is one.
running() {
    pid=$(cat "$pid_file" 2>/dev/null) || return 1
    case $({ tr '\0' ' ' <"/proc/$pid/cmdline" || ps -o args= -p "$pid"; } 2>/dev/null) in
    *serve*--data*) return 0 ;;
    *) return 1 ;;
    esac
}

# True once the server has said that it listens, since the log was that long.
listening() {
    tail -c "+$(($1 + 1))" "$log" | grep -q '^listening on '
}

start() {
    if running; then
        echo "confab-server runs already, process $pid"
        return 0
    fi
    mkdir -p "$data" && : >>"$log" || return 1
    before=$(wc -c <"$log")
    # Its lines go there by themselves, too: it keeps the file small and opens it again on reload.
    nohup {COMMAND} --log-file "$log" >>"$log" 2>&1 </dev/null &
    echo $! >"$pid_file"
    waited=0
    while ! listening "$before"; do
        if ! kill -0 "$!" 2>/dev/null || [ "$waited" -ge 30 ]; then
            echo "confab-server did not start:" >&2
            tail -c "+$((before + 1))" "$log" >&2
            kill -TERM "$!" 2>/dev/null
            rm -f "$pid_file"
            return 1
        fi
        sleep 1
        waited=$((waited + 1))
    done
    echo "confab-server runs, process $!; its log is $log"
}

stop() {
    if ! running; then
        echo "confab-server does not run"
        rm -f "$pid_file"
        return 0
    fi
    kill -TERM "$pid"
    waited=0
    while running; do
        if [ "$waited" -ge {STOP_SECONDS} ]; then
            echo "confab-server, process $pid, does not end" >&2
            return 1
        fi
        sleep 1
        waited=$((waited + 1))
    done
    rm -f "$pid_file"
    echo "confab-server has ended"
}

case ${1:-} in
start) start ;;
stop) stop ;;
restart) stop && start ;;
reload)
    if ! running; then
        echo "confab-server does not run" >&2
        exit 3
    fi
    kill -HUP "$pid"
    ;;
status)
    if running; then
        echo "confab-server runs, process $pid"
    else
        echo "confab-server does not run"
        exit 3
    fi
    ;;
*)
    echo "usage: $0 start|stop|restart|reload|status" >&2
    exit 2
    ;;
esac
