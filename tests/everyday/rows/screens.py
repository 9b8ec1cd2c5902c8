"""Full-screen programs, on a terminal of 80 by 24 that the guest's tmux provides."""

from __future__ import annotations

from ..row import DATES, PIDS, SECONDS, TIMES, Row

BUSY = (TIMES, DATES, SECONDS, PIDS)  # what changes with every look at the machine
TREE = "mkdir -p t/sub; seq 50 >t/numbers; echo text >t/sub/file; ln -s numbers t/link; printf 'a\\0b' >t/binary\n"

ROWS = (
    Row("vim", "vim", r"""
printf 'one\ntwo\n' >text
screen vim -u NONE -i NONE -n text
see two
keys G o; say 'three'; keys Escape
say ':r !echo from a child; pwd'; keys Enter
see from.a.child
say ':sp /etc/hostname'; keys Enter
see programs
shot
say ':wqa'; keys Enter
finish
cat text
"""),
    Row("vim-swap", "vim", r"""
printf 'one\n' >text
screen vim -u NONE -i /here/info text
see one
say 'ochanged'; keys Escape; say ':preserve'; keys Enter; see preserved
ls -a | sort
pid=$(pgrep -x vim); kill -9 $pid; gone $pid
hang_up
screen vim -u NONE -i /here/info -r text
see 'Recovery completed'
keys Enter; see changed
say ':wq'; keys Enter
finish
cat text
""", (*BUSY,), unread="swp|info"),
    Row("nano", "nano", r"""
screen nano new
see 'New Buffer\|new'
say 'first line'; keys Enter; say 'second'
keys C-r; say '/etc/hostname'; keys Enter
see programs
shot
keys C-o; see 'File Name'; keys Enter; see Wrote; keys C-x
finish
cat new
"""),
    Row("less", "less", r"""
seq 1000 | sed 's/^/line /' >text; gzip -k text
screen less text
see 'line 23'
say /777; keys Enter; see 'line 777'
shot
say '!echo a child of less >made'; keys Enter; see done; keys Enter
say 'G'; see 'line 1000'; say '-N'; keys Enter; see '1000 line'
shot
say q; finish
cat made
LESSOPEN='|lesspipe %s' screen less text.gz; see 'line 23'; shot; say q; finish
""", unread="text.gz"),
    Row("htop", "htop", r"""
sleep 900 & one=$!
screen htop --no-color -d 5
see F10Quit
keys F4; say 'sleep 900'; keys Enter
see 'sleep 900'
shown | grep -c 'sleep 900' >/dev/null && echo found
keys F9; see 'Send signal'; keys Enter
gone $one; wait $one; echo "sleep ended with $?"
keys F10
finish
find ~/.config/htop -type f | sort
""", BUSY, unread="htoprc"),
    Row("top", "procps", r"""
sleep 901 & one=$!
screen top -d 60 -u nobody
see COMMAND
shown | grep -c sleep
say k; see 'to signal'; say $one; see "] $one"; keys Enter; see 'Send pid'; keys Enter
gone $one; wait $one; echo "sleep ended with $?"
say q
finish
top -b -n 1 | sed -n '7p'; top -b -n 2 -d 0.1 -p $$ | grep -c bash
""", BUSY),
    Row("watch", "procps", r"""
echo before >state
screen watch -n 0.2 'cat state; pwd'
see before
echo after >state
see after
shown | sed -n '3,$p' | grep .
keys C-c
finish
"""),
    Row("mc", "mc", TREE + r"""
screen mc -b -u /here/t /here/t/sub
see 10Quit
keys Down Down; shown | sed -n '2,8p' | cut -c1-12
say 'echo from the subshell >made'; keys Enter
until_true 10 test -s t/made
keys F7; see 'directory name'; say 'new dir'; keys Enter; until_true 10 test -d 't/new dir'
keys Tab; keys F10; see 'ended with\|quit'; shown | grep -q 'really want' && keys Enter
finish
cat t/made; find t | sort
""", BUSY, unlisted="/home/user/(.cache|.config|.local)|/tmp/mc"),
    Row("tmux", "tmux", r"""
export TMUX=
printf 'set -g status-right ""\nset -g status-left "[#S] "\nset -g automatic-rename off\n' >conf
printf '%s\n' '#!/bin/bash' "PS1='> ' exec bash --norc" >shell; chmod +x shell
screen tmux -L inner -f /here/conf new-session -s in -n first /here/shell
see '>'
say 'echo $((6*7)) in $TERM'; keys Enter; see '42 in'
keys C-b; say '%'; until_true 5 sh -c 'test $(tmux -L inner list-panes | wc -l) = 2'; see nobody@programs
tmux -L inner send-keys -t in:0.1 'PS1=2\>; stty size; tty' Enter; see '24 40\|23 39'
shot
keys C-b; say d; finish
tmux -L inner list-sessions -F '#S #{session_windows}'; inner=$(tmux -L inner display-message -p '#{pid}')
tmux -L inner kill-server; echo $?; gone $inner; until_true 10 sh -c '! pgrep -x bash -a | grep norc'
""", ((r"/dev/pts/\d+", "<tty>"), (r"nobody@programs:\S*", "<prompt>"), *BUSY), unlisted="bash_history"),
    Row("screen", "screen", r"""
mkdir -m 700 dir; export SCREENDIR=/here/dir
screen "SCREENDIR=/here/dir /usr/bin/screen -S name bash --norc"
see 'bash.*\$'
say 'echo $((6*7)) in $WINDOW'; keys Enter; see '42 in 0'
say 'tty >seen'; keys Enter; until_true 10 test -s seen
keys C-a d; see detached
/usr/bin/screen -ls | grep -c name
/usr/bin/screen -S name -X stuff 'echo stuffed >made\n'; until_true 10 test -s made; cat made
/usr/bin/screen -S name -X quit; finish
""", BUSY),
    Row("emacs", "emacs-nox", r"""
printf 'alpha\nbeta\n' >text
screen emacs -nw -Q text
see beta
keys M-\>; say 'gamma'; keys C-x C-s; see Wrote
keys M-!; see 'Shell command'; say 'echo from emacs; pwd'; keys Enter; see 'from emacs'
keys C-x 1; see gamma
keys M-x; say 'shell'; keys Enter; see '\$'; say 'echo $((40+2)) inside'; keys Enter; see '42 inside'
say 'exit'; keys Enter; see finished
keys C-x C-c
finish
cat text
emacs --batch -Q --eval '(progn (find-file "text") (insert "batch\n") (save-buffer)
  (message "%s" (shell-command-to-string "wc -l text")))' 2>&1
""", BUSY, limit=120, unlisted="/home/user/.emacs.d|/tmp/(emacs|libgccjit)-"),
    Row("mutt", "mutt", r"""
cat >box <<'END'
From a@b Mon Jan  1 00:00:00 2024
From: a@b
Subject: first letter
Date: Mon, 1 Jan 2024 00:00:00 +0000

body one

From c@d Mon Jan  1 00:00:00 2024
From: c@d
Subject: second
Date: Mon, 1 Jan 2024 00:00:00 +0000

body two
END
printf '#!/bin/sh\ncat >/here/sent\n' >send; chmod +x send
echo 'set folder=/here sendmail=/here/send use_from=no realname=x hostname=here from=me@here' >rc
screen mutt -F /here/rc -f /here/box
see second
shot
keys Enter; see 'body'; say q; see second
say 'd'; say '|'; see 'Pipe'; say 'wc -l >piped'; keys Enter; until_true 5 test -s piped
see Press; keys Enter; returned() { holds q:Quit && ! holds Press; }; until_true 10 returned
say q; see 'Purge\|ended\|Move'; say y
see 'ended with\|Move' ; shown | grep -q Move && say n
finish
grep -c ^From: box; echo hello | mutt -F rc -s subject x@y; grep -E '^(To|Subject|hello)' sent
""", (*BUSY, (r"^Message-ID: .*|Message-ID: <[^>]*>", "<id>")), unread="/here/sent"),
    Row("ranger", "ranger", TREE + r"""
screen ranger --clean /here/t
see numbers
keys j; see Classification # it throws away what is typed before
say ':'; see '^:'; say 'mkdir made'; keys Enter; until_true 10 test -d t/made
see made
say ':'; see '^:'; say 'shell -s echo from ranger >t/out; echo $PWD >>/here/out'; keys Enter; until_true 10 test -s out
shown | grep -o -e made -e sub -e link | sort -u
say q
finish
cat out
""", BUSY, unlisted="pyc|/home/user|ranger-cache"),
    Row("nnn", "nnn", TREE + r"""
screen nnn /here/t
see numbers
keys Right; see file; say '!'; see '\$ *$'; say 'echo from nnn >made; pwd >>made; exit'; keys Enter; until_true 10 test -s t/sub/made
shown | grep -o -e file -e made | sort -u
say Q
finish
""", BUSY, unlisted="/home/user"),
    Row("w3m", "w3m", r"""
printf '<html><title>T</title><h1>Head</h1><a href="two.html">to two</a><table border=1><tr><td>a<td>b</table>' >one.html
echo '<p>the second page' >two.html
screen w3m one.html
see Head
shot
keys Tab Enter; see second
say '!'; see shell; say 'echo shell >made'; keys Enter; until_true 10 test -s made
keys Enter; see second; say q; see 'exit w3m'; say y
finish
w3m -dump one.html
""", unlisted="/home/user/.w3m"),
    Row("lynx", "lynx", r"""
printf '<html><title>T</title><h1>Head</h1><a href="two.html">to two</a><ul><li>a<li>b</ul>' >one.html; echo '<p>the second page' >two.html
screen lynx -nopause -cfg=/dev/null one.html
see Head
keys Right; see second
say '!'; see '\$'; say 'echo in a shell; exit'; keys Enter; see second
say q; see quit; say y
finish
lynx -cfg=/dev/null -dump one.html
""", BUSY, unlisted="/home/user"),
    Row("dialog", "dialog", r"""
screen "dialog --menu 'Which one?' 12 40 3 1 first 2 second 3 third 2>answer"
see third
keys Down; shot; keys Enter
finish
cat answer; echo
screen "dialog --inputbox 'Name?' 8 40 2>answer"; see Name; say 'some text'; see 'some text'; keys Enter; finish; cat answer; echo
(for i in 10 50 100; do echo $i; done) >steps; screen "dialog --gauge 'Wait' 8 40 <steps"; finish
screen "dialog --yesno 'Sure?' 8 40"; see Sure; keys Tab Enter; finish
"""),
    Row("whiptail", "whiptail", r"""
screen "whiptail --checklist 'Some?' 12 40 3 1 first off 2 second off 3 third on 2>answer"
see third
keys Down Space; see '\[\*\] 2'; shot; keys Tab Enter
finish
cat answer; echo
screen "whiptail --yesno 'Sure?' 8 40"; see Sure; keys Tab Enter; finish
screen "whiptail --passwordbox 'Word?' 8 40 2>answer"; see Word; say secret; keys Enter; finish; cat answer; echo
"""),
    Row("ncdu", "ncdu", TREE + r"""
truncate -s 5M t/hole; head -c 3000000 /dev/zero >t/big
screen ncdu --color off /here/t
see Total
shot
keys d; see 'delete'; keys Left Enter; until_true 10 test ! -e t/big
say g; see Total; say q
finish
ncdu -o export /here/t 2>/dev/null; grep -o '"name":"[^"]*"' export | sort
""", (*BUSY, (r"KiB|[\d.]+ ?[KMG]iB", "<size>")), unread="/here/export"),
    Row("joe", "joe", r"""
printf 'one\n' >text
screen joe -nobackups text
see one
say 'zero '; keys C-k; say r; see 'insert'; say /etc/hostname; keys Enter; see programs
shown | head -n 3 # of its last line a letter of the question may be left
keys C-k x
finish
cat text
""", BUSY),
    Row("ne", "ne", r"""
printf 'one\n' >text
screen ne --no-config text
see one
say 'zero '; see 'zero one'; shot; keys C-s; until_true 10 grep zero text; keys C-q
finish
cat text
""", BUSY, unlisted="/home/user"),
    Row("zile", "zile", r"""
screen zile text
see text
say 'typed'; keys C-x C-s; see Wrote; keys M-!; see Shell; say 'echo child'; keys Enter; see child; shot; keys C-x C-c
finish
cat text
""", BUSY),
    Row("jed", "jed", r"""
screen jed -n text
see text
say 'typed in jed'; see typed; keys C-x C-s; until_true 5 test -s text; keys C-x C-c
finish
cat text
""", BUSY),
    Row("tig", "tig git", r"""
export GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
git config --global user.name a; git config --global user.email a@b
git init -q -b main r; cd r; for i in 1 2 3; do echo $i >f$i; git add .; git commit -q -m "commit $i"; done
screen tig
see 'commit 1'
shot
keys Down Enter; see 'f2'; shown | grep -o 'commit [123]' | sort -u; say Q
finish
""", BUSY, unlisted=r"\.git/|/home/user/.local"),
    Row("vifm", "vifm", TREE + r"""
screen vifm --no-configs /here/t /here/t/sub
see numbers
say ':mkdir made'; keys Enter; until_true 10 test -d t/made
say ':!echo from vifm >/here/out'; keys Enter; until_true 10 test -s out; see 'Press\|made'; keys Enter; see made
say ':qa'; keys Enter
finish
cat out
""", BUSY, unlisted="/home/user|/tmp/vifm"),
    Row("fzf", "fzf", r"""
seq 500 >numbers
screen "fzf <numbers >answer --no-color"
see 500/500
say 42; see '/500'; keys Up; keys Enter
finish
cat answer
"""),
    Row("micro", "micro", r"""
screen micro text
see text
say 'typed'; see typed; keys C-s; until_true 10 test -s text; keys C-q
finish
cat text
""", BUSY, unlisted="/home/user"),
    Row("hexedit", "hexedit", r"""
printf 'abcdefgh' >data
screen hexedit data
see abcd
say 7a7a; see zz; shot; keys C-x; see 'Save\|ended'; say y
finish
cat data
"""),
    Row("calcurse", "calcurse", r"""
mkdir c; printf '[1] a thing to do\n' >c/todo; touch c/apts c/conf c/keys
screen calcurse -D /here/c -q
see 'thing to do'
say Q; see 'ended\|Save\|quit'; shown | grep -q 'ended with' || say y
finish
calcurse -D /here/c -q -t
""", BUSY, unlisted="/here/c/"),
    Row("irssi", "irssi ngircd", r"""
cat >irc.conf <<'END'
[Global]
Name = irc.here
Info = x
Ports = 6667
Listen = 127.0.0.1
MotdPhrase = welcome here
[Limits]
MaxConnectionsIP = 0
[Options]
Ident = no
PAM = no
DNS = no
END
serve 6667 ngircd -n -f /here/irc.conf
screen irssi --home=/here/irssi -c 127.0.0.1 -p 6667 -n me
see 'welcome here'
say '/join #room'; keys Enter; see 'has joined #room'
(printf 'NICK you\r\nUSER you 0 * :you\r\n'; sleep 1; printf 'JOIN #room\r\nPRIVMSG #room :hello from nc\r\n'; sleep 1
printf 'QUIT\r\n') | nc -q 3 127.0.0.1 6667 >/dev/null
see 'hello from nc'
shown | grep -o 'you> hello from nc'
say '/exec -o echo done by a child'; keys Enter; see 'done by a child'
say '/quit'; keys Enter
finish
stop
""", BUSY, unread="server.log", unlisted="/here/irssi"),
)
