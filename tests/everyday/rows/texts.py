"""Texts and archives: what reads, changes, packs and compares files."""

from __future__ import annotations

from ..row import Row
from .vcs import HASH, STAMP

#: A small tree with a link, a hard link, a hole, a FIFO, odd names and times that are the same in every run.
TREE = r"""
mkdir -p tree/a/b tree/empty; seq 2000 >tree/a/numbers; ln tree/a/numbers tree/a/b/same; ln -s ../numbers tree/a/b/link
ln -s nowhere tree/dangling
mkfifo tree/fifo; printf x >'tree/with space'; printf x >$'tree/odd\nname'; printf '#!/bin/sh\n' >tree/run; chmod 755 tree/run
chmod 600 'tree/with space'; truncate -s 1M tree/hole
find tree -depth -exec touch -h -d '2020-01-02 03:04:05' {} +
"""

ROWS = (
    Row("tar", "tar gzip", TREE + r"""
tar -cf one.tar tree; tar -tvf one.tar | sort; mkdir x; tar -xf one.tar -C x; diff -r --no-dereference -x fifo tree x/tree && echo alike
stat -c '%n %h %a %Y' x/tree/* | sort
tar -czf two.tgz --exclude='b*' tree; tar -tzf two.tgz | wc -l; tar -Scf sparse.tar tree
[ $(stat -c %s sparse.tar) -lt 500000 ] && echo sparse; mkdir y; tar -xf sparse.tar -C y; cmp tree/hole y/tree/hole && echo hole
tar -g snap -cf full.tar tree; echo more >>tree/run; rm tree/dangling
until [ tree/run -nt full.tar ]; do touch tree/run; done; tar -g snap -cf later.tar tree; mkdir z
tar -g /dev/null -xf full.tar -C z; tar -g /dev/null -xf later.tar -C z; ls z/tree; tail -1 z/tree/run
tar -cf - -C tree a | (cd y && tar -xpf - --transform='s/^a/renamed/'); find y/renamed | sort
tar --to-command='wc -c' -xf one.tar tree/a/numbers; tar -df one.tar; echo "status $?"; tar -rf one.tar tree/run
tar --delete -f one.tar tree/hole; tar -tf one.tar | tail -3
tar --checkpoint=20 --checkpoint-action='exec=echo checkpoint in $PWD' -cf /dev/null tree; tar -C missing -cf x.tar . ; echo "status $?"
tar -xf one.tar -C x --keep-old-files tree/run; echo "status $?"
dd if=/dev/urandom of=big bs=1k count=300 2>/dev/null; tar -M -L 200 -cf vol1 big; ls -l vol1 vol2 | wc -l; mkdir v; tar -M -xf vol1 -C v
cmp big v/big && echo alike
""", dialogue=((r"hit return: $", "n vol2\n"), (r"hit return: $", "\n"), (r"hit return: $", "n vol2\n"), (r"hit return: $", "\n")),
        unread=r"^/here/(snap|big|vol\d|v/big|later\.tar|full\.tar|.*\.t(ar|gz))$"),
    Row("cpio", "cpio", TREE + r"""
find tree | sort | cpio -o -H newc >one.cpio; cpio -itv <one.cpio | sort -k9; mkdir x; (cd x && cpio -idm <../one.cpio)
find x/tree -type f -printf '%P %n %m %T@\n' | sort
mkdir y; find tree -depth -print0 | sort -z | cpio -0pdmu y; diff -r --no-dereference -x fifo tree y/tree && echo alike
cpio -i --to-stdout 'tree/run' <one.cpio; (cd x && cpio -id 'tree/a/*' <../one.cpio)
find tree | cpio -o -H tar 2>/dev/null | tar -t | wc -l; (cd x && cpio -ir 'tree/run' <../one.cpio); ls x
""", dialogue=((r"^rename tree/run -> ", "other\n"),), unread=r"\.cpio$"),
    Row("zip", "zip unzip", TREE + r"""
zip -qr one.zip tree -x tree/fifo; unzip -Z1 one.zip | sort; mkdir x; unzip -q one.zip -d x
diff -r --no-dereference -x fifo tree x/tree && echo alike; zip -qry two.zip tree -x tree/fifo; unzip -qo two.zip -d x
readlink x/tree/a/b/link; find x/tree -type f -printf '%P %m %T@\n' | sort
unzip -t one.zip | tail -1; zip -qd one.zip tree/hole; zip -T one.zip; unzip -p one.zip tree/a/numbers | wc -l; zip -q - tree/run | funzip
echo changed >tree/run; zip -qu one.zip tree/run; unzip -c one.zip tree/run | tail -2; zip -qe -P secret s.zip tree/run
unzip -P secret -p s.zip; unzip -P wrong -p s.zip; echo "status $?"
unzip one.zip tree/run 'tree/with space'; zip -s 64k -q0 split.zip tree/hole; ls split.z*; zip -q -F split.zip --out whole.zip
unzip -l whole.zip | tail -1
""", dialogue=((r"ename: ", "r\n"), (r"new name: ", "renamed\n"), (r"ename: ", "A\n")), unread=r"\.z(ip|\d\d)$"),
    Row("rsync", "rsync", TREE + r"""
rsync -aH --info=stats0 tree/ x; diff -r --no-dereference -x fifo tree x && echo alike; stat -c '%n %h %a %Y' x/* | sort
echo more >>tree/run; rm tree/dangling
until [ tree/run -nt full.tar ]; do touch tree/run; done; touch x/extra; rsync -aHi --delete tree/ x | sort; rsync -ani tree/ x
rsync -aS tree/hole y; stat -c %b y | sed 's/.*/blocks &/'; rsync -a --backup --suffix=.old --exclude=hole tree/ z; echo again >>tree/run
rsync -a --backup --suffix=.old --exclude=hole tree/ z; ls z; rsync -a --link-dest=../z tree/ w; stat -c '%h %n' w/a/numbers
rsync --list-only tree/ | sort | cut -c1-30
cat >conf <<'END'
port = 8873
address = 127.0.0.1
use chroot = no
[module]
path = /here
read only = no
pid file =
END
serve 8873 rsync --daemon --no-detach --config=conf; rsync rsync://127.0.0.1:8873/; rsync -a rsync://127.0.0.1:8873/module/tree/ d
diff -r --no-dereference -x fifo tree d && echo alike; rsync -a conf rsync://127.0.0.1:8873/module/put; cmp conf put; stop
rsync -a missing z; echo "status $?"; printf '#!/bin/sh\nshift\nexec "$@"\n' >here; chmod +x here
rsync -az -e ./here tree/a host:/here/shell; find shell | sort
rsync -a --inplace --partial --bwlimit=100000 tree/a/numbers part; cmp part tree/a/numbers
rsync -rc --files-from=- tree f <<<$'run\na/numbers'; find f | sort
""", changes=(STAMP, (r"rsync error.*", "rsync error"))),
    Row("patch", "patch diffutils", r"""
seq 40 >one; cp one two; sed -i '3s/$/ x/;30,31d;36a new' two; diff -u one two >p; cp one three; patch three <p
cmp two three && echo alike; patch -R three p; cmp one three && echo alike
patch -N three <p; patch -N three <p; echo "status $?"; sed -i '3s/x/other/' one; cp one four; seq 5 | cat - one >five
patch --no-backup-if-mismatch five <p; sed 's/^ 4$/ different/' p >q; patch four <q; echo "status $?"; cat four.rej
mkdir -p d/a e/a; seq 3 >d/a/f; echo gone >d/a/g; seq 4 >e/a/f; echo new >e/a/h; diff -Nru d e >tree.patch
(cd d && patch -p1 --dry-run <../tree.patch; patch -b -p1 <../tree.patch); find d | sort; diff -r d e
printf '2c\nchanged\n.\nw\n' | ed -s d/a/f; patch two p; patch none <tree.patch
""", dialogue=((r"Assume -R\? \[n\] ", "n\n"), (r"Apply anyway\? \[n\] ", "y\n"), (r"File to patch: ", "\n"),
        (r"Skip this patch\? \[y\] ", "y\n"), (r"File to patch: ", "\n"), (r"Skip this patch\? \[y\] ", "y\n"),
        (r"File to patch: ", "\n"), (r"Skip this patch\? \[y\] ", "y\n")),
        changes=(STAMP, (r"\.\d+ \+0000", ""))),
    Row("diff", "diffutils", r"""
seq 30 >one; cp one two; sed -i '3s/$/ x/;20d' two; cp one three; sed -i '10s/$/ y/;3s/$/ z/' three; diff one two
diff -u --label a --label b one two; diff -y -W 40 --suppress-common-lines one two; diff3 -m two one three; diff3 two one three
cmp one two; cmp -l one two | wc -l
mkdir -p d/x e/x; cp one d/x/f; cp two e/x/f; touch d/only e/only2; ln -s f d/x/l; ln -s g e/x/l; diff -rq d e
diff -rq --no-dereference d e; diff -r d missing; echo "status $?"; diff <(sort -n one) <(seq 30) && echo pipes; printf 'a\0b' >bin
cp bin bin2; printf c >>bin2; diff bin bin2; diff -D X one two | grep '#'
sdiff -o merged one two; cat merged | head -4; wc -l merged
""", dialogue=((r"^%", "l\n"), (r"^%", "r\n"))),
    Row("sed", "sed", r"""
seq 10 >f; ln f hard; ln -s f soft; sed -n '2,4p;$=' f; sed -i.bak '3d;s/7/seven/w written' f; cat f written hard; ls -l soft | cut -c1
sed -i --follow-symlinks '1i first' soft; ls -l soft | cut -c1; head -1 f; sed -n '1e echo from a child; pwd' f
sed '2r written' f | head -5; sed -i -s '$a end' f hard; tail -qn1 f hard
printf 's/\\(.*\\)/[\\1]/\n:a;N;$!ba;y/\\n/,/\n' >script; sed -f script f; sed -E 's/([0-9])0/\U&x\E\1/' f; sed 's/x' f; echo "status $?"
chmod 444 f; sed -i '1d' f; stat -c %a f; sed -i 1d missing; echo "status $?"; sed -z 's/\n/ /g' f; echo; sed -n '/5/{p;q7}' f
echo "status $?"; echo a | sed 's/a/date -u -d @0 +%Y/e'; sed --posix -u 2q f
sed -n 'l 20' <<<$'tab\tback\\slash long line that is wrapped \xff'; mkfifo p; (seq 3 >p &) ; sed 's/^/p/' p
"""),
    Row("awk", "gawk mawk", r"""
seq 20 | awk 'BEGIN{OFS="-"} {s+=$1; a[$1%3]=a[$1%3] " " $1} END{print s, length(a); for (i=0;i<3;i++) print i a[i]}' | tee out
for awk in gawk mawk; do
seq 5 | $awk '{print $1 > "even" ($1%2); print $1 | "sort -rn"} END{close("sort -rn");
while (("cat even0" | getline x) > 0) print "got " x; r=system("exit 3"); print r; print ENVIRON["HOME"], ARGV[0];
while ((getline line < "/here/even1") > 0) n++; print n; printf "to stderr\n" > "/dev/stderr"; print "to out" > "/dev/stdout"}'
done
gawk 'BEGIN{c="bc"; for (i=1;i<4;i++) {print i "^" i |& c}; close(c, "to"); while ((c |& getline x) > 0) print x; close(c);
print strftime("%Y", 0, 1); print PROCINFO["uid"]; s="/inet/tcp/8123/0/0"}'
gawk -i inplace '{print NR, $0}' out; cat out
gawk '@load "filefuncs"; BEGIN{print chdir("/"), stat("/here/out", d), d["size"], d["type"]; "pwd" | getline; print}'
serve 8123 gawk 'BEGIN{s="/inet/tcp/8123/0/0"; for (;;) {if ((s |& getline x) > 0 && x != "") {print "echo " x |& s}; close(s);
if (x == "end") exit 5}}'
gawk 'BEGIN{s="/inet/tcp/0/127.0.0.1/8123"; print "hello" |& s; s |& getline x; print x; close(s)}'
gawk 'BEGIN{s="/inet/tcp/0/127.0.0.1/8123"; print "end" |& s; s |& getline x; print x}'; wait $server; echo "server ended with $?"
gawk 'BEGIN{print length("\xc3\xa4")}'; mawk -W version 2>&1 | head -1; gawk -f missing; echo "status $?"
"""),
    Row("vim-es", "vim", r"""
printf 'one two\nthree\n' >f; cat >first <<'END'
%s/o/0/g
$r !echo from a child; pwd
w
w !wc -l >count
saveas other
%!sort -r
w!
q
END
vim -es -u NONE -i NONE -S first f </dev/null
echo "status $?"; cat f other count; ls -A
vim -es -u NONE -i NONE -c 'call writefile([getcwd(), getline(1), string(getpid() > 1), system("echo sub $$ | wc -w")], "out") | q' f
cat out
cat >script <<'END'
set backup
set undofile undodir=/here
%s/n/N/
w
q
END
vim -es -u NONE -i NONE -S script f; echo "status $?"; ls -A; cat f~; vimdiff --version | head -1 | cut -c1-3
ln -s f link; vim -es -u NONE -i NONE -c '$s/$/ end' -c wq link; ls -l link | cut -c1; tail -1 f; chmod 444 f
vim -es -u NONE -i NONE -c '1d' -c 'w!' -c q f; stat -c '%a' f; vim -es -u NONE -i NONE -c 'w /missing/dir/x' -c 'q!' f; echo "status $?"
cat >job.vim <<'END'
let j = job_start(["sh", "-c", "echo job >job.out; exit 4"])
while job_status(j) == "run" | sleep 20m | endwhile
call writefile([string(job_info(j).exitval)], "job.status")
qa!
END
vim -es -u NONE -i NONE -S job.vim
cat job.out job.status
""", unread=r"\.un~$|/%work%f$"),
    Row("ed-dialogue", "ed", r"""
seq 5 >f; ed -s f <<'END'
2s/$/ two/
$r !echo from a child; pwd
w
w !wc -l
!echo bang in $PWD
1,2W other
q
END
echo "status $?"; cat f other; ed -p '* ' f; cat f; printf 'H\nr missing\nq\n' | ed -s f; echo "status $?"; printf '1d\nq\n' | ed -s f
echo "status $?"; red -s f <<<'r /etc/hostname'; echo "status $?"
""", dialogue=((r"^\* ", "a\n"), (r"a\n", "new\n.\n"), (r"^\* ", ",n\n"), (r"^\* ", "!wc -l f\n"), (r"^\* ", "wq\n"))),
    Row("compressors", "gzip bzip2 xz-utils zstd lz4", r"""
seq 50000 >f; touch -d 2020-01-01 f
for c in gzip bzip2 xz 'zstd -q' 'xz -T2' 'zstd -q -T2' lz4; do set -- $c; cp -p f g; $c -f g; ls g.* | xargs; z=$(ls g.*)
$1 -t $z && echo "tested $1"; $1 -dc $z | cmp - f && rm -f g; $1 -d -f $z 2>/dev/null; cmp f g && stat -c %Y g; rm -f g g.*; done
gzip -k f; zcat f.gz | tail -1; zgrep -c 9 f.gz; zdiff f f.gz && echo alike; bzip2 -k f; bzgrep -c 9 f.bz2; xz -k f; xzcat f.xz | wc -l
xz -l f.xz | tail -1 | cut -c1-20; gzip -l f.gz | tail -1; gzip -k f; echo "status $?"; gzip -k f; echo "status $?"; ln f hard; gzip f
echo "status $?"; gzip -t /etc/hostname; echo "status $?"
truncate -s 1000 f.xz; xz -t f.xz; echo "status $?"; tar -cf - f hard | gzip | tar -tz; tar -caf a.tar.zst f; tar -tf a.tar.zst
gzip -c <f | gunzip -c | cmp - f && echo pipe
""", dialogue=((r"overwrite \(y or n\)\? ", "y\n"), (r"overwrite \(y or n\)\? ", "n\n")), unread=r"\.(gz|bz2|xz|zst)$"),
    Row("7z", "p7zip-full", TREE + r"""
rm tree/fifo tree/dangling tree/a/b/link; touch -d '2020-01-02 03:04:05' tree tree/a/b # the times are packed
7z a -bd one.7z tree | grep -e Everything -e Items; 7z l -ba one.7z | wc -l
7z x -bd -ox one.7z >/dev/null; diff -r tree x/tree && echo alike; 7z a -bd -psecret -mhe=on s.7z tree/run >/dev/null
7z t -bd -pwrong s.7z >/dev/null 2>&1; echo "status $?"; 7z t -bd -psecret s.7z | grep Everything; seq 9 | 7z a -bd -si in.7z >/dev/null
7z e -so in.7z; 7z a -bd -v50k split.7z tree/a >/dev/null; ls split*; 7z rn -bd one.7z tree/run tree/ran >/dev/null
7z l -ba one.7z | grep -c ran
7z e -bd one.7z tree/ran 'tree/with space' >/dev/null; 7z e -bd one.7z tree/ran
""", dialogue=((r"\(Q\)uit\? ", "u\n"),), unread=r"\.7z(\.\d+)?$"),
    Row("binutils", "binutils gcc libc6-dev", r"""
echo 'int f(void){return 42;}' >f.c; echo 'int f(void); int main(void){return f();}' >m.c; gcc -c f.c m.c; ar rcs libf.a f.o; ar t libf.a
nm libf.a | grep ' T '; gcc -o m m.o -L. -lf; ./m; echo "status $?"; objdump -d f.o | grep -c ret; readelf -h m | grep -e Type: -e Machine
strip m; nm m; size f.o; objcopy --only-section=.text -O binary f.o text.bin; strings -n 3 m | grep -c GLIBC; ranlib libf.a
addr2line -e f.o 0; ar d libf.a f.o; ar t libf.a; ld -r -o both.o f.o m.o; readelf -s both.o | grep -c GLOBAL
printf 'VERSION { V1 { f; }; };\n' | sed 's/VERSION { //;s/ }; };/ };/' >v
gcc -shared -fPIC -Wl,--version-script=v -o libf.so f.c 2>&1 | grep -v warning; readelf -V libf.so | grep -c V1
elfedit --output-osabi=Linux m; readelf -h m | grep OS
"""),
    Row("bc", "bc", r"""
bc <<<'scale=20; 4*a(1)' 2>/dev/null; bc -l <<<'scale=30; 4*a(1); 2^200'
printf 'define f(n) { if (n < 2) return 1; return n*f(n-1) }\n' >lib; bc -q lib
""", dialogue=((r"\?2004h", "f(30)\n"), (r"\?2004h", "x = 7; x^2\n"), (r"\?2004h", "quit\n"))),
    Row("dc", "dc", r"""
dc -e '20k 2v p 10 [d 1 - d 0 <x] d sx x f' | head -3; echo '2 100 ^ p !echo from a child; pwd' | dc; printf '16o 255p\n[q]sq 1 0 =q' >f
dc -f f
"""),
    Row("m4", "m4", r"""
cat >f <<'END'
define(`x', `<$1:$2>')x(a,b) include(`inc') syscmd(`echo child in $PWD')esyscmd(`id -u')sysval
divert(1)late divert(0)early
undivert(1)changequote([,])len([abc]) mkstemp([/here/tmpXXXXXX])
END
echo 'included' >inc; m4 f | sed 's/tmp....../tmp/'; m4 -DX=1 -P <<<'m4_ifdef(`X'"'"',`yes'"'"')'; m4 missing; echo "status $?"
m4 -F frozen f >/dev/null; ls frozen; m4 -R frozen <<<'x(1,2)'; rm tmp* frozen
"""),
    Row("jq", "jq", r"""
echo '{"a":[1,2,{"b":null}],"c":"\u00e4"}' >f.json; jq . f.json; jq -c '.a[2], (.a|length), env.HOME, input_filename' f.json
jq -r '@sh "echo \(.c)"' f.json | sh; jq -n '[limit(5; range(100))] | add'; echo 'def f: . * 2;' >lib.jq
jq -n -L . 'import "lib" as l; 21 | l::f'; jq . <<<'{'; echo "status $?"; jq -e .missing f.json; echo "status $?"
jq --slurpfile x f.json -n '$x[0].c'; for n in 1 2 3; do echo "{\"n\":$n}"; done | jq -s 'map(.n)|add'
"""),
    Row("groff", "groff man-db", r"""
cat >x.1 <<'END'
.TH X 1 2020-01-01
.SH NAME
x \- a page
.SH TEXT
.B bold
and
.I italic
.TS
tab(:); l l.
a:b
.TE
.EQ
x sup 2
.EN
END
groff -man -t -e -Tutf8 x.1 | col -b; groff -man -t -Tps x.1 | grep -c '^%%'; mkdir -p man/man1; cp x.1 man/man1; gzip -n man/man1/x.1
MANPATH=/here/man man -P cat x | col -b | head -6; mandb -q -u man; MANPATH=/here/man apropos page; MANPATH=/here/man man -w x
man -M man nosuch; echo "status $?"; groff -man missing; echo "status $?"; groff -T nodev x.1 2>&1 | head -1; lexgrog x.1
""", unread=r"/index\.db$", unlisted=r"^/(home/user|var)/.*(man|cache)"),
    Row("gettext", "gettext", r"""
cat >m.c <<'END'
#include <libintl.h>
#include <locale.h>
#include <stdio.h>
int main(void) { setlocale(LC_ALL, ""); bindtextdomain("m", "/here/locale"); textdomain("m"); puts(gettext("hello"));
printf(ngettext("%d file\n", "%d files\n", 2), 2); return 0; }
END
xgettext -o m.pot --keyword=ngettext:1,2 m.c; grep -c msgid m.pot; msginit -l de --no-translator -i m.pot -o de.po 2>/dev/null
sed -i 's/^msgid "hello"/&/;/^msgid "hello"/{n;s/""/"hallo"/}' de.po; mkdir -p locale/de/LC_MESSAGES
msgfmt -c --statistics -o locale/de/LC_MESSAGES/m.mo de.po; msgunfmt locale/de/LC_MESSAGES/m.mo | grep hallo
TEXTDOMAIN=m TEXTDOMAINDIR=/here/locale LANGUAGE=de LC_ALL=C.UTF-8 gettext hello; echo; msgmerge -q -U de.po m.pot
msgexec -i de.po cat | head -2; echo '$USER is $HOME' | envsubst; msgfmt missing.po; echo "status $?"
""", changes=(STAMP, (r"\d{4}-\d\d-\d\d \d\d:\d\d[+-]\d{4}", "<stamp>"))),
    Row("xml", "libxml2-utils xsltproc", r"""
cat >f.xml <<'END'
<?xml version="1.0"?><!DOCTYPE a SYSTEM "a.dtd" [<!ENTITY e SYSTEM "part.xml">]>
<a><b n="1">x</b>&e;</a>
END
echo '<b n="2">from a file</b>' >part.xml; echo '<!ELEMENT a (b*)><!ELEMENT b (#PCDATA)><!ATTLIST b n CDATA #REQUIRED>' >a.dtd
xmllint --noent --valid f.xml; xmllint --xpath 'string(//b)' f.xml; echo; xmllint --format --noent f.xml
cat >s.xsl <<'END'
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:output method="text"/>
<xsl:template match="/"><xsl:for-each select="//b"><xsl:value-of select="concat(@n,.)"/>;</xsl:for-each>
<xsl:value-of select="document('part.xml')"/></xsl:template></xsl:stylesheet>
END
xsltproc --noent s.xsl f.xml; echo; xmllint --shell f.xml; xmllint '<a>' ; echo "status $?"; echo '<a><b></a>' | xmllint -
echo "status $?"; xmlcatalog --create --noout cat.xml; xmlcatalog --noout --add system x file:///here/a.dtd cat.xml; xmlcatalog cat.xml x
""", dialogue=((r"^/ > ", "ls\n"), (r"^/ > ", "cd a/b\n"), (r"^b > ", "pwd\n"), (r"^b > ", "save out.xml\n"), (r"^b > ", "quit\n"))),
    Row("dos2unix", "dos2unix file", r"""
printf 'a\nb\n' >f; ln -s f l; unix2dos f; file f; dos2unix -n f g; cmp f g; dos2unix l; dos2unix -F l; file f; dos2unix missing
echo "status $?"; printf '\xff\xfea\0\r\0\n\0' >u; dos2unix u; od -c u; touch -d 2020-01-01 f; unix2dos -k f; stat -c %Y f; dos2unix -ih f
file -b --mime-type /bin/sh f u; file -L l; printf '#!/bin/sh\n' | file -; file missing
"""),
    Row("images", "e2fsprogs squashfs-tools xorriso mtools dosfstools", TREE + r"""
export PATH=$PATH:/sbin:/usr/sbin; rm tree/fifo
mke2fs -q -t ext4 -d tree -U 00000000-0000-0000-0000-000000000001 -E hash_seed=00000000-0000-0000-0000-000000000001 fs.img 8M
e2fsck -fn fs.img | tail -1 | cut -c1-30; debugfs -R 'ls -p /a' fs.img 2>/dev/null | cut -d/ -f6
mkdir dumped; printf 'cd a\nwrite tree/run new\nrdump a/b /here/dumped\nquit\n' >cmds; debugfs -w -f cmds fs.img 2>&1 | grep -v '^debugfs'
find dumped 2>/dev/null | sort; debugfs -w fs.img; tune2fs -L name fs.img >/dev/null
dumpe2fs -h fs.img 2>/dev/null | grep -e name: -e 'Inode count'; resize2fs fs.img 12M 2>&1 | tail -2 | head -1 | cut -c1-30
mksquashfs tree sq.img -quiet -no-progress -all-time 0 -mkfs-time 0 -processors 2; unsquashfs -q -n -d sq sq.img
diff -r --no-dereference tree sq && echo alike; unsquashfs -l sq.img | wc -l
xorriso -outdev iso.img -volid X -map tree / -commit 2>/dev/null; xorriso -indev iso.img -find / 2>/dev/null | sort | head -5
xorriso -osirrox on -indev iso.img -extract /a iso 2>/dev/null; chmod -R u+w iso; diff -r --no-dereference tree/a iso && echo alike
mkfs.vfat -C -i 12345678 fat.img 2048 >/dev/null; export MTOOLS_SKIP_CHECK=1; mcopy -i fat.img -s tree/a ::/; mdir -i fat.img -b -/ ::
mmd -i fat.img ::/D; mcopy -i fat.img tree/run ::/D; mtype -i fat.img ::/D/run; mcopy -i fat.img ::/a/numbers back
cmp back tree/a/numbers; fsck.fat -n fat.img | tail -1
""", dialogue=((r"debugfs:  ", "pwd\n"), (r"debugfs:  ", "cat /run\n"), (r"debugfs:  ", "quit\n")), changes=(STAMP,), unread=r"\.img$"),
    Row("gpg", "gnupg", r"""
export GNUPGHOME=/here/gnupg; mkdir -m 700 gnupg
gpg --batch --passphrase '' --quick-gen-key 'U <u@example.org>' default default never 2>&1 | grep -c revocation; echo text >f
gpg --batch -q --clearsign f; gpg -q --verify f.asc 2>&1 | grep Good; gpg --batch -q -r u@example.org --trust-model always -e f
gpg --batch -q -d f.gpg; gpg --batch -q --passphrase secret --pinentry-mode loopback -c -o s.gpg f
gpg --batch -q --passphrase wrong --pinentry-mode loopback -d s.gpg; echo "status $?"
gpg --batch -q --passphrase secret --pinentry-mode loopback -d s.gpg
gpg --export -a >key.asc; gpg --list-keys --with-colons | cut -d: -f1 | xargs; sed -i 's/text/other/' f.asc; gpg -q --verify f.asc
echo "status $?"; gpg --edit-key u@example.org; mkdir -m 700 two; GNUPGHOME=/here/two gpg -q --import key.asc
GNUPGHOME=/here/two gpg --list-keys --with-colons | grep -c ^pub; gpg --print-md sha256 f; gpgconf --kill all
gpgconf --homedir /here/two --kill all; gpg-connect-agent 'keyinfo --list' /bye 2>/dev/null | wc -l; gpgconf --kill all
until_true 10 sh -c '! pgrep gpg-agent'
""", dialogue=((r"gpg> ", "uid 1\n"), (r"gpg> ", "quit\n")), changes=(STAMP, HASH, (r"\b[0-9A-F]{16,40}\b", "<key>"),
        (r"\w{3} +\d+ \w{3} +\d{4}.*|\w{3} \w{3} +\d+ .*", "<date>")),
        unlisted=r"^/here/(gnupg|two)/|^/run/", unread=r"\.(gpg|asc)$", limit=120),
    Row("openssl", "openssl", r"""
openssl genrsa -out key.pem 2048 2>/dev/null
openssl req -new -x509 -key key.pem -subj /CN=localhost -days 3650 -set_serial 1 -out cert.pem
openssl x509 -in cert.pem -noout -subject -issuer; openssl verify -CAfile cert.pem cert.pem; echo text >f; openssl dgst -sha256 f
openssl dgst -sha256 -sign key.pem -out sig f
openssl dgst -sha256 -verify <(openssl rsa -in key.pem -pubout 2>/dev/null) -signature sig f
openssl enc -aes-256-cbc -pbkdf2 -pass pass:x -in f -out e; openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:x -in e
openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:y -in e >/dev/null 2>&1; echo "status $?"
mkdir ca; touch ca/index; echo 01 >ca/serial
cat >conf <<'END'
[ca]
default_ca=d
[d]
dir=ca
database=ca/index
serial=ca/serial
new_certs_dir=ca
certificate=cert.pem
private_key=key.pem
default_md=sha256
policy=p
default_days=10
[p]
commonName=supplied
END
openssl req -new -key key.pem -subj /CN=two -out two.csr
openssl ca -config conf -in two.csr -out two.pem
serve 4433 openssl s_server -accept 127.0.0.1:4433 -cert cert.pem -key key.pem -www -quiet
(printf 'GET / HTTP/1.0\r\n\r\n'; sleep 0.3) |
openssl s_client -quiet -CAfile cert.pem -verify_return_error -connect 127.0.0.1:4433 2>/dev/null | grep -c -i cipher |
sed 's/[1-9][0-9]*/some/'
stop; openssl nosuch 2>&1 | head -1; openssl rand -hex 8 | wc -c
""", dialogue=((r"Sign the certificate\? \[y/n\]:", "y\n"), (r"commit\? \[y/n\]", "y\n")),
        changes=((r"\w{3} +\d+ [\d:]+ \d{4} GMT", "<date>"), (r"[0-9a-f]{64}", "<sum>")),
        unread=r"^/here/(.*\.(pem|csr)|sig|e|ca/.*|server\.log)$"),
)
