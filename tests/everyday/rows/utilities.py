"""Everyday utilities: those of every machine."""

from __future__ import annotations

from ..row import DATES, PIDS, SECONDS, TIMES, Row

BUSY = (TIMES, DATES, SECONDS, PIDS)
LS_TIMES = (r" [A-Z][a-z][a-z] [ \d]\d +(\d\d:\d\d|\d{4}) ", " <date> ")

ROWS = (
    Row("ls", "coreutils", r"""
mkdir d; echo text >d/a; ln -s a d/b; ln d/a d/c; mkfifo d/f; ln -s /etc/hostname d/absolute; ln -s ../../etc d/up; ln -s none d/broken
ls -l d; ls -R d; ls -laL d 2>&1; ls --color=always d; ls -i d/a d/c | awk '{print $1}' | uniq | wc -l; ls missing; echo $?
ls -la / | awk '{print $1, $3, $NF}'; ls -la /.. | wc -l; ls /proc/self/fd | wc -l; ls -l /proc/self/cwd /proc/self/root /proc/self/exe
""", (LS_TIMES, (r"/proc/\d+", "/proc/<n>"), (r"^total \d+", "total"))),
    Row("cp", "coreutils", r"""
cp -a /etc/alternatives one; cp -rL /etc/apt two; cp -a one three; diff -r one three && echo same
cp --parents /etc/hostname two; cp -l two/etc/hostname hard; cp -s /etc/hostname soft; cp --reflink=auto /bin/ls ls
cmp /bin/ls ls
truncate -s 10M hole; echo end >>hole; cp --sparse=always hole hole2; cmp hole hole2; du -k hole2 | cut -f1
cp /proc/mounts mounts; echo $?; cp /proc/self/status s; echo $?; cp -u one/* two/ ; cp missing x; echo $?
cp -b hard soft; ls
""", unread="/here/(mounts|s)$"),
    Row("mv", "coreutils", r"""
mkdir -p a/b; echo x >a/b/f; mv a c; mv c /tmp/moved; mv /tmp/moved back; find back; mv -b back/b/f back/f; echo y >f
mv -f f back/f; mv -n back/f back/b; mv back/none . ; echo $?; mv back back/b; echo $?; mv -T back other; ls -R
mv other/. x; echo $?
"""),
    Row("rm", "coreutils", r"""
mkdir -p d/e/f; touch d/1 d/e/2 d/e/f/3; chmod 500 d/e/f; rm -r d; echo $?; chmod 700 d/e/f; rm -rv d; rm -f none
rm -rf / 2>&1; echo $?; mkdir d; rmdir d; rmdir -p none/x; echo $?; echo x >'-odd'; rm -- -odd; rm -d /tmp/none
unlink none; echo $?
deep=d; for i in $(seq 200); do deep=$deep/long-directory-name; done; mkdir -p $deep; rm -r d; ls
"""),
    Row("dd", "coreutils", r"""
seq 100000 | dd of=out bs=7 count=1000 skip=3 iflag=fullblock status=none; sha256sum out
dd if=out of=/tmp/o2 conv=ucase,fsync bs=1k 2>&1 | head -n 2; dd if=/dev/zero of=h bs=1 seek=1M count=0 2>/dev/null
stat -c %s h; dd if=/dev/full of=/dev/null count=1 status=none; echo x | dd of=/dev/full 2>&1 | head -n 1; dd if=none
echo $?
"""),
    Row("stat", "coreutils", r"""
echo x >f; chmod 2751 f
stat -c '%A %a %h %U %G %s %F %n' f /etc /dev/null /dev/tty /proc /proc/self /sys / /bin /here
stat -f -c '%T %s' / /here /proc /dev/shm; touch -d '2001-02-03 04:05:06.789' f; stat -c '%y %Y' f; touch -r f g
stat -c %y g; stat -c %N /bin; test f -ot /etc && echo older; stat none; echo $?
""", ((r"(dr-xr-xr-x 555) \d+", r"\1"),)),
    Row("chmod", "coreutils acl attr", r"""
mkdir -p d/e; touch d/f; chmod -R u=rwX,g=rX,o= d; stat -c '%a %n' d d/e d/f; chmod +s,+t d; stat -c %a d
chgrp nogroup d/f; chown nobody d/f; chown root d/f; echo $?; umask 077; touch private; stat -c %a private
install -D -m 751 d/f x/y/z; stat -c %a x/y/z; setfacl -m u:1:rwx d/e; getfacl -p d/e; setfattr -n user.k -v value d/f
getfattr -d d/f; cp -a d/f d/g; getfattr -d d/g
"""),
    Row("ln", "coreutils", r"""
echo x >f; ln f g; ln -s f s; ln -s s t; ln -sf /etc/hostname t; ln -sr /etc/apt r; ln -L s hard; ln f /tmp/across
echo $?; readlink s t r; readlink -f t r /bin/sh; readlink -e none; echo $?; realpath --relative-to=/usr/lib /etc/apt
realpath -s t; ln -s l1 l2; ln -s l2 l1; cat l1; ln d e; namei -l /bin/sh | awk '{print $1, $NF}'
"""),
    Row("find", "findutils", r"""
cp -a /etc .; find etc -type l -printf '%p -> %l\n' | sort | sha256sum
find etc -name '*.conf' -newer /etc/hostname | wc -l; find etc -size +4k -exec sh -c 'echo $# ' x {} +
find etc -empty | sort | head -n 5; find etc -perm -u+x -type f -delete -print | sort; find -L etc -type l | sort
find / -xdev -type f -links +1 2>/dev/null | sort; find / -maxdepth 1 -printf '%P %y\n' | sort
find /proc/self/ -maxdepth 1 -name 's*' | sort
find . -samefile etc/hostname; find etc -fprintf list '%p\n'; wc -l <list; find etc -inum "$(stat -c %i etc/passwd)"; find none; echo $?
""", unread="/here/etc/"),
    Row("xargs", "findutils", r"""
seq 100 | xargs -n 7 -P 4 sh -c 'echo $@ >>out.$$' x; cat out.* | tr ' ' '\n' | sort -n | sha256sum; rm out.*
printf 'a b\0c\0' | xargs -0 -I{} touch 'file {}'; ls; seq 3 | xargs -I N sh -c 'exit N'; echo $?
echo x | xargs false; echo $?; echo x | xargs none; echo $?; find /usr/bin -print0 | xargs -0 ls -d | wc -l
"""),
    Row("du-df", "coreutils", r"""
mkdir -p d/e; head -c 100000 /dev/zero >d/e/f; ln d/e/f d/g; du -b --apparent-size d; du -sk d
du -x / --max-depth=0 2>/dev/null | wc -l; du --exclude=e -b d
df . | wc -l; df --output=target / /here /proc /dev/shm
df -a --output=fstype,target | sort -u | grep -E ' (/|/proc|/here|/dev/shm)$'; sync -d d/e/f
truncate -s 1T big && ls -s big
"""),
    Row("text", "coreutils", r"""
seq 1000 | shuf --random-source=/bin/ls >n; sort -n n | sha256sum; sort -S 16k -T . n --parallel=2 | tail -n 1
sort -R --random-source=/bin/ls n | head -n 2; uniq -c n | wc; split -l 300 n part.; ls; cat part.* | cmp - n
csplit -s n 100 '{2}'; wc -l xx*; paste -d, n n | head -n 2; join <(sort n) <(sort n) | wc -l
comm -12 <(sort n) <(sort n | head -n 5); tac n | head -n 1; nl n | tail -n 1; fold -w 2 n | wc -l
od -c n | tail -n 2; tr 0-9 a-j <n | head -n 2; cut -c1 n | sort | uniq -c; expand n | cksum; head -c 5 n | base64
numfmt --to=iec 123456; factor 360; printf '%q\n' 'a b'; tsort <<<'a b b c'; pr -l 20 n | wc -l; fmt n | wc -l
split -n 4 --filter='wc -c >$FILE.count' n
tee a b <n | tail -n 1; cmp a b; tail -n 2 n; tail -c 5 n
"""),
    Row("tail-follow", "coreutils", r"""
echo one >log; tail -n +1 -F log >out 2>err & pid=$!
until_true 10 grep -q one out; echo two >>log; until_true 10 grep -q two out; mv log log.1; echo three >log
until_true 10 grep -q three out; : >log; echo four >>log; until_true 10 grep -q four out
kill $pid; wait $pid; echo $?; cat out; cat err
: >fed; (sleep 0.3; echo x) >fed & tail --pid=$! -f fed
""", BUSY),
    Row("process", "procps psmisc", r"""
sleep 321 & one=$!; bash -c 'exec -a odd-name sleep 322' & two=$!
until_true 5 pgrep -f odd-name
pgrep -x sleep | wc -l; pidof sleep | wc -w; ps -o comm,args,stat -p $one,$two | sed 's/S[ +]*$/S/'
ps -C sleep -o user=,tty=; pstree -a $$ | grep -c sleep; pwdx $one | cut -d: -f2; pmap $one | grep -c libc
pmap -x $one | tail -n 1 | cut -c1-5
ps -ef --forest | grep -c '[s]leep 32'; pkill -f odd-name; wait $two; echo $?; killall -q sleep; wait $one; echo $?
skill -l | wc -l; kill -l 9; free | wc -l; vmstat | wc -l; uptime -p | wc -l; w -h | wc -l; cat /proc/$$/comm
tr '\0' ' ' </proc/self/cmdline; sysctl kernel.ostype; slabtop -o 2>&1 | wc -l; pgrep -P $$ | wc -l
ps aux | awk '{print $1, $11}' | grep sleep; kill 999999; echo $?
""", BUSY),
    Row("fuser-lsof", "psmisc lsof", r"""
(exec 5>held; exec sleep 300) & one=$!
until_true 5 test -e held; until_true 5 pgrep -x sleep
fuser held 2>/dev/null | wc -w; fuser -v held 2>&1 | tail -n 1 | awk '{print $1, $3, $4}'; fuser / 2>/dev/null | wc -w
lsof -t held | wc -l; lsof -p $one -Fn | grep -E '^n(/here|/usr/bin/sleep)'; lsof -c sleep -a -d cwd -Fn | tail -n 1
lsof +D /here -Fn | grep held
fuser -k -s held; wait $one; echo $?; fuser held; echo $?
""", BUSY),
    Row("flock", "util-linux", r"""
flock lock sh -c 'echo held; flock -n lock echo never || echo busy; lslocks -n -o COMMAND,TYPE,PATH | grep -c lock'
for i in $(seq 20); do flock lock sh -c 'n=$(cat count 2>/dev/null || echo 0); echo $((n+1)) >count' & done; wait
cat count; exec 9>lock2; flock -s 9; flock -x -w 0.1 lock2 true; echo $?; flock -u 9; flock -n lock2 echo free
"""),
    Row("util-linux", "util-linux bsdextrautils bsdutils uuid-runtime", r"""
getopt -o ab: -l long: -- -a --long x -b y z; findmnt -n -o FSTYPE,TARGET /proc; findmnt -T /here/none -n -o TARGET
findmnt -n -o TARGET /; mountpoint /proc /here /usr; rev <<<abc; column -t <<<$'a bb\nccc d'; hexdump -C <<<text
look --version | wc -l; cal 2 2024; uuidgen --sha1 -n @dns -N x; setsid -w sh -c 'ps -o sid= -p $$ | wc -w'
prlimit -n --output=RESOURCE; taskset -p $$ | wc -l; ionice; nice -n 5 nice; chrt -p $$ | head -n 1 | cut -d: -f2
renice -n 3 -p $$ | wc -l; whereis -b ls; mcookie | wc -c; namei /bin/sh; lsns -t uts -n 2>&1 | wc -l
script -qec 'tty; stty size' typescript </dev/null; scriptreplay --version | wc -l; fallocate -l 1M f; stat -c %s f
logger -s hello 2>&1; wall x 2>&1; mesg; su -c true nobody </dev/null 2>&1; mount | wc -l; unshare -U true; echo $?
unshare -Ur id -u 2>&1; nsenter -t $$ -m true; echo $?; ipcmk -M 100 | wc -l; ipcs -m | tail -n +4 | wc -l
""", (*BUSY, (r"/dev/pts/\d+", "<tty>"), (r"shmid: \d+", "shmid")), unread="typescript|/var/log/btmp"),
    Row("ipc", "util-linux", r"""
ipcmk -Q; ipcmk -S 2; ipcmk -M 4096; ipcs | awk '{print $3, $4}' | sort | uniq -c; ipcrm -a; ipcs | grep -c 0x
mkfifo p; (seq 1000 >p) & wc -l <p; wait; coproc tr a-z A-Z; echo upper >&"${COPROC[1]}"; exec {COPROC[1]}>&-
cat <&"${COPROC[0]}"; echo x >/dev/shm/y; cat /dev/shm/y; exec 3<>/dev/tcp/127.0.0.1/9; echo $?
cat <(echo process) <(echo substitution)
""", ((r"id: \d+", "id"), (r"0x\w+", "0x"))),
    Row("bash", "bash", r"""
bash --norc -c 'trap "echo term" TERM; trap "echo exit" EXIT; kill $$; (exit 7); echo $?; set -m
  sleep 5 & kill -STOP %1; jobs; kill -CONT %1; kill %1; wait %1; echo $?'
bash -c 'kill -SEGV $$'; echo $?; ulimit -n; (ulimit -n 20; for i in $(seq 3 30); do eval "exec $i</dev/null" || break
done) 2>&1 | tail -n 1; (cd /tmp && rmdir /here/none; pwd; cd -; pwd -P); mkdir gone; cd gone; rmdir ../gone; pwd
/bin/pwd; ls; cd ..; pwd; CDPATH=/usr cd bin; echo ${BASH_SOURCE[0]:+x} $- $SHLVL; type ls; hash -r; PATH=/here; ls
echo $?; /bin/echo *; shopt -s globstar; PATH=/bin; echo /etc/apt/**/; exec -c /usr/bin/env
""", BUSY),
    Row("jobs", "bash", "PS1='\\$ ' exec bash --norc --noediting -i\n", BUSY, dialogue=(
        (r"\$ ", "sh -c 'echo sleeping; exec sleep 100'\r"), (r"^sleeping\n", "\x1a"),
        (r"Stopped.*\n\$ ", "jobs; bg; kill %1; wait %1; echo status $?\r"),
        (r"status \d+\n(.*\n)*\$ ", "cat >typed\r"), (r"typed\n", "text\r\x04"),
        (r"\$ ", "tty >/dev/null && stty size; ps -o comm= --sort comm\r"),
        (r"ps\n(pyroot\n)?\$ ", "sh -c 'trap \"echo got INT; exit 9\" INT; echo ready; while :; do sleep 0.1; done'\r"),
        (r"^ready\n", "\x03"), (r"\$ ", "exit 4\r"))),
    Row("dash", "dash", r"""
dash -c 'x=1; readonly x; trap "echo bye" 0; f() { return 3; }; f; echo $?
for i in a b; do echo $i; done | while read l; do echo "<$l>"; done; cat <<E
here $x $(pwd)
E
command -v dash; umask; times | wc -l; exec 3>o; echo to three >&3; ( exit 5 ) || echo $?; wait; set -C; echo x >o'; echo $?; cat o
"""),
    Row("zsh", "zsh", r"""
zsh -f -c 'print -l /etc/*(.N) | wc -l; setopt extended_glob; print ${(U):-upper}; a=(3 1 2); print ${(o)a}
  zmodload zsh/stat; zstat +size /etc/hostname; autoload -U zmv; touch a.x b.x; zmv "(*).x" "\$1.y"; print *.y
  cat =(echo temporary); print ${$(tty):-x}; coproc cat; print -p line; read -p l; print $l; kill $!; wait; exit 3'
echo $?
""", BUSY),
    Row("fish", "fish", r"""
fish -N -c 'for i in (seq 3); echo $i; end; set -U thing value; echo $thing; string upper abc; echo (pwd) $status
  function f; return 4; end; f; echo $status; sh -c "kill -TERM \$fish_pid" & wait'
echo $?
""", BUSY, unlisted="/home/user|/tmp/fish"),
    Row("busybox", "busybox", r"""
busybox ls /etc/apt
busybox sh -c 'echo $((2+3)) >f; busybox cat f; busybox pwd; busybox find / -maxdepth 1 | busybox sort
  busybox ps | busybox grep -c busybox; busybox tar c f | busybox tar t; busybox stat -c %F /bin
  busybox readlink -f /bin/sh; busybox df / | busybox wc -l; busybox wget -q http://127.0.0.1:1/; echo $?
  busybox mount | busybox wc -l; exec busybox id'
echo $?; cp /bin/busybox b; ./b uname; ln -s b uname; ./uname
""", BUSY, unread="/here/b$"),
    Row("grep", "ripgrep", r"""
mkdir -p d/e; seq 1000 >d/n; echo 'needle here' >d/e/f; ln -s ../n d/e/link; grep -rn needle d; grep -R 777 d
grep -c 7 d/n; grep -l -e needle -r /here; rg --no-config -n --sort path needle d; rg --files d | sort; rg -c 99 d/n
grep -q none d/n; echo $?; grep x d; grep -P '^(\d)\1$' d/n; zgrep 5 <(seq 10 | gzip)
"""),
    Row("sed-awk", "sed gawk mawk", r"""
seq 20 >n; sed -i.bak 's/1/one/w written' n; cat n written | head -n 12; sed -n '$=' n; ln -s n l
sed -i --follow-symlinks '1d' l; sed -i 1d l; ls -l l | cut -c1
gawk 'BEGIN { while (("ls /etc/apt" | getline line) > 0) print "got " line; print "out" > "made";
  print "x" | "cat >>made"; close("made"); system("exit 3"); print PROCINFO["uid"]; print ENVIRON["HOME"] }'
gawk -i inplace '{print $0 "!"}' n; tail -n 1 n; mawk '{s += NR} END {print s}' n
gawk 'BEGIN { s = "/inet/tcp/0/127.0.0.1/9"; print "x" |& s }' 2>&1 | wc -l
"""),
    Row("diff-patch", "diffutils patch wdiff", r"""
cp -r /etc/apt a; cp -r a b; echo new >b/new; rm -r b/trusted.gpg.d; mkdir b/trusted.gpg.d; seq 100 >a/n
sed s/50/fifty/ a/n >b/n; diff -ruN a b --no-dereference | grep -v -e '^---' -e '^+++' -e ^Binary | head -n 30
diff -ru a b >p; (cd a; patch -p1 <../p | sort); cmp a/n b/n; (cd a; patch -R -p1 --dry-run <../p | sort)
diff3 a/n b/n a/n; wdiff <(echo a b c) <(echo a x c); cmp a/n b/new; sdiff a/n b/n | tail -n 1
""", (*BUSY,), unread="/here/p|gpg"),
    Row("inotify", "inotify-tools entr", r"""
mkdir d; inotifywait -q -m -r --format '%w%f %e' d >events & pid=$!
established() { touch d/probe; grep -q probe events; }
until_true 10 established
echo x >d/one; mv d/one d/two; rm d/two; mkdir d/sub; until_true 10 grep -q sub events; touch d/last; until_true 10 grep -q last events
kill $pid; wait $pid; grep -v -e probe events
echo d/last | entr -n -z cat d/last; echo $?; inotifywait -q -t 1 d/last; echo $?
""", unread="/here/events"),
    Row("at-time", "time coreutils", r"""
/usr/bin/time -f 'status %x' sh -c 'exit 3'; timeout 0.2 sleep 9; echo $?
timeout -s KILL 0.2 sh -c 'trap "" TERM; sleep 9'; echo $?; timeout --foreground 5 sh -c 'exit 6'; echo $?
nohup sh -c 'echo done' 2>&1; stdbuf -oL echo x; env -i A=b env; env -S 'A=c sh -c "echo $A"'; nproc | wc -l
date -d @0 -u +%F; sleep 0.01; TZ=Europe/Berlin date -d @0 +%R; date -r /etc/hostname | wc -l; arch; uname -sm
hostname; id; groups; whoami; logname 2>&1; tty; printenv HOME; chroot / true; echo $?; pathchk -p /a
mktemp -u | wc -c; mktemp -d -p . | wc -c; echo a | tee >(cat >b) >/dev/null; until_true 5 test -s b
cat b; yes | head -n 2; seq -s, 5; nohup none; echo $?; kill -0 $$; test -t 0; echo $?; sync; users; stty 2>&1
""", (*BUSY,), unlisted=r"/here/tmp\."),
    Row("expect", "expect", r"""
cat >e <<'END'
set timeout 20
spawn -noecho bash --norc --noediting
expect -re {\$ }
send "PS1='> '; stty -echo\r"
expect -re {\n> }
send "echo \$((40+2)); tty | cut -c1-9; read -p 'name? ' n; echo \"hello \$n\"\r"
expect "name? "
send "expect\r"
expect "hello expect"
send "sh -c 'echo sleeping; exec sleep 50'\r"
expect -re {sleeping\r}
send "\003"
expect "> "
send "exit 5\r"
expect eof
puts [lindex [wait] 3]
END
expect e | tr -d '\r' | grep -o -E '42|/dev.*|hello.*|^5'; unbuffer tty | cut -c1-9
"""),
    Row("parallel", "parallel moreutils", r"""
mkdir -p ~/.parallel; touch ~/.parallel/will-cite; parallel -k -j 3 'echo {} $PARALLEL_SEQ; pwd' ::: a b c
seq 100 | parallel -j 4 --pipe -N 25 wc -l | sort; parallel --joblog log -j 2 'exit {}' ::: 0 1 2; echo $?
awk 'NR > 1 {print $7}' log | sort; echo x | sponge f; cat f; ts </dev/null; pee cat 'wc -c' <<<y; chronic false
echo $?; vidir --version 2>/dev/null | wc -l
""", BUSY, unread="/here/log", unlisted="/home/user/.parallel|/tmp/"),
    Row("network", "iproute2 curl wget netcat-openbsd iputils-ping", r"""
echo served >file; python3 -m http.server -b 127.0.0.1 8080 >/dev/null 2>&1 & web=$!
listening 8080
curl -sS 127.0.0.1:8080/file; wget -q -O got http://localhost:8080/file; cat got
wget -nv -r -l 1 -P m http://127.0.0.1:8080/ 2>&1 | grep -c URL
curl -sS -w '%{http_code} %{remote_port}\n' -o d http://localhost:8080/none; curl -sS file:///etc/hostname
curl -sS http://127.0.0.1:1/; echo $?; ip -o -4 addr show lo | awk '{print $4}'; ss -Hltn | wc -l
ss -Hltnp | grep -c python; ping -c 1 -q 127.0.0.1 | grep -c '1 received'; nc -l -U s >heard & until_true 5 test -S s
echo over | nc -N -U s; wait $!; cat heard; getent hosts localhost programs; ip link add d type dummy; echo $?
kill $web; wait $web; curl -sS --unix-socket none http://x/; echo $?; nc -z 127.0.0.1 8080; echo $?
wget -q http://no.such.name/; echo $?
""", BUSY, unread="/here/m/|/here/d$"),
    Row("strace", "strace ltrace gdb gcc libc6-dev", r"""
cat >p.c <<'END'
#include <stdio.h>
#include <unistd.h>
int twice(int x) { return 2 * x; }
int main(void) { FILE *f = fopen("/etc/hostname", "r"); char b[50]; fgets(b, 50, f); printf("%d %s", twice(21), b); return 0; }
END
gcc -g -o p p.c
strace -f -e trace=openat,execve -o t sh -c './p; cat none' ; grep -c hostname t; grep -o 'none.*' t
strace -c -o c ls >/dev/null; grep -c total c
strace -e inject=openat:error=EPERM:when=3+ cat /etc/hostname 2>&1 | tail -n 1
gdb -q -batch -ex 'break twice' -ex run -ex bt -ex 'print x' -ex finish -ex 'info inferiors' -ex continue ./p 2>&1 |
  grep -E '^#|^\$1|Value|exited|42'
sleep 100 & pid=$!; strace -p $pid -o att & st=$!; until_true 10 grep -qs -E 'nanosleep|restart' att; kill $pid
wait $pid $st; grep -c SIGTERM att; gdb -q -batch -ex 'info proc cwd' -ex detach -p $$ 2>&1 | grep -c "cwd = '/here'"
ltrace -e fopen ./p 2>&1 | grep -o 'fopen([^)]*)'
""", (*BUSY, (r"0x[0-9a-f]+", "0x")), unread="/here/(t|c|att|p)$", limit=120),
    Row("file-misc", "file tree pv bc dc xxd gettext-base", r"""
printf '#!/bin/sh\n' >s; file -b s /bin/sh /etc/hostname /dev/null /here; file -bL /bin/sh | cut -d, -f1
tree -a /etc/apt; tree --du -J /etc/alternatives | wc -l; seq 1000 | pv -q | wc -l; echo 'scale=20; 4*a(1)' | bc -l
dc -e '2 100 ^ p'; echo abc | xxd; xxd -r <<<'0: 6162 630a'; A=b envsubst <<<'$A x'; strings /bin/true | grep -c GNU
rename -v 's/s/t/' s; ls
""", BUSY),
    Row("calculators", "bc", "echo ready; exec bc -q\n", dialogue=(
        (r"\[\?2004h", "2^70\r"), (r"1303424\n\x1b\[\?2004h", "define f(x) { return x*2; }\r"),
        (r"}\n[^\n]*\x1b\[\?2004h", "f(21)\r"), (r"42\n\x1b\[\?2004h", "1/0\r"), (r"zero\n\x1b\[\?2004h", "\x04"))),
    Row("python-dialogue", "python3", "exec python3 -q\n", ((r"\x1b\[[\d;?]*[a-zA-Z]", ""), *BUSY), dialogue=(
        (r">>> ", "import os, subprocess\r"), (r">>> ", "print(os.getcwd(), subprocess.run(['echo', 'child'], capture_output=True))\r"),
        (r"stdout.*\n(.*)>>> ", "open('written', 'w').write('x')\r"), (r">>> ", "import pty; pty.spawn(['tty']) and None\r"),
        (r">>> ", "1/0\r"), (r"Zero.*\n(.*)>>> ", "exit(3)\r")),
        unlisted="/home/user/.python_history"),
    Row("script", "bsdutils", r"""
exec script -q -c 'bash --norc --noediting' typescript
""", (*BUSY, (r"bash-[\d.]+\$", "$")), dialogue=((r"\$ ", "echo in $((1+1)) script\r"),
        (r"in 2 script\n.*\$ ", "stty size; exit 6\r")), unread="typescript"),
    Row("cron", "cron", r"""
crontab -l 2>&1; echo '* * * * * true' >tab; crontab tab 2>&1; echo $?; run-parts --list /etc/cron.daily | sort
run-parts --test /etc/cron.daily; mkdir p; printf '#!/bin/sh\necho part $(pwd)\n' >p/one; chmod +x p/one; run-parts p
""", BUSY),
    Row("ed", "ed", "seq 5 >f; exec ed -p: f\n", dialogue=(("^10\n:", "3d\r"), (":", "2a\r"), ("2a\n", "new line\r.\r"),
        (":", "r !echo from a child\r"), (r"\d+\n:", ",p\r"), ("child\n:", "w\r"), (r"\d+\n:", "q\r"))),
)
