"""Databases: made, filled, asked by clients at once, dumped, and checked after the end."""

from __future__ import annotations

from ..row import Row
from .vcs import STAMP

ROWS = (
    Row("sqlite3", "sqlite3 python3", r"""
sqlite3 base <<'END'
pragma journal_mode=wal; create table t(id integer primary key, name text, value real); create index i on t(name);
with recursive n(x) as (select 1 union all select x+1 from n where x<1000) insert into t select x, 'name'||x%7, x*1.5 from n;
select name, count(*), sum(value) from t group by name; explain query plan select * from t where name='name3';
END
printf '2001,a,1\n2002,"b, c",2\n' >in.csv
sqlite3 base
ls base*; sqlite3 base .dump >dump; sqlite3 copy <dump; sqlite3 copy 'pragma integrity_check; select count(*) from t'
cmp <(sqlite3 base .dump) <(sqlite3 copy .dump) && echo alike
sqlite3 base '.backup backup' 'vacuum into "small"'; ls backup small
python3 - <<'END'
import os, sqlite3
def tell(call):
    try: return call()
    except sqlite3.OperationalError as error: return str(error)
one, other = (sqlite3.connect("base", timeout=0, isolation_level=None) for _ in range(2))
one.execute("begin immediate"); print(tell(lambda: other.execute("begin immediate")))
if os.fork() == 0:
    third = sqlite3.connect("base", timeout=0); print("child:", tell(lambda: third.execute("delete from t")), flush=True); os._exit(0)
os.wait(); one.execute("commit"); other.execute("begin exclusive"); print(other.execute("select count(*) from t").fetchone());
other.execute("rollback")
END
""", dialogue=((r"sqlite> ", ".mode csv\n"), (r"sqlite> ", ".import in.csv t\n"), (r"sqlite> ", ".shell echo from a child\n"),
               (r"sqlite> ", "select * from t where id > 1999;\n"), (r"sqlite> ", ".save saved\n"), (r"sqlite> ", ".quit\n"))),
    Row("postgresql", "postgresql", r"""
export PATH=$PATH:$(echo /usr/lib/postgresql/*/bin) PGHOST=/here PGUSER=u PGDATA=/here/data
initdb -U u -A trust --no-sync --locale=C.UTF-8 >initdb.log && echo made; echo "unix_socket_directories = '/here'" >>data/postgresql.conf
echo 'fsync = off' >>data/postgresql.conf
pg_ctl -w -s -l log start; echo "status $?"; createdb base
psql -q base <<'END'
create table t(id serial primary key, name text unique, value numeric);
insert into t(name, value) select 'name'||g, g*1.5 from generate_series(1,1000) g;
create function f(n int) returns int language plpgsql as $$ begin return n*2; end $$;
create view v as select count(*), sum(value), f(21) from t; select * from v; analyze t;
\copy (select id, name from t where id < 4) to 'out.csv' csv
\! wc -l out.csv
insert into t(name) values('name1'); begin; delete from t; rollback; select count(*) from t;
explain (costs off) select * from t where name='name3';
END
psql -qAt base -c "listen x" -c "notify x, 'payload'" -c 'select 1' | sed 's/PID [0-9]*/PID <n>/'
psql -qAt base -c "copy (select 1) to program 'cat >/here/program.out'"; cat program.out
(psql -qAt base -c 'begin; lock table t; select pg_sleep(0.3); commit' &
psql -qAt base -c "set lock_timeout='10s'; update t set value=0 where id=1"
wait)
pg_dump base | grep -v '^--' >dump; createdb copy; psql -q copy <dump >/dev/null; psql -qAt copy -c 'select count(*), max(name) from t'
for n in 1 2 3 4; do psql -qAt -h 127.0.0.1 base -c "insert into t(name) select 'child$n-'||g from generate_series(1,50) g" & done; wait
pg_ctl -s -m immediate stop; pg_ctl -w -s -l log start; psql -qAt base -c 'select count(*) from t'
pgbench -q -i -s 1 base >/dev/null 2>&1; pgbench -n -c 4 -j 2 -t 20 base | grep -e processed -e failed
psql -qAt base -c 'select 1'; until_true 10 sh -c '! pgrep -f "[p]ostgres: u base"'; pg_ctl -s -m fast stop; echo "status $?"
ls -A /here | grep -v -e data -e log
grep -e FATAL -e PANIC log | grep -v 'starting up'
sed -i '/restrict/d' dump
""", unlisted=r"^/here/(data/|log|initdb\.log)", limit=180),
    Row("mariadb", "mariadb-server mariadb-client", r"""
mariadb-install-db --no-defaults --datadir=/here/data --auth-root-authentication-method=normal --skip-test-db >install.log 2>&1
echo "made: $?"
serve /here/socket mariadbd --no-defaults --datadir=/here/data --socket=/here/socket --bind-address=127.0.0.1 --port=3306 \
    --pid-file=/here/pid --innodb-flush-log-at-trx-commit=2 --secure-file-priv=/here
my() { mariadb --no-defaults -S /here/socket -u root "$@"; }
my <<'END'
create database base; use base;
create table t(id int auto_increment primary key, name varchar(20) unique, value decimal(10,2)) engine=innodb;
create table a(x int) engine=aria;
insert into t(name, value) select concat('name', seq), seq*1.5 from seq_1_to_1000; insert into a select seq from seq_1_to_100;
select count(*), sum(value) from t;
create procedure p() select 'from a procedure', count(*) from a; call p(); select id, name from t limit 3 into outfile '/here/out.txt';
system wc -l out.txt
END
my base -e "insert into t(name) values('name1')"; echo "status $?"
mariadb-dump --no-defaults -S /here/socket -u root --skip-comments base >dump; my -e 'create database other'; my other <dump
my other -NBe 'select count(*), max(name) from t; checksum table t'
for n in 1 2 3 4
do mariadb --no-defaults -h 127.0.0.1 --protocol=tcp -u root base -e "insert into t(name) select concat('child$n-', seq) from seq_1_to_50" &
done
wait $(jobs -p | grep -vx $server); my base -NBe 'select count(*) from t'
mariadb-check --no-defaults -S /here/socket -u root base; my -NBe 'show processlist' | wc -l
mariadb-admin --no-defaults -S /here/socket -u root shutdown; wait $server; echo "server ended with $?"
grep -i -e error -e warning server.log | grep -v -i -e io_uring -e aio -e 'memory pressure' -e MAC | sed 's/.*\[/[/'; ls /here
""", unlisted=r"^/here/(data/|install\.log|server\.log)", limit=180),
    Row("lmdb", "lmdb-utils", r"""
mkdir base
(printf 'VERSION=3\nformat=print\ntype=btree\nmapsize=10485760\nHEADER=END\n'; seq -w 500 | sed 's/.*/ key&\n value of &/'
echo DATA=END) >in
mdb_load -f in base; mdb_stat -e base | grep -e Entries -e Depth -e 'Map size' -e readers
mdb_dump -p base | tail -3; for n in 1 2 3; do mdb_dump base >out$n & done; wait; cmp out1 out2 && cmp out2 out3 && echo alike
mdb_copy -c base >copy.mdb; mdb_dump -n copy.mdb | cmp - out1 && echo alike; mdb_load -f in -N base; echo "status $?"; mdb_stat -rr base
mdb_stat -n missing; echo "status $?"
""", unread=r"/(lock\.mdb|copy\.mdb-lock)$"),
    Row("berkeleydb", "db5.3-util gcc libc6-dev libdb5.3-dev", r"""
seq -w 500 | sed 's/.*/key&\nvalue of &/' | db5.3_load -T -t btree base.db; db5.3_dump -p base.db | tail -3; db5.3_verify base.db
db5.3_stat -d base.db | grep -e keys -e levels
cat >t.c <<'END'
#include <db.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
enum { FLAGS = DB_INIT_TXN | DB_INIT_LOCK | DB_INIT_LOG | DB_INIT_MPOOL | DB_CREATE };
static void child(int number) {
    DB_ENV *e; DB *d; DB_TXN *t; char text[40]; int r = 0;
    db_env_create(&e, 0);
    e->set_lk_detect(e, DB_LOCK_DEFAULT);
    if ((r = e->open(e, "env", FLAGS, 0644)) || (r = db_create(&d, e, 0)) ||
        (r = d->open(d, NULL, "t.db", NULL, DB_BTREE, DB_CREATE | DB_AUTO_COMMIT, 0644))) {
        printf("open: %s\n", db_strerror(r));
        fflush(stdout);
        _exit(1);
    }
    for (int i = 0; i < 50; i++) {
        DBT k, v;
        memset(&k, 0, sizeof k); memset(&v, 0, sizeof v);
        snprintf(text, sizeof text, "%d-%d", number, i);
        k.data = v.data = text; k.size = v.size = strlen(text);
        do {
            e->txn_begin(e, NULL, &t, 0);
            r = d->put(d, t, &k, &v, 0);
            if (r) t->abort(t); else t->commit(t, DB_TXN_NOSYNC);
        } while (r == DB_LOCK_DEADLOCK);
    }
    d->close(d, 0); e->close(e, 0);
    _exit(r);
}
int main(void) {
    DB_ENV *e;
    int s, bad = 0;
    db_env_create(&e, 0);  /* one process makes the regions, the children join */
    e->open(e, "env", FLAGS, 0644);
    for (int n = 0; n < 3; n++)
        if (fork() == 0) child(n);
    while (wait(&s) > 0) bad |= s;
    e->close(e, 0);
    printf("children: %d\n", bad);
    return 0;
}
END
mkdir env; gcc -o t t.c -ldb-5.3 && db5.3_stat -e -h env >/dev/null 2>&1
./t; db5.3_dump -h env t.db | wc -l
db5.3_verify -h env t.db; db5.3_recover -h env; db5.3_archive -h env -s
""", unread=r"/base\.db$", unlisted=r"^/here/env/"),
    Row("gdbm", "gdbmtool", r"""
gdbmtool base.db
gdbmtool -r base.db count; gdbmtool base.db store c 3; gdb_dump() { gdbm_dump base.db out && grep -v '^#' out; }; gdb_dump
gdbm_load out copy.db 2>&1; gdbmtool -r copy.db fetch b; gdbmtool -r missing.db count; echo "status $?"
""", dialogue=((r"gdbmtool> ", "store a 1\n"), (r"gdbmtool> ", "store b two\n"), (r"gdbmtool> ", "list\n"),
        (r"gdbmtool> ", "count\n"), (r"gdbmtool> ", "quit\n")),
        changes=(STAMP,), unread=r"^/here/out$"),
    Row("tdb", "tdb-tools", r"""
printf 'create base.tdb\ninsert a 1\ninsert b two\n' | tdbtool; tdbdump base.tdb
printf 'transaction_start\nstore a three\ntransaction_commit\nshow a\nkeys\n' | tdbtool base.tdb; tdbbackup base.tdb
tdbbackup -v base.tdb; tdbdump base.tdb | tdbrestore copy.tdb; tdbdump copy.tdb; tdbtool copy.tdb check
"""),
)
