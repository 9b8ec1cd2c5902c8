"""Servers of mail, as an ordinary user on loopback: one that takes letters, one that shows them."""

from __future__ import annotations

from ..row import Row
from .servers import LOGGED

ROWS = (
    Row("exim", "exim4-daemon-light", r"""
mkdir -p mail spool log
cat >exim.conf <<'END'
exim_user = nobody
exim_group = nogroup
spool_directory = /here/spool
log_file_path = /here/log/%s
daemon_smtp_ports = 2525
local_interfaces = 127.0.0.1
primary_hostname = here.example
domainlist local = here.example
never_users =
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = accept
keep_environment =
begin routers
all:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = /here/mail/box
  user = nobody
  group = nogroup
begin retry
* * F,1h,10m
END
exim4 -C /here/exim.conf -bV | head -n 1; exim4 -C /here/exim.conf -bt user@here.example
printf '%s\r\n' 'EHLO x' 'MAIL FROM:<a@b>' 'RCPT TO:<user@here.example>' DATA 'Subject: one' '' body . QUIT |
exim4 -C /here/exim.conf -odi -bs
until_true 5 grep -q body mail/box; grep -E 'Subject|body' mail/box
serve 2525 exim4 -C /here/exim.conf -bdf -odi
python3 - <<'END'
import smtplib
one = smtplib.SMTP("127.0.0.1", 2525, "client.example")
print(one.ehlo()[0], one.sendmail("a@b", ["user@here.example", "two@here.example"], b"Subject: two\r\n\r\nsecond body\r\n"), one.quit())
END
until_true 10 grep 'second body' mail/box; grep -c Subject mail/box; stop
""", ((r"\b\w{6}-\w{6,11}-\w{2,4}\b", "<id>"), *LOGGED), unread="/here/(log|mail|spool)/|server.log"),
    Row("dovecot", "dovecot-imapd", r"""
mkdir -p Maildir/new Maildir/cur Maildir/tmp base; printf 'Subject: hi\n\nbody\n' >Maildir/new/1.a.b
cat >d.conf <<END
base_dir = /here/base
state_dir = /here/base
mail_location = maildir:/here/Maildir
log_path = /here/log
protocols = imap
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
first_valid_uid = 1
first_valid_gid = 1
ssl = no
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/here
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    address = 127.0.0.1
    port = 1143
  }
  inet_listener imaps {
    port = 0
  }
}
END
serve 1143 dovecot -F -c /here/d.conf
python3 - <<'END'
import imaplib
one = imaplib.IMAP4("127.0.0.1", 1143)
print(one.login("nobody", "x")[0], one.select(), one.fetch("1", "(flags body[header.fields (subject)])"))
print(one.store("1", "+flags", "\\Seen"), one.create("box"), one.copy("1", "box")[0], one.list())
print(one.append("box", None, None, b"a: b\n\nc")[0])
print(one.select("box"), one.search(None, "ALL"), one.logout())
END
doveadm -c d.conf mailbox list; doveadm -c d.conf stop; wait "$server"; echo "ended with $?"
find Maildir -name cur -exec sh -c 'ls "$1" | wc -l' - {} \;
""", LOGGED, unread="/here/(log|Maildir/.*)", unlisted="/here/base/|/here/Maildir/.*(cur|uidvalidity)"),
)
