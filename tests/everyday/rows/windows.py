"""X clients on an Xvfb that runs inside the guest, too, and programs of the desktop's bus."""

from __future__ import annotations

from ..row import DATES, PIDS, SECONDS, TIMES, Row

BUSY = (TIMES, DATES, SECONDS, PIDS)
DISPLAY = r"""
x_answers() { DISPLAY=:7 timeout 2 xdpyinfo; }
Xvfb :7 -screen 0 800x600x24 -nolisten tcp -noreset >>/here/server.log 2>&1 & server=$!
until_true 30 x_answers
export DISPLAY=:7
"""
X = "xvfb x11-utils xdotool x11-xserver-utils "
XLOG = "server.log"

ROWS = (
    Row("xdpyinfo", X, DISPLAY + r"""
xdpyinfo | grep -E 'dimensions|depth of root|vendor string|number of screens'; xprop -root | head -n 3
xset q | sed -n 2,4p; xlsclients -l; xrdb -query
echo 'one*two: three' | xrdb -merge; xrdb -query; xsetroot -solid red; xwininfo -root | grep -E 'Width|Height|Depth'
stop
ls /tmp/.X11-unix /tmp/.X*-lock
""", BUSY, unread=XLOG),
    Row("xterm", X + "xterm", DISPLAY + r"""
xterm -T typed -e bash --norc & term=$!
until_true 20 xdotool search --onlyvisible --name typed
id=$(xdotool search --onlyvisible --name typed | tail -n 1)
printf '%s\n' 'echo "$TERM $((6*7))" >/here/out; stty size >>/here/out; tty >>/here/out; exit' >commands
xdotool windowfocus --sync "$id"
# the first letters may be lost before the focus has come
typed_in() { xdotool type --delay 30 ' . /here/commands
'; sleep 1; test -s /here/out; }
until_true 20 typed_in
gone $term; cat out
stop
""", ((r"/dev/pts/\d+", "<tty>"), *BUSY), unread=XLOG, unlisted="/home/user"),
    Row("xclock", X + "x11-apps imagemagick", DISPLAY + r"""
xclock -update 60 2>errors & one=$!; xeyes -geometry 100x100+300+300 2>>errors & two=$!
until_true 20 xdotool search --name xclock; until_true 20 xdotool search --name xeyes
xwininfo -root -tree | grep -c -E 'xclock|xeyes'
xdotool mousemove 350 350; xdotool getmouselocation | cut -d' ' -f1,2
xwd -root -silent | convert xwd:- -format '%wx%h\n' info:
kill $one; wait $one; xkill -id "$(xdotool search --name xeyes | head -n 1)" 2>&1 | grep -c killing; wait $two; cat errors
stop
""", BUSY, unread=XLOG),
    Row("xclip", X + "xclip xsel", DISPLAY + r"""
echo 'on the clipboard' | xclip -selection clipboard; until_true 10 xclip -o -selection clipboard
xclip -o -selection clipboard; xsel -b -o
seq 50000 | xsel -p -i; until_true 10 xclip -o -selection primary -t TARGETS; xclip -o -selection primary | sha256sum
xclip -o -selection secondary 2>&1; echo $?
pkill xclip; pkill xsel; until_true 5 sh -c '! pgrep xclip && ! pgrep xsel'
stop
""", BUSY, unread=XLOG, unlisted="/home/user"),
    Row("zenity", X + "zenity dbus-x11", DISPLAY + r"""
export XDG_RUNTIME_DIR=/here NO_AT_BRIDGE=1
zenity --entry --title=asking --text=name >answer 2>err & one=$!
until_true 30 xdotool search --name asking
id=$(xdotool search --name asking | tail -n 1)
answered() { xdotool windowfocus "$id"; xdotool type --delay 30 x; xdotool key Return; sleep 1; ! kill -0 $one; }
until_true 30 answered
wait $one; echo $?; tr -d 'x\n' <answer | wc -c
zenity --info --timeout=1 --text=x 2>/dev/null; echo $?
stop
""", BUSY, unread="server.log|err|answer", unlisted="/home/user|/here/(dconf|at-spi)", limit=120),
    Row("imagemagick", "imagemagick", r"""
convert -size 60x40 gradient:red-blue -depth 8 a.ppm; convert a.ppm -rotate 90 b.png; identify b.png | cut -d' ' -f1-4
convert b.png -resize 50% c.jpg
compare -metric AE a.ppm a.ppm null: 2>&1; echo; montage a.ppm b.png -geometry +1+1 -depth 8 m.ppm
identify -format '%wx%h\n' m.ppm; convert a.ppm txt:- | sed -n 1,3p
""", unread="png|jpg|ppm"),
    Row("dconf", "dconf-cli libglib2.0-bin dbus", r"""
cat >session <<'END'
export XDG_CONFIG_HOME=/here/config XDG_RUNTIME_DIR=/here
gdbus call --session -d org.freedesktop.DBus -o / -m org.freedesktop.DBus.NameHasOwner org.freedesktop.DBus
gdbus introspect --session -d org.freedesktop.DBus -o /org/freedesktop/DBus | grep -c method
gio info -a standard::type,standard::size /etc/hostname; gio copy /etc/hostname copied; cat copied
gio list /here | sort; gio trash none 2>&1; echo $?
END
dbus-run-session -- bash session
until_true 10 sh -c '! pgrep dbus-daemon'
""", (*BUSY, (r"pyroot-program-\w+", "<world>")), unlisted="^/tmp/dbus"),
)
