# What sessions share. Read by bash before each of them; nothing here may depend on how fast the machine is.

export TERM=screen SHELL=/bin/bash EDITOR=ed
umask 022

# until LIMIT COMMAND...: run a command again and again until it succeeds, at most LIMIT seconds.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "not in time: $*"; return 1; }
        sleep 0.05
    done
}

# reached PORT | PATH: is something listening there?
reached() {
    case $1 in
        /*) [ -S "$1" ] && python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])' "$1" ;;
        *) nc -z 127.0.0.1 "$1" ;;
    esac
}

# serve PORT|PATH COMMAND...: start a server in the background, its output in /here/server.log, and wait until it listens.
serve() {
    local where=$1
    shift
    "$@" >>/here/server.log 2>&1 &
    server=$!
    until_true 20 reached "$where" || { cat /here/server.log; return 1; }
}

# listening PORT|PATH: wait until something listens there.
listening() { until_true 20 reached "$1"; }

# gone PID|FILE: wait until a process has ended, or the one whose number is in a file.
ended() { ! kill -0 "$1"; }
gone() {
    local pid=$1
    [ ! -f "$1" ] || pid=$(cat "$1")
    until_true 20 ended "$pid"
}

# stop [SIGNAL]: end the server that `serve` started, and say how it ended.
stop() {
    kill -"${1:-TERM}" "$server"
    wait "$server"
    echo "server ended with $?"
}

# screen COMMAND...: run a full-screen program on a terminal of 80 by 24.
screen() {
    TMUX= tmux -L session -f /dev/null new-session -d -x 80 -y 24 -s s "$*; echo ended with \$?; exec sleep 1000" \; set -g status off \; set -g remain-on-exit on
}

shown() { tmux -L session capture-pane -p -t s; }
holds() { shown | grep -q -i -e "$1"; }

# see PATTERN: wait until the pattern is on the screen and the screen has come to rest.
see() {
    until_true 15 holds "$1" || { shown; return 1; }
    local before=
    until [ "$(shown)" = "$before" ]; do
        before=$(shown)
        sleep 0.3
    done
}

# keys KEY...: press keys, in tmux's names; say TEXT...: type text as it is.
keys() { tmux -L session send-keys -t s "$@"; }
say() { tmux -L session send-keys -t s -l -- "$*"; }

# shot: print the screen.
shot() {
    echo "+--------"
    shown | sed 's/^/|/; s/ *$//'
    echo "+--------"
}

# hang_up: end the terminal and what still runs on it.
hang_up() {
    local pids pid
    pids=$(tmux -L session display-message -p '#{pid} #{pane_pid}')
    tmux -L session kill-server
    for pid in $pids; do gone "$pid"; done
}

# finish: wait for the program's end, print its status and end the terminal.
finish() {
    see "ended with" && shown | grep "ended with"
    hang_up
}
