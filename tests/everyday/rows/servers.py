"""Servers, as an ordinary user on loopback: started, used and stopped."""

from __future__ import annotations

from ..row import DATES, PIDS, SECONDS, TIMES, Row

WEB = r"""
mkdir -p web/sub; echo 'hello web' >web/index.html; seq 100000 >web/sub/numbers; ln -s /etc/hostname web/link
use() {
    curl -sS http://127.0.0.1:8080/; curl -sS http://127.0.0.1:8080/sub/numbers | sha256sum
    curl -sS -o /dev/null -w '%{http_code}\n' http://127.0.0.1:8080/missing
    local i pids=()
    for i in 1 2 3 4 5 6 7 8; do curl -sS http://127.0.0.1:8080/sub/numbers | tail -n 1 & pids+=($!); done
    wait "${pids[@]}"
}
"""
LOGGED = (DATES, TIMES, SECONDS, PIDS)

ROWS = (
    Row("nginx", "nginx-light curl", WEB + r"""
mkdir -p tmp
cat >nginx.conf <<END
daemon off; pid /here/nginx.pid; error_log /here/error.log notice; worker_processes 2;
events { worker_connections 64; }
http { access_log /here/access.log; client_body_temp_path /here/tmp/a; proxy_temp_path /here/tmp/b; fastcgi_temp_path /here/tmp/c;
  uwsgi_temp_path /here/tmp/d; scgi_temp_path /here/tmp/e; sendfile on;
  server { listen 127.0.0.1:8080; root /here/web; autoindex on; location /p/ { proxy_pass http://127.0.0.1:8080/; } } }
END
nginx -t -e /here/error.log -c /here/nginx.conf 2>&1
serve 8080 nginx -e /here/error.log -c /here/nginx.conf
use
curl -sS http://127.0.0.1:8080/p/sub/ | grep -o 'href="[^"]*"'
nginx -e /here/error.log -c /here/nginx.conf -s reload
curl -sS http://127.0.0.1:8080/link
nginx -e /here/error.log -c /here/nginx.conf -s quit; wait "$server"; echo "ended with $?"
cut -d' ' -f6- access.log | sort
""", LOGGED, unread="/here/error.log"),
    Row("apache", "apache2 curl", WEB + r"""
cat >httpd.conf <<END
ServerRoot /here
PidFile /here/httpd.pid
ServerName localhost
Listen 127.0.0.1:8080
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
LoadModule cgid_module /usr/lib/apache2/modules/mod_cgid.so
ScriptSock /here/cgisock
DocumentRoot /here/web
DirectoryIndex index.html
ErrorLog /here/error.log
ScriptAlias /cgi/ /here/cgi/
StartServers 2
END
mkdir cgi
printf '#!/bin/sh\necho Content-Type: text/plain; echo; echo "from a child: $(pwd) $REQUEST_METHOD $QUERY_STRING"\n' >cgi/one
chmod +x cgi/one
apache2 -f /here/httpd.conf -t 2>&1
serve 8080 apache2 -f /here/httpd.conf -D FOREGROUND
use
curl -sS 'http://127.0.0.1:8080/cgi/one?a=b'
apache2 -f /here/httpd.conf -k graceful; curl -sS http://127.0.0.1:8080/
stop WINCH
""", LOGGED, unread="/here/error.log"),
    Row("lighttpd", "lighttpd curl", WEB + r"""
cat >l.conf <<END
server.document-root = "/here/web"
server.port = 8080
server.bind = "127.0.0.1"
server.pid-file = "/here/l.pid"
server.modules = ( "mod_cgi", "mod_accesslog" )
accesslog.filename = "/here/access.log"
server.errorlog = "/here/error.log"
cgi.assign = ( ".cgi" => "/bin/sh" )
index-file.names = ( "index.html" )
END
echo 'echo Content-Type: text/plain; echo; echo "$(pwd) $0 $QUERY_STRING"' >web/a.cgi
lighttpd -tt -f l.conf; echo $?
serve 8080 lighttpd -D -f l.conf
use
curl -sS 'http://127.0.0.1:8080/a.cgi?x'
stop INT
""", LOGGED, unread="/here/(error|access).log"),
    Row("redis", "redis-server redis-tools", r"""
serve 6379 redis-server --bind 127.0.0.1 --port 6379 --dir /here --save '' --appendonly no --unixsocket /here/r.sock
redis-cli set a 1; redis-cli incr a; redis-cli -s /here/r.sock lpush l x y z; redis-cli lrange l 0 -1
seq 1000 | sed 's/.*/SET k& v&/' | redis-cli --pipe | tail -n 1
redis-cli dbsize; redis-cli eval 'return redis.call("get", KEYS[1])' 1 k77
redis-cli save; redis-cli bgsave; until_true 10 sh -c 'redis-cli info persistence | grep -q rdb_bgsave_in_progress:0'
printf 'multi\nset b 2\nget b\nexec\n' | redis-cli
redis-cli info server | grep -E '^(redis_version|redis_mode|tcp_port)'
redis-cli shutdown nosave; wait "$server"; echo "ended with $?"
redis-check-rdb dump.rdb | tail -n 2
""", (*LOGGED, (r"\[offset <n>\]", "")), unread="dump.rdb|server.log"),
    Row("memcached", "memcached", r"""
serve 11211 memcached -l 127.0.0.1 -p 11211 -t 4
printf 'set a 0 0 5\r\nhello\r\nget a\r\nincr n 1\r\nset n 0 0 1\r\n5\r\nincr n 10\r\ndelete a\r\nget a\r\nquit\r\n' | nc 127.0.0.1 11211
for i in 1 2 3 4 5 6; do (for j in $(seq 50); do printf "set k$i.$j 0 0 2\r\n$i$i\r\n"; done
printf 'quit\r\n') | nc 127.0.0.1 11211 | sort | uniq -c >out$i & pids+=($!); done
wait "${pids[@]}"; cat out*
printf 'stats\r\nquit\r\n' | nc 127.0.0.1 11211 | grep -E 'curr_items|threads|cmd_set'
stop
"""),
    Row("sshd", "openssh-server openssh-client rsync", r"""
mkdir -p -m 700 ~/.ssh; ssh-keygen -q -t ed25519 -N '' -f key; cp key.pub ~/.ssh/authorized_keys; ssh-keygen -q -t ed25519 -N '' -f host
cat >sshd_config <<END
Port 2222
ListenAddress 127.0.0.1
HostKey /here/host
PidFile /here/sshd.pid
UsePAM no
StrictModes no
Subsystem sftp internal-sftp
END
cat >ssh_config <<END
Host there
  HostName 127.0.0.1
  Port 2222
  User nobody
  IdentityFile /here/key
  StrictHostKeyChecking no
  UserKnownHostsFile /here/known
  LogLevel ERROR
END
serve 2222 /usr/sbin/sshd -D -e -f /here/sshd_config
s() { ssh -F ssh_config there "$@"; }
s 'echo $USER $HOME; pwd; id; exit 3'; echo $?
seq 200000 | s 'cat >/here/copied; wc -l </here/copied'
s -tt 'tty; stty size; echo $SSH_TTY' </dev/null | tr -d '\r'
scp -q -F ssh_config there:/here/copied back; cmp copied back && echo same
printf 'mkdir d\nput back d/x\nls -l d\nrename d/x d/y\nls d\n' >commands
sftp -q -F ssh_config -b commands there 2>&1 | sed 's/ [A-Z][a-z][a-z] .*:.. / date /'
rsync -a -e 'ssh -F ssh_config' /etc/apt/ there:/here/rsynced/; ls rsynced
ssh -F ssh_config -N -L 7000:127.0.0.1:2222 there & forward=$!; listening 7000
nc -w 1 127.0.0.1 7000 </dev/null | cut -d- -f1,2; kill $forward; wait $forward
eval "$(ssh-agent -s -a /here/agent)" >/dev/null; ssh-add -q key; ssh-add -l | cut -d' ' -f1,4-
agent=$SSH_AGENT_PID; ssh-agent -k; gone $agent
stop
""", (*LOGGED, ("/dev/pts/<n>", "<tty>"), (r"/tmp/ssh-\S+", "<socket>")), unread="key|host|known|server.log|authorized_keys"),
    Row("dbus", "dbus dbus-bin", r"""
cat >bus.conf <<END
<busconfig><type>session</type><listen>unix:path=/here/bus</listen><servicedir>/here/services</servicedir>
<policy context="default"><allow send_destination="*"/><allow own="*"/><allow receive_sender="*"/></policy></busconfig>
END
mkdir services
serve /here/bus dbus-daemon --config-file=/here/bus.conf --nofork
export DBUS_SESSION_BUS_ADDRESS=unix:path=/here/bus
dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.ListNames
dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetConnectionUnixUser string:org.freedesktop.DBus
dbus-send --session --print-reply --dest=no.such / no.such.Call; echo $?
dbus-monitor --session "type='signal',interface='a.b'" >seen & monitor=$!
until_true 10 sh -c 'dbus-send --session --type=signal / a.b.Signal string:hello; grep -q hello seen'
kill $monitor; wait $monitor; grep -c hello seen >/dev/null && echo heard
stop
dbus-run-session -- sh -c 'dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetId | wc -l'
until_true 10 sh -c '! pgrep dbus-daemon'
""", ((r":1\.\d+", ":1.<n>"), (r"time=[\d.]+", "time"),
        (r"serial=\d+", "serial"), *LOGGED), unread="seen|server.log", unlisted="^/tmp/dbus"),
    Row("dnsmasq", "dnsmasq-base bind9-dnsutils", r"""
printf '10.1.2.3 host.example\n' >hosts
cat >dnsmasq.conf <<END
port=5353
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
addn-hosts=/here/hosts
address=/wild.example/10.9.9.9
txt-record=text.example,"some text"
pid-file=/here/pid
user=
log-queries
log-facility=/here/log
END
dnsmasq --test -C dnsmasq.conf 2>&1
serve 5353 dnsmasq -k -C dnsmasq.conf
d() { dig +short +tries=1 -p 5353 @127.0.0.1 "$@"; }
d host.example; d a.b.wild.example; d text.example TXT; d -x 10.1.2.3; d none.example; dig +tcp +short -p 5353 @127.0.0.1 host.example
printf '10.1.2.4 new.example\n' >>hosts; kill -HUP "$server"
until_true 10 sh -c 'dig +short -p 5353 @127.0.0.1 new.example | grep 10.1.2.4'; d new.example
stop
""", LOGGED, unread="/here/log"),
    Row("bind", "bind9 bind9-utils bind9-dnsutils", r"""
mkdir -p dir
cat >named.conf <<END
options { directory "/here/dir"; listen-on port 5354 { 127.0.0.1; }; listen-on-v6 { none; }; pid-file "/here/pid";
recursion no; session-keyfile "/here/session.key";
 managed-keys-directory "/here/dir"; dnssec-validation no; };
key "k" { algorithm hmac-sha256; secret "AAAAAAAAAAAAAAAAAAAAAA=="; };
controls { inet 127.0.0.1 port 9953 allow { 127.0.0.1; } keys { "k"; }; };
zone "example" { type master; file "/here/dir/example"; allow-update { 127.0.0.1; }; };
END
cat >rndc.conf <<END
key "k" { algorithm hmac-sha256; secret "AAAAAAAAAAAAAAAAAAAAAA=="; };
options { default-key "k"; default-server 127.0.0.1; default-port 9953; };
END
printf '$TTL 60\n@ IN SOA ns root 1 60 60 60 60\n  IN NS ns\nns IN A 127.0.0.1\nwww IN A 10.0.0.1\n' >dir/example
named-checkconf named.conf; named-checkzone example dir/example
serve 5354 named -g -c /here/named.conf -n 2; until_true 20 grep -q "all zones loaded" server.log
until_true 20 grep -q " running" server.log
d() { dig +short +tries=1 -p 5354 @127.0.0.1 "$@"; }
d www.example; d example SOA
printf 'server 127.0.0.1 5354\nupdate add new.example 60 A 10.0.0.2\nsend\n' | nsupdate; d new.example
rndc -c rndc.conf status | grep -E 'zones|server is'; rndc -c rndc.conf freeze example
until_true 10 grep 10.0.0.2 dir/example; cat dir/example
rndc -c rndc.conf stop; wait "$server"; echo "ended with $?"
""", (), unread="server.log|jnl|session.key|managed-keys|mkeys"),
    Row("unbound", "unbound bind9-dnsutils", r"""
cat >u.conf <<END
server:
  interface: 127.0.0.1@5355
  directory: "/here"
  chroot: ""
  username: ""
  pidfile: "/here/pid"
  use-syslog: no
  do-ip6: no
  num-threads: 2
  module-config: "iterator"
  local-zone: "example." static
  local-data: "a.example. A 10.0.0.7"
remote-control:
  control-enable: yes
  control-interface: /here/control
  control-use-cert: no
END
unbound-checkconf u.conf
serve 5355 unbound -d -c u.conf
for i in 1 2 3 4; do dig +short +tries=1 -p 5355 @127.0.0.1 a.example; done
dig +tries=1 -p 5355 @127.0.0.1 b.example | grep status | cut -d, -f2
unbound-control -c /here/u.conf local_data 'c.example. A 10.0.0.8'; dig +short +tries=1 -p 5355 @127.0.0.1 c.example
unbound-control -c u.conf stop; wait "$server"; echo "ended with $?"
""", LOGGED, unread="server.log"),
    Row("rsyncd", "rsync", r"""
mkdir -p module/in; cp -r /etc/apt module/; ln -s apt module/link
printf '[m]\npath=/here/module\nread only=no\nuse chroot=no\nlist=yes\nuid=nobody\ngid=nogroup\n' >r.conf
serve 8730 rsync --daemon --no-detach --port 8730 --config=r.conf --log-file=/here/log
rsync --port=8730 localhost::
rsync -a --port=8730 localhost::m/ copy/; diff -r module copy && echo same
rsync -ai --delete --port=8730 --chmod=F600 /usr/share/perl5/Debconf/ localhost::m/in/ | sort; rm -r copy/apt
seq 10000 >module/apt/big; rsync -aic --no-times --port=8730 localhost::m/ copy/ | sort | head -n 30
rsync --port=8730 localhost::none 2>&1; echo $?
stop
""", LOGGED, unread="/here/log"),
    Row("vsftpd", "vsftpd ftp lftp", r"""
mkdir -p up; seq 5000 >up/file
cat >v.conf <<END
listen=YES
listen_address=127.0.0.1
listen_port=2121
run_as_launching_user=YES
anonymous_enable=YES
anon_root=/here/up
anon_upload_enable=YES
write_enable=YES
anon_mkdir_write_enable=YES
one_process_model=YES
seccomp_sandbox=NO
xferlog_enable=YES
vsftpd_log_file=/here/log
no_anon_password=YES
ftp_username=nobody
END
serve 2121 vsftpd /here/v.conf
lftp -c 'set net:timeout 5; set net:max-retries 1; open -p 2121 127.0.0.1; cls -1; get file -o got; mkdir d; cd d
  put got -o put; cls -1 -s; pwd' 2>&1
echo $?
cmp up/file got; curl -sS ftp://127.0.0.1:2121/file | tail -n 1
stop
""", LOGGED, unread="/here/log"),
    Row("slapd", "slapd ldap-utils", r"""
mkdir db
cat >s.conf <<END
include /etc/ldap/schema/core.schema
pidfile /here/pid
argsfile /here/args
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
maxsize 10485760
suffix "dc=example"
rootdn "cn=admin,dc=example"
rootpw secret
directory /here/db
index objectClass eq
END
slaptest -u -f s.conf 2>&1
serve 3890 /usr/sbin/slapd -d 0 -f /here/s.conf -h 'ldap://127.0.0.1:3890 ldapi://%2Fwork%2Fldapi'
printf 'dn: dc=example\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: x\n\n' >ldif
for i in $(seq 20); do printf "dn: cn=p$i,dc=example\nobjectClass: person\ncn: p$i\nsn: s\n\n"; done >>ldif
ldapadd -x -H ldap://127.0.0.1:3890 -D cn=admin,dc=example -w secret -f ldif | grep -c adding
ldapsearch -LLL -x -H ldapi://%2Fwork%2Fldapi -b dc=example cn=p7
ldapdelete -x -H ldap://127.0.0.1:3890 -D cn=admin,dc=example -w secret cn=p8,dc=example
ldapsearch -LLL -x -H ldap://127.0.0.1:3890 -b dc=example '(sn=s)' cn | grep -c ^dn
stop INT
slapcat -f s.conf | grep -c ^cn:
""", LOGGED, unread="mdb|server.log"),
    Row("mosquitto", "mosquitto mosquitto-clients", r"""
printf 'listener 1883 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location /here/\nuser nobody\n' >m.conf
serve 1883 mosquitto -c m.conf
mosquitto_sub -p 1883 -t 'a/#' -C 3 -v >got & sub=$!
mosquitto_pub -p 1883 -t a/k -m retained -r -q 1
until_true 10 grep -q retained got
for i in 1 2; do mosquitto_pub -p 1883 -t a/$i -m "message $i" -q 2; done
wait $sub; sort got
stop
""", LOGGED, unread="mosquitto.db|server.log"),
    Row("squid", "squid curl", WEB + r"""
mkdir -p cache
cat >q.conf <<END
http_port 127.0.0.1:3128
http_access allow all
cache_dir ufs /here/cache 16 4 4
pid_filename /here/squid.pid
cache_log /here/cache.log
access_log /here/access.log
coredump_dir /here
visible_hostname here
pinger_enable off
shutdown_lifetime 1 seconds
cache_effective_user nobody
END
(cd web; exec python3 -m http.server -b 127.0.0.1 8080 >/dev/null 2>&1) & web=$!
listening 8080
squid -f q.conf -z -N 2>&1 | grep -o 'Making.*'
serve 3128 squid -f q.conf -N
for i in 1 2 3; do curl -sS -x 127.0.0.1:3128 http://127.0.0.1:8080/; done
curl -sS -x 127.0.0.1:3128 http://127.0.0.1:8080/sub/numbers | sha256sum
curl -sS -x 127.0.0.1:3128 -o /dev/null -w '%{http_code}\n' http://127.0.0.1:9/
squid -f q.conf -k check; echo $?
kill $web; stop
awk '{print $4, $6, $7}' access.log
""", LOGGED, unread="cache.log|access.log|server.log|swap.state", unlisted="/here/cache/.*/", limit=120),
    Row("tinyproxy", "tinyproxy curl", WEB + r"""
printf 'Port 8888\nListen 127.0.0.1\nTimeout 5\nLogFile "/here/log"\nPidFile "/here/pid"\nMaxClients 9\n' >t.conf
(cd web; exec python3 -m http.server -b 127.0.0.1 8080 >/dev/null 2>&1) & web=$!
listening 8080
serve 8888 tinyproxy -d -c t.conf
curl -sS -x 127.0.0.1:8888 http://127.0.0.1:8080/; curl -sS -p -x 127.0.0.1:8888 http://127.0.0.1:8080/sub/numbers | sha256sum
kill $web; stop
""", LOGGED, unread="/here/(log|server.log)"),
    Row("haproxy", "haproxy curl", WEB + r"""
cat >h.conf <<END
global
  stats socket /here/stats mode 600 level admin
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend f
  bind 127.0.0.1:8081
  default_backend b
backend b
  balance roundrobin
  server one 127.0.0.1:8080
END
(cd web; exec python3 -m http.server -b 127.0.0.1 8080 >/dev/null 2>&1) & web=$!
listening 8080
haproxy -c -f h.conf; serve 8081 haproxy -W -db -f h.conf
curl -sS http://127.0.0.1:8081/; curl -sS http://127.0.0.1:8081/sub/numbers | sha256sum
echo 'show stat' | nc -UN /here/stats | cut -d, -f1,2,18 | grep '^[bf],'
kill $web; stop
""", LOGGED, unread="server.log"),
    Row("php-fpm", "php-fpm php-cli nginx-light curl", r"""
mkdir -p www tmp
echo '<?php echo "php ", 6*7, " ", getcwd(), " ", $_GET["a"] ?? "-", " ", trim(shell_exec("echo child")), "\n";
  file_put_contents("/here/written", "x\n", FILE_APPEND|LOCK_EX);' >www/i.php
cat >fpm.conf <<'END'
[global]
pid=/here/fpm.pid
error_log=/here/fpm.log
daemonize=no
[www]
listen=/here/fpm.sock
pm=static
pm.max_children=3
END
cat >n.conf <<END
daemon off; pid /here/nginx.pid; error_log /here/error.log;
events {}
http { access_log off; client_body_temp_path /here/tmp/a; proxy_temp_path /here/tmp/b; fastcgi_temp_path /here/tmp/c;
uwsgi_temp_path /here/tmp/d; scgi_temp_path /here/tmp/e;
 server { listen 127.0.0.1:8080; root /here/www; location ~ php { include /etc/nginx/fastcgi_params;
fastcgi_param SCRIPT_FILENAME /here/www/i.php; fastcgi_pass unix:/here/fpm.sock; } } }
END
serve /here/fpm.sock php-fpm8.2 -y /here/fpm.conf; fpm=$server
serve 8080 nginx -e /here/error.log -c /here/n.conf
for i in 1 2 3 4 5 6; do curl -sS "http://127.0.0.1:8080/i.php?a=$i"; done; wc -l <written
stop QUIT; server=$fpm; stop QUIT
""", LOGGED, unread=r"\.log"),
    Row("gunicorn", "gunicorn curl", r"""
cat >app.py <<'END'
import os, subprocess
open("/here/loaded", "a").write("a worker heeds signals\n")
def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    text = subprocess.check_output(["sh", "-c", "echo child of $0; pwd", environ["PATH_INFO"]])
    return [text, environ["wsgi.input"].read()]
END
serve /here/g.sock gunicorn -w 2 -b unix:/here/g.sock -b 127.0.0.1:8000 --pid /here/pid --log-file /here/log app:app
curl -sS --unix-socket /here/g.sock http://x/path; seq 50000 | curl -sS --data-binary @- http://127.0.0.1:8000/post | sha256sum
all_loaded() { [ "$(wc -l <loaded)" = $1 ]; }
until_true 20 all_loaded 2; kill -HUP "$server"; until_true 20 all_loaded 4; curl -sS http://127.0.0.1:8000/again
stop
""", LOGGED, unread="/here/(log|server.log)|pyc"),
    Row("uwsgi", "uwsgi uwsgi-plugin-python3 curl", r"""
cat >w.py <<'END'
def application(e, s):
    s("200 OK", [("Content-Type", "text/plain")])
    return [b"uwsgi " + e["PATH_INFO"].encode() + b"\
"]
END
serve 8001 uwsgi --plugin python3 --http-socket 127.0.0.1:8001 --wsgi-file w.py --master --processes 2 --die-on-term --pidfile /here/pid
for i in 1 2 3 4; do curl -sS http://127.0.0.1:8001/$i; done
stop
""", LOGGED, unread="server.log|pyc"),
    Row("distccd", "distcc gcc libc6-dev", r"""
mkdir distcc
serve 3632 distccd --daemon --no-detach --allow 127.0.0.1 --listen 127.0.0.1 --port 3632 --enable-tcp-insecure -j 2 --log-file=/here/log
printf '#include <stdio.h>\nint main(void) { puts("built far away"); return 0; }\n' >a.c
export DISTCC_HOSTS=127.0.0.1 DISTCC_FALLBACK=0 DISTCC_DIR=/here/distcc PATH=/usr/lib/distcc:$PATH
distcc gcc -c a.c -o a.o; echo $?; gcc a.o -o a; ./a
stop; grep -c 'COMPILE_OK' log
""", LOGGED, unread="/here/log|/here/a$|/here/a.o", unlisted="/here/distcc/|/tmp/"),
    Row("stunnel", "stunnel4 openssl socat", r"""
openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 9 -subj /CN=localhost 2>/dev/null; cat key cert >both
printf 'foreground=yes\npid=\n[s]\naccept=127.0.0.1:4433\nconnect=127.0.0.1:4000\ncert=/here/both\n' >s.conf
socat TCP-LISTEN:4000,bind=127.0.0.1,fork,reuseaddr EXEC:'/bin/sed -u s/^/back:/' & echo=$!
listening 4000
serve 4433 stunnel4 s.conf
printf 'one\ntwo\n' | socat -t 5 - OPENSSL:127.0.0.1:4433,verify=0
echo three | timeout 10 openssl s_client -quiet -verify_quiet -connect 127.0.0.1:4433 2>/dev/null
kill $echo; wait $echo; stop
""", LOGGED, unread="key|cert|both|server.log"),
    Row("socat", "socat iproute2", r"""
socat UNIX-LISTEN:/here/s,fork EXEC:'/bin/cat',pty,raw,echo=0 & one=$!
until_true 5 test -S s
seq 3 | socat -t 2 - UNIX-CONNECT:/here/s
socat TCP-LISTEN:4001,bind=127.0.0.1,fork,reuseaddr SYSTEM:'echo $(pwd) $SOCAT_PEERADDR; wc -c' & two=$!
until_true 10 sh -c 'ss -Hltn | grep 127.0.0.1:4001' # and no look by a connection, whose child would find it closed
head -c 100000 /dev/zero | socat -t 5 - TCP:127.0.0.1:4001
kill $one $two; wait; ls -l s | cut -c1
"""),
    Row("xinetd", "xinetd", r"""
cat >x.conf <<END
defaults
{
 log_type = FILE /here/log
}
service upper
{
 type = UNLISTED
 port = 7777
 bind = 127.0.0.1
 socket_type = stream
 protocol = tcp
 wait = no
 user = nobody
 server = /usr/bin/tr
 server_args = a-z A-Z
}
END
serve 7777 xinetd -dontfork -f /here/x.conf -pidfile /here/pid
echo hello | nc -N 127.0.0.1 7777
until_true 10 sh -c '! pgrep -x tr'
stop
""", LOGGED, unread="/here/(log|server.log)"),
    Row("beanstalkd", "beanstalkd", r"""
mkdir b; serve 11300 beanstalkd -l 127.0.0.1 -p 11300 -b /here/b
printf 'put 1 0 60 5\r\nhello\r\nreserve\r\ndelete 1\r\nput 1 0 60 3\r\nabc\r\nquit\r\n' | nc 127.0.0.1 11300
stop
serve 11300 beanstalkd -l 127.0.0.1 -p 11300 -b /here/b
printf 'peek 2\r\nquit\r\n' | nc 127.0.0.1 11300
stop
""", unread="/here/b/"),
    Row("cupsd", "cups-daemon cups-client", r"""
mkdir -p root spool cache run
cat >cups-files.conf <<END
ServerRoot /here/root
CacheDir /here/cache
StateDir /here/run
RequestRoot /here/spool
TempDir /here/spool
AccessLog /here/access
ErrorLog /here/error
PageLog /here/page
User nobody
Group nogroup
SystemGroup nogroup
FileDevice Yes
END
cat >cupsd.conf <<'END'
Listen 127.0.0.1:6310
WebInterface No
Browsing No
<Location />
Order allow,deny
Allow all
</Location>
<Policy default>
<Limit All>
Order allow,deny
Allow all
</Limit>
</Policy>
END
serve 6310 cupsd -f -c /here/cupsd.conf -s /here/cups-files.conf
export CUPS_SERVER=127.0.0.1:6310
lpstat -r; lpstat -a; lpstat -H
lpadmin -p q -E -v file:/dev/null -m raw 2>&1; lpstat -p -d 2>&1
echo text | lp -d q -t job 2>&1; until_true 10 sh -c '[ -z "$(lpstat)" ]'; lpstat -W completed -o | awk '{print $1, $2}'
stop
""", LOGGED, unread="/here/(access|error|page|root|cache|spool|run)", unlisted="/here/(cache|spool|run)/"),
)
