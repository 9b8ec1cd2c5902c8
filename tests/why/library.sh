# Functions for the set-up of rows. What they leave running ends with the row.
# listen PORT [ADDRESS]: accept connections and answer nothing
listen() { python3 -IS -c "
import socket, sys, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[2], int(sys.argv[1]))); s.listen(8); open('listening', 'w').close(); time.sleep(300)" "$1" "${2:-127.0.0.1}" & await listening; }
# serve PORT: an HTTP server that answers 404
serve() { python3 -I -c "
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_error(404)
    def log_message(self, *words): pass
s = http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H); open('serving', 'w').close(); s.serve_forever()" "$1" & await serving; }
# hold FILE: hold an exclusive flock(2) of it; record FILE: a lock of fcntl(2)
hold() { python3 -IS -c "
import fcntl, sys, time
f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); open('holding', 'w').close(); time.sleep(300)" "$1" & await holding; }
record() { python3 -IS -c "
import fcntl, sys, time
f = open(sys.argv[1], 'a'); fcntl.lockf(f, fcntl.LOCK_EX); open('holding', 'w').close(); time.sleep(300)" "$1" & await holding; }
await() { n=0; while [ ! -e "$1" ] && [ $n -lt 200 ]; do sleep 0.05; n=$((n + 1)); done; rm -f "$1"; }
