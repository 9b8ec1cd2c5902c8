"""A fourth part: more of the programs that people build and serve with, answered before their first play, and scored once.

Of 44 rows 34 were right then, and 2 called wrong and sure. Three answers, these two among them, had named one call where a program makes
another (stat for open or execve); one command ends by a fault of its own (curl -D into a closed directory) and is left out; six were faults
of `--why`: messages of two lines, a message of a child's above its parent's, what a library looks up.
"""

from __future__ import annotations

from tests.why.row import NONE, Row

CLOSED = "mkdir ro; chmod 555 ro; echo > f"
NOT_WRITTEN = r"/ro may not be written"
REPOSITORY = "git init -q .; git config user.email a@b.c; git config user.name A; echo 1 > f; git add f; git commit -q -m x"
MAIN = "echo 'int main(void) { return 0; }' > x.c"

ROWS = (
    Row("fourth-cmake-build-closed", "cmake -S . -B b", r"(mkdir|open)\w*\(.*/b/.*EACCES", r"/b may not be written",
      "echo 'project(x NONE)' > CMakeLists.txt; mkdir b; chmod 555 b", needs="cmake", heavy=True),
    Row("fourth-cmake-script-missing", "cmake -P none.cmake", r"\(.*none\.cmake.*ENOENT", r"none\.cmake is not there", needs="cmake"),
    Row("fourth-cmake-source-missing", "cmake -S none -B b", r"\(.*none\".*ENOENT|\(.*none/CMakeLists.*ENOENT", r"none is not there", needs="cmake"),
    Row("fourth-cmake-include", "cmake -S . -B b", r"\(.*none\.cmake.*ENOENT", r"none\.cmake is not there",
      "printf 'cmake_minimum_required(VERSION 3.5)\\nproject(x NONE)\\ninclude(none.cmake)\\n' > CMakeLists.txt", needs="cmake", heavy=True,
      silent=True),
    Row("fourth-cmake-cache-closed", "cmake -S . -B b", r"open\w*\(.*CMakeCache\.txt.*EACCES", r"/b may not be written|CMakeCache.txt\S* may not be written",
      "echo 'project(x NONE)' > CMakeLists.txt; cmake -S . -B b; rm b/CMakeCache.txt; chmod 555 b", needs="cmake", heavy=True),
    Row("fourth-git-worktree-closed", "git worktree add ro/w", r"mkdir\w*\(.*ro/w.*EACCES", NOT_WRITTEN, f"{REPOSITORY}; {CLOSED}", needs="git"),
    Row("fourth-git-fetch-missing", "git fetch ./none", r"\(.*none.*ENOENT", r"none is not there", REPOSITORY, needs="git"),
    Row("fourth-git-message-missing", "git commit --allow-empty -F none.txt", r"open\w*\(.*none\.txt.*ENOENT", r"none\.txt is not there",
      REPOSITORY, needs="git"),
    Row("fourth-git-mv-closed", "git mv f ro/f", r"rename\w*\(.*EACCES", NOT_WRITTEN, f"{REPOSITORY}; mkdir ro; chmod 555 ro", needs="git"),
    Row("fourth-git-ssh-refused", "git ls-remote ssh://127.0.0.1:$PORT/x", r"connect\(.*ECONNREFUSED", r"nobody listens|no one|listen",
      needs="git ssh", env="GIT_SSH_COMMAND=ssh"),
    Row("fourth-npm-no-lock", "npm ci --no-update-notifier", r"\(.*package-lock\.json.*ENOENT", r"package-lock\.json", "echo '{}' > package.json",
      needs="npm", heavy=True, silent=True),
    Row("fourth-npm-install-closed", "npm install --prefix ro --offline --no-update-notifier ./p", r"\(.*ro/.*EACCES", NOT_WRITTEN,
      "mkdir p ro; echo '{\"name\":\"p\",\"version\":\"1.0.0\"}' > p/package.json; chmod 555 ro", needs="npm", heavy=True),
    Row("fourth-pip-config-closed", "python3 -m pip config --user set global.timeout 9", r"mkdir\w*\(.*EACCES", NOT_WRITTEN, CLOSED,
      needs="pip", env="XDG_CONFIG_HOME=$T/ro", heavy=True),
    Row("fourth-node-chdir", "node -e 'process.chdir(\"none\")'", r"chdir\(.*none.*ENOENT", r"none is not there", needs="node"),
    Row("fourth-node-listen-closed", "node -e 'require(\"net\").createServer().listen(\"ro/s\")'", r"bind\(.*EACCES", NOT_WRITTEN, CLOSED,
      needs="node"),
    Row("fourth-java-log", "java -Xlog:gc:file=no/gc.log -version", r"open\w*\(.*gc\.log.*ENOENT", r"/no is not there", needs="java", heavy=True),
    Row("fourth-java-arguments", "java @none.args", r"\(.*none\.args.*ENOENT", r"none\.args is not there", needs="java"),
    Row("fourth-curl-proxy-refused", "curl -sS -x http://127.0.0.1:$PORT http://example.invalid/", r"connect\(.*ECONNREFUSED", r"listen",
      needs="curl"),
    Row("fourth-curl-form-missing", "curl -sS -F x=@none.bin http://127.0.0.1:$PORT/", r"(open|stat)\w*\(.*none\.bin.*ENOENT", r"none\.bin is not there",
      "serve $PORT", needs="curl"),
    Row("fourth-ssh-key-closed", "ssh-keygen -l -f k", r"open\w*\(.*\"k\".*EACCES", r"/k may not be read", "echo > k; chmod 000 k", needs="ssh-keygen"),
    Row("fourth-sftp-batch", "sftp -b none.txt 127.0.0.1", r"open\w*\(.*none\.txt.*ENOENT", r"none\.txt is not there", needs="sftp"),
    Row("fourth-sqlite3-read", "sqlite3 x.db '.read none.sql'", r"(open|stat)\w*\(.*none\.sql.*ENOENT", r"none\.sql is not there", needs="sqlite3"),
    Row("fourth-sqlite3-backup", "sqlite3 x.db '.backup ro/b.db'", r"open\w*\(.*ro/b\.db.*EACCES", NOT_WRITTEN,
      f"{CLOSED}; sqlite3 x.db 'create table t(a)'", needs="sqlite3"),
    Row("fourth-sqlite3-output", "sqlite3 x.db '.output no/o.txt' 'select 1'", r"open\w*\(.*no/o\.txt.*ENOENT", r"/no is not there",
      needs="sqlite3"),
    Row("fourth-nginx-pid", "nginx -e stderr -p $T -c n.conf", r"open\w*\(.*ro/n\.pid.*EACCES", NOT_WRITTEN,
      f"{CLOSED}; echo 'daemon off; error_log stderr; pid ro/n.pid; events {{}}' > n.conf", needs="nginx"),
    Row("fourth-redis-log", "redis-server --port $PORT --logfile $T/no/r.log", r"open\w*\(.*r\.log.*ENOENT", r"/no is not there",
      needs="redis-server"),
    Row("fourth-redis-socket", "redis-server --port 0 --unixsocket $T/ro/r.sock", r"bind\(.*EACCES", NOT_WRITTEN, CLOSED, needs="redis-server"),
    Row("fourth-redis-cli-socket", "redis-cli -s none.sock ping", r"connect\(.*none\.sock.*ENOENT", r"none\.sock is not there", needs="redis-cli"),
    Row("fourth-make-directory", "make -C none", r"chdir\(.*none.*ENOENT", r"none is not there", needs="make"),
    Row("fourth-make-source", "make x", r"stat\w*\(.*none\.c.*ENOENT", r"none\.c is not there", "printf 'x: none.c\\n\\ttouch x\\n' > Makefile",
      needs="make"),
    Row("fourth-make-shell", "make", r"(exec|stat)\w*\(.*/no/sh.*ENOENT", r"/no(/sh)? is not there", "printf 'SHELL = /no/sh\\nall:\\n\\techo; true\\n' > Makefile",
      needs="make"),
    Row("fourth-cc-dependencies", "cc -c -MD -MF no/x.d x.c", r"open\w*\(.*no/x\.d.*ENOENT", r"/no is not there", MAIN, needs="cc"),
    Row("fourth-ld-script", "ld -T none.ld x.o", r"open\w*\(.*none\.ld.*ENOENT", r"none\.ld is not there", f"{MAIN}; cc -c x.c", needs="ld cc"),
    Row("fourth-ar-closed", "ar rc ro/l.a f", r"open\w*\(.*ro/.*EACCES", NOT_WRITTEN, CLOSED, needs="ar"),
    Row("fourth-strip-garbage", "strip f", NONE, "", "echo text > f", needs="strip"),
    Row("fourth-cargo-manifest", "cargo build --offline --manifest-path none/Cargo.toml", r"\(.*none/Cargo\.toml.*ENOENT", r"none is not there",
      needs="cargo", heavy=True),
    Row("fourth-install-owner", "install -o root f g", r"chown\w*\(.*EPERM", r"root", "echo > f", wrong="chmod"),
    Row("fourth-json-tool", "python3 -m json.tool none.json", r"open\w*\(.*none\.json.*ENOENT", r"none\.json is not there"),
    Row("fourth-zipfile-closed", "python3 -m zipfile -c ro/a.zip f", r"open\w*\(.*ro/a\.zip.*EACCES", NOT_WRITTEN, CLOSED),
    Row("fourth-perl-opendir", "perl -e 'opendir D, \"none\" or die \"none: $!\"'", r"open\w*\(.*none.*ENOENT", r"none is not there", needs="perl"),
    Row("fourth-root-home", "sh -c cd", r"chdir\(.*/home/gone.*ENOENT", r"/home(/gone)? is not there", root="sh", env="HOME=/home/gone"),
    Row("fourth-root-whoami", "whoami", r"open\w*\(.*/etc/passwd.*ENOENT", r"/etc/passwd", "rm R/etc/passwd", root="whoami"),
    Row("fourth-root-tty", "clear", r"\(.*terminfo.*ENOENT", r"terminfo", "rm -rf R/usr/share/terminfo R/lib/terminfo R/etc/terminfo R/usr/lib/terminfo",
      root="clear", env="TERM=xterm", silent=True),
)  # fmt: skip
