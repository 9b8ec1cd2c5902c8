"""Version control: repositories that are made, changed by several hands, served and merged."""

from __future__ import annotations

from ..row import Row

#: What several of them print of the moment.
HASH = (r"\b[0-9a-f]{40}\b|\b[0-9a-f]{64}\b", "<hash>")
STAMP = (r"\b\d{4}[-./]\d\d[-./]\d\d([ T.]\d\d[:.]\d\d[:.]\d\d)?(\.\d+)?( [+-]\d{4}|Z)?( \(\w+, \d+ \w+ \d+\))?", "<stamp>")
CLOCK = (r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun),? (\w{3} +\d+|\d+ \w{3}) [\d: ]+\d", "<clock>")

ROWS = (
    Row("git", "git", r"""
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' GIT_PAGER=cat
git config --global user.name U; git config --global user.email u@example.org; git config --global init.defaultBranch main
git config --global pack.threads 1; git config --global gc.auto 0; git config --global color.ui false
git init -q one; cd one
printf '#!/bin/sh\necho "hook in $PWD as $(id -u): $(git diff --cached --name-only | xargs)"\n' >.git/hooks/pre-commit
chmod +x .git/hooks/pre-commit
seq 40 >numbers; mkdir -p a/b; ln -s ../../numbers a/b/link; echo x >'a/with space'; printf '*.o\n' >.gitignore; touch junk.o
git add .; git commit -q -m first; git status --short --ignored
git checkout -q -b side; sed -i '3s/$/ side/;30s/$/ side/' numbers; git commit -qam side
git checkout -q main; sed -i '3s/$/ main/' numbers; git commit -qam main
git merge side; git diff; git checkout --theirs numbers; git add numbers; git commit -q -m merged; git log --graph --oneline --all
sed -i '1s/$/ one/;39s/$/ last/' numbers
git add -p; git diff --cached --stat; git stash -q; git stash pop -q --index
git commit -qm half; git commit -qam rest; git mv numbers figures; git commit -qm moved; git log --follow --oneline figures
git worktree add -q ../tree side; git -C ../tree status -sb; git worktree list
git tag -a v1 -m one; git describe; git archive --format=tar v1 | tar -t
git bisect start HEAD v1~4 >/dev/null; git bisect run sh -c '! grep -q last figures 2>/dev/null' | tail -3; git bisect reset 2>/dev/null
git daemon --reuseaddr --listen=127.0.0.1 --port=9418 --export-all --base-path=/here --pid-file=/here/pid /here 2>/dev/null & listening 9418
git clone -q git://127.0.0.1/one ../two; git -C ../two log --oneline | wc -l; kill %1; wait
git repack -qadf; git fsck --full; git count-objects -v | grep -v size; git gc -q --prune=now
git clone -q --bare . ../bare.git; git push -q ../bare.git HEAD:refs/heads/pushed; git -C ../bare.git branch
git blame -s figures | head -3
git -c protocol.file.allow=always submodule --quiet add /here/bare.git sub; git submodule status; git -C ../two pull -q 2>&1 | tail -1
git grep -n last
""", dialogue=((r"this hunk.*\? ", "y\n"), (r"this hunk.*\? ", "n\n")),
        unread=r"/(index|worktrees/tree/index|multi-pack-index)$", unlisted=r"^/here/pid$"),
    Row("mercurial", "mercurial", r"""
printf '[ui]\nusername = u\nmerge = internal:merge\n[hooks]\ncommit = echo hook in $(pwd): $HG_NODE\n[extensions]\nrebase =\n' >~/.hgrc
hg init one; cd one
seq 40 >numbers; mkdir -p a/b; ln -s ../../numbers a/b/link; echo x >'a/with space'; printf 'syntax: glob\n*.o\n' >.hgignore; touch junk.o
hg commit -qA -m first -d '0 0'; hg status -A
hg branch -q side; sed -i '3s/$/ side/;30s/$/ side/' numbers; hg commit -q -m side -d '1 0'
hg update -q default; sed -i '3s/$/ main/' numbers; hg commit -q -m main -d '2 0'
hg merge side; hg resolve -l; hg revert -q -r side numbers; hg resolve -qm numbers; hg commit -q -m merged -d '3 0'
hg log -G -T '{rev}:{node|short} {branch} {desc}\n'
hg mv -q numbers figures; hg commit -q -m moved -d '4 0'; hg log -f -T '{rev} {desc}\n' figures; hg annotate figures | head -3
hg tag -d '5 0' v1; hg archive ../archive; find ../archive -type f | sort
hg serve -d -a 127.0.0.1 -p 8000 --pid-file /here/pid >/dev/null; listening 8000
hg clone -q http://127.0.0.1:8000/ ../two; hg -R ../two log -T '{rev}\n' | wc -l; kill $(cat /here/pid); gone /here/pid
cd ../two; echo more >>figures; hg commit -q -m more -d '6 0'; hg push -q ../one; hg -R ../one verify; hg -R ../one update
hg bundle -qa ../bundle; hg incoming -q ../bundle
hg rollback --config ui.rollback=true -q; hg status; hg strip --config extensions.strip= -q . ; hg shelve -q; hg unshelve -q; hg status
""", unread=r"/\.hg/(dirstate|undo.*|cache/.*|wcache/.*|last-message.*)|\.hg/store/(fncache|undo.*|00changelog.*)$",
        unlisted=r"^/here/pid$|/\.hg/(wcache|cache|undo)", limit=240),
    Row("subversion", "subversion", r"""
svnadmin create repository; R=file:///here/repository
printf '#!/bin/sh\necho "hook in $PWD: $2" >>/here/hook.log\n' >repository/hooks/post-commit; chmod +x repository/hooks/post-commit
mkdir -p import/trunk import/branches; seq 40 >import/trunk/numbers; ln -s numbers import/trunk/link
printf '#!/bin/sh\n' >import/trunk/run; chmod +x import/trunk/run
svn import -q -m first import $R; svn checkout $R/trunk one; cd one; svn propset -q svn:keywords Rev numbers; svn commit -q -m keywords
svn copy -q -m side $R/trunk $R/branches/side; svn switch -q $R/branches/side; sed -i '3s/$/ side/;30s/$/ side/' numbers
svn commit -m side; svn switch -q $R/trunk
sed -i '3s/$/ main/' numbers; svn commit -q -m main; svn update -q; svn merge $R/branches/side
svn status; svn resolve --accept theirs-full numbers; svn commit -q -m merged; svn move -q numbers figures; svn mkdir -q dir
svn commit -q -m moved; svn update
svn log -q; svn diff -r 2:4 | head -20; svn blame figures | head -3; svn proplist -v run
printf '[general]\nanon-access = write\n' >../repository/conf/svnserve.conf
serve 3690 svnserve -d --foreground --listen-host 127.0.0.1 -r /here; svn checkout -q svn://127.0.0.1/repository/trunk ../two; cd ../two
echo more >>figures; svn commit -m more; svn list -R svn://127.0.0.1/repository; stop
svnadmin verify -q ../repository; svnadmin dump -q ../repository | grep -c ^Node-path; cd ../one; svn update; svn cleanup
svn export -q . ../out; find ../out | sort; cat ../hook.log
""", changes=(STAMP, CLOCK, (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>")),
        unread=r"\.svn/wc\.db|/repository/db/(revs|rep-cache|revprops|uuid|txn|transactions|current|fs-type|.*-lock)"),
    Row("fossil", "fossil", r"""
export FOSSIL_USER=u; D=--date-override; fossil settings --global backoffice-disable 1
fossil init $D 2020-01-01T00:00:00 -A u repository | grep -v password; mkdir one; cd one
fossil open ../repository >/dev/null
seq 40 >numbers; mkdir a; echo x >'a/with space'; fossil addremove; fossil commit --no-warnings $D 2020-01-01T00:00:01 -m first
fossil branch new side trunk $D 2020-01-01T00:00:02; fossil update side >/dev/null; sed -i '3s/$/ side/;30s/$/ side/' numbers
fossil commit --no-warnings $D 2020-01-01T00:00:03 -m side
fossil update trunk >/dev/null; sed -i '3s/$/ main/' numbers; fossil commit --no-warnings $D 2020-01-01T00:00:04 -m main; fossil merge side
fossil changes
sed -i '/^[<>|+=#]\{7\}/d' numbers; fossil commit --no-warnings --allow-conflict $D 2020-01-01T00:00:05 -m merged
fossil timeline -n 9 -t ci
serve 8080 fossil server --localhost --port 8080 ../repository; mkdir ../two; cd ../two
fossil clone http://127.0.0.1:8080/ ../clone -A u | grep -v -i -e password -e round -e sent; fossil open ../clone >/dev/null; ls
wc -l numbers
stop
fossil settings autosync off; fossil mv numbers figures; mv numbers figures
fossil commit --no-warnings $D 2020-01-01T00:00:06 -m moved 2>&1 | grep -v -e Autosync -e Round; fossil finfo figures | head -2
fossil test-integrity ../clone | tail -1
pkill -x fossil; until_true 20 sh -c "! pgrep -x fossil" # the server has left a child
fossil diff --from side --to trunk | head -12; fossil annotate figures | head -2; fossil sql "select count(*) from blob"; fossil extras
""", changes=((r"\b[0-9a-f]{10,64}\b", "<hash>"), STAMP, (r"\d+\.\d+%|[\d,]+ bytes|\d+ms", "<n>"),
        (r"password is .*|server-id.*|project-id.*", "<id>")),
        unread=r"^/here/(repository|clone|one/\.fslckout|two/\.fslckout)|/\.fossil$|/\.config/|server\.log"),
    Row("rcs", "rcs", r"""
mkdir RCS; seq 5 >file; touch -d 2020-01-01 file
ci -l -wu file
echo six >>file; ci -l -wu -m'second' -q file; rlog -h file; rcsdiff -r1.1 -r1.2 file
co -q -p1.1 file | wc -l; cp file mine; sed -i '1s/$/ mine/' mine; cp file theirs; sed -i '5s/$/ theirs/' theirs
merge -p mine file theirs
sed -i '1s/$/ theirs/' theirs; merge -p -q mine file theirs; echo "conflict: $?"; rcs -nstable:1.1 -q file; co -q -f -rstable -u file
ls -l file | cut -c1-10; cat file
rcs -q -l file; ident /dev/null; rcsclean -n file; echo x >other; ci -u -wu -t-text -q other </dev/null
rlog file | grep -v -e date -e '^---'
""", dialogue=((r"^>> ", "what it is\n"), (r"^>> ", ".\n")), changes=(STAMP, (r"\d{4}\.\d\d\.\d\d\.\d\d\.\d\d\.\d\d", "<stamp>"))),
    Row("cvs", "cvs", r"""
export CVSROOT=/here/repository CVS_RSH=false; cvs init; mkdir import; cd import; seq 40 >numbers; echo x >other
cvs import -m first project vendor start; cd ..
cvs checkout -d one project; cd one; cvs tag -b side >/dev/null 2>&1; sed -i '3s/$/ main/' numbers; cvs commit -m main
cvs -Q update -r side; sed -i '3s/$/ side/' numbers; cvs -Q commit -m side
cvs -Q update -A; cvs update -j side; cvs diff -u | grep '^[-+]'; sed -i '/^[<>=]\{7\}/d' numbers; cvs commit -m merged
CVSROOT=:fork:/here/repository cvs -Q checkout -d two project
CVSROOT=:fork:/here/repository cvs -Q rlog -h project | grep -e head -e total
cvs log numbers | grep -v -e date: -e '^---'; cvs annotate -r 1.1 other 2>&1 | tail -1; cvs status other; rm other; cvs remove other
cvs commit -m gone; cd ..; cvs release -d two
cvs export -D tomorrow -d out project; find out -type f | sort
""", dialogue=((r"directory .two.: ", "y\n"),), changes=(STAMP, CLOCK, (r"\d{4}\.\d\d\.\d\d\.\d\d\.\d\d\.\d\d", "<stamp>"),
        (r"\d\d-\w{3}-\d\d", "<day>"),
        (r"commitid\s+\w+|Commit Identifier:\s+\w+", "<id>"), (r"\d+ \w{3} \d{4} [\d:]+ -0000", "<stamp>")),
        unread=r"/CVSROOT/(history|val-tags)$"),
    Row("quilt", "quilt patch", r"""
export QUILT_PATCHES=patches QUILT_PAGER=; mkdir a; seq 20 >a/numbers; echo x >a/other
quilt new first.patch; quilt add a/numbers; sed -i '3s/$/ first/' a/numbers; quilt refresh --no-timestamps
quilt new second.patch; quilt add a/numbers a/new; sed -i '3s/$/ second/;18s/$/ second/' a/numbers; echo new >a/new
quilt refresh --no-timestamps; quilt series -v; quilt diff --no-timestamps
quilt pop -a; sed -i '18s/$/ elsewhere/' a/numbers; quilt push; quilt push; echo "status $?"; find . -name '*.rej' -exec cat {} +
quilt push -f; quilt pop -af; cat a/numbers; quilt delete second.patch; quilt applied; quilt unapplied
"""),
)
