"""Interpreters and their ways to packages, children, threads and sockets, each with a dialogue at its prompt."""

from __future__ import annotations

from ..row import Row

ROWS = (
    Row("python", "python3 python3-venv", r"""
cat >m.py <<'END'
import asyncio, glob, mmap, multiprocessing as mp, os, shutil, socket, sqlite3, subprocess, sys, tempfile, threading
def square(n): return n * n
async def main():
    async def answer(r, w): w.write((await r.readline()).upper()); await w.drain(); w.close()
    server = await asyncio.start_unix_server(answer, "socket"); r, w = await asyncio.open_unix_connection("socket")
    w.write(b"hello\n"); print(await r.read()); w.close(); server.close()
    p = await asyncio.create_subprocess_exec("sh", "-c", "read x; echo got $x; exit 3", stdin=-1, stdout=-1);
    print(await p.communicate(b"text\n"), p.returncode)
if __name__ == "__main__":
    for way in ("fork", "spawn", "forkserver"):
        with mp.get_context(way).Pool(2) as pool: print(way, pool.map(square, range(5)))
    asyncio.run(main()); print(sys.executable, sys.prefix, os.getcwd(), __file__, os.path.realpath("/proc/self/exe"))
    with tempfile.TemporaryDirectory(dir=".") as d: shutil.copytree("/etc/default", d + "/x");
    print(len(glob.glob(d + "/**/*", recursive=True)) > 1)
    q = mp.Queue(); p = mp.Process(target=q.put, args=(os.uname().nodename,)); p.start(); print(q.get()); p.join();
    s = mp.shared_memory = None
    ts = [threading.Thread(target=subprocess.run, args=(["sh", "-c", f"echo {n} >t{n}"],)) for n in range(8)]; [t.start() for t in ts];
    [t.join() for t in ts]; print(sorted(glob.glob("t?")))
    print(subprocess.run(["nosuch"]) if shutil.which("nosuch") else "none", os.listdir("/proc/self/fd").__len__() < 9)
END
python3 m.py; python3 -c 'import os; os.chdir("/"); os.execv("/usr/bin/python3", ["python3", "-c", "import os; print(os.getcwd())"])'
python3 -m zipfile -c z.zip m.py; python3 -m zipfile -l z.zip | cut -c1-10; python3 -m compileall -q m.py; ls __pycache__
python3 -m unittest -q nosuch 2>&1 | tail -1
python3 -q
serve 8000 python3 -m http.server --bind 127.0.0.1 8000
python3 -c 'import urllib.request as u; print(len(u.urlopen("http://127.0.0.1:8000/m.py").read()))'; stop
""", dialogue=((r">>> ", "import os\n"), (r">>> ", "os.system('echo from a child')\n"),
        (r">>> ", "open('new', 'w').write(input('say: '))\n"), (r"^say: ", "it\n"), (r">>> ", "1/0\n"), (r">>> ", "exit(3)\n")),
        changes=((r"\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d", "<date>"),), unread=r"\.pyc$|z\.zip$|/\.python_history$", limit=120),
    Row("venv", "python3-venv", r"""
python3 -m venv env; . env/bin/activate; python -c 'import sys; print(sys.prefix, sys.base_prefix)'; pip --version; mkdir -p p/pkg
cat >p/setup.py <<'END'
from setuptools import setup
setup(name="pkg", version="1.0", packages=["pkg"], entry_points={"console_scripts": ["hello=pkg:main"]})
END
cat >p/pkg/__init__.py <<'END'
def main():
    print("hello from", __file__)
END
export PIP_DISABLE_PIP_VERSION_CHECK=1; pip install -q --no-index --no-build-isolation ./p 2>&1 | grep -v -i -e deprec -e notice; hello
pip list --format=freeze | cut -d= -f1; pip show -f pkg | grep -e Location -e hello; pip download --no-index -q nosuch 2>&1 | tail -1
pip install -q --no-index --no-build-isolation -e ./p 2>&1 | grep -v -i -e deprec -e notice; hello; pip uninstall pkg; hello
echo "status $?"; deactivate; python3 -m venv --copies --without-pip other; other/bin/python -c 'import sys; print(sys.executable)'
rm -rf env
""", dialogue=((r"\(Y/n\)\? ", "y\n"),), unread=r"\.pyc$|/other/bin/python", unlisted=r"__pycache__|^/home/user/\.cache", limit=180),
    Row("perl", "perl", r"""
cat >m.pl <<'END'
use strict; use threads; use Socket; use File::Temp 'tempdir'; use File::Find; use IO::Socket::UNIX; use POSIX ':sys_wait_h'; $| = 1;
pipe(my $r, my $w); if (!fork) { print $w "child in $ENV{PWD}\n"; exit 3 } close $w; print <$r>; wait; print $? >> 8, "\n";
print `echo shell \$0`; open(my $p, '|-', 'sort -n') or die; print $p "$_\n" for 3, 1, 2; close $p;
my $s = IO::Socket::UNIX->new(Local => 'socket', Listen => 1) or die $!;
if (!fork) { my $c = IO::Socket::UNIX->new('/here/socket') or die $!; print $c "hello\n"; exit } print $s->accept->getline; wait;
print join(' ', map { threads->create(sub { $_[0] ** 2 }, $_)->join } 1 .. 4), "\n";
my $d = tempdir(CLEANUP => 1, DIR => '.'); mkdir "$d/x"; symlink 'x', "$d/y"; my @f; find(sub { push @f, $_ }, $d); print scalar @f, "\n";
local @ARGV = 'in'; local $^I = '.orig'; while (<>) { s/a/b/; print } print -s 'in', "\n";
print join(' ', map { s{.*/}{}r } sort glob('/here/*.p[lm]')), "\n"; local $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; sleep 5;
print "$0 $^X ", (stat $0)[7] == -s $0, "\n"; exec 'sh', '-c', 'echo $PPID >/dev/null; exit 5';
END
echo aaa >in; perl m.pl; echo "status $?"; cat in in.orig
perl -MCwd -e 'chdir "/usr"; print getcwd(), "\n"'
perl -MSDBM_File -MFcntl -e 'tie my %h, "SDBM_File", "db", O_RDWR | O_CREAT, 0644 or die $!; $h{a} = 1; untie %h; print -s "db.pag", "\n"'
perl -e 'require "./nosuch.pl"'; perldoc -V 2>&1 | head -1 | cut -c1-3
printf 'my $x = 1;\n$x += 41;\nprint "$x\\n";\n' >m2.pl; perl -d m2.pl; perl -ne 'print if 2..3' m2.pl; perl -i -pe 's/41/42/' m2.pl
perl m2.pl; prove -e 'sh -c' 'echo 1..1; echo ok 1' 2>&1 | tail -1
""", dialogue=((r"DB<1> ", "n\n"), (r"DB<\d> ", "n\n"), (r"DB<\d> ", "p $x\n"), (r"DB<\d> ", "!! echo from a child\n"),
        (r"DB<\d> ", "q\n")), unlisted=r"^/here/\w{10}(/|$)"),
    Row("ruby", "ruby", r"""
cat >m.rb <<'END'
require 'fileutils'; require 'socket'; require 'tmpdir'; require 'open3'; require 'pty'; $stdout.sync = true
pid = fork { puts "child in #{Dir.pwd}"; exit 3 }; Process.wait pid; p $?.exitstatus; puts `echo shell`;
o, s = Open3.capture2('sort', stdin_data: "b\na\n"); p o, s.exitstatus
srv = UNIXServer.new('socket'); t = Thread.new { c = srv.accept; c.puts c.gets.upcase; c.close };
UNIXSocket.open('socket') { |c| c.puts 'hello'; puts c.gets }; t.join; p (1..4).map { |n| Thread.new { n**2 } }.map(&:value)
Dir.mktmpdir(nil, '.') { |d| FileUtils.mkdir_p "#{d}/a/b"; FileUtils.cp_r '/etc/default', d; p Dir["#{d}/**/*"].size > 2 };
IO.popen(%w[wc -c], 'r+') { |io| io << 'abc'; io.close_write; puts io.read.strip };
PTY.spawn('tty >/dev/null && echo terminal') { |r, *| puts r.gets }; p File.realpath('/proc/self/exe') =~ /ruby/, __FILE__, __dir__;
spawn('echo spawned >out', chdir: '/here'); Process.wait; trap('USR1') { puts 'signal' }; Process.kill :USR1, $$; sleep 0.1
srv = TCPServer.new('127.0.0.1', 0); Thread.new { k = srv.accept; k.write k.gets; k.close }; s = TCPSocket.new('127.0.0.1', srv.addr[1]);
s.puts 'tcp'; puts s.gets; begin; File.open('/missing/x', 'w'); rescue => e; puts e.message; end; exec 'sh', '-c', 'exit 5'
END
ruby m.rb; echo "status $?"; ruby -rfiddle -e 'p Fiddle.dlopen(nil)["getpid"] != 0'; ruby -i.bak -pe '$_.upcase!' out; cat out out.bak
gem env home 2>/dev/null | cut -c1-5; mkdir g
(cd g
cat >g.gemspec <<'END'
Gem::Specification.new { |s|
  s.name = "g"; s.version = "1"; s.summary = "g"; s.authors = ["u"]; s.files = ["g.rb"]; s.require_paths = ["."] }
END
echo 'G = 42' >g.rb; gem build -q g.gemspec 2>/dev/null >/dev/null; ls *.gem; gem install -q --local --no-document -i /here/gems g-1.gem)
GEM_PATH=/here/gems ruby -rg -e 'p G'; irb -f --nomultiline --nosingleline --nocolorize --prompt simple
""", dialogue=((r">> ", "`echo from a child`\n"), (r">> ", "File.write('new', gets)\n"), (r"gets\)\n", "it\n"), (r">> ", "exit 3\n")),
        unread=r"\.gem$|/gems/specifications/|/gems/cache/", unlisted=r"\.irb_history|^/home/user/\.(local|cache|gem)", limit=120),
    Row("lua", "lua5.4", r"""
cat >m.lua <<'END'
local f = assert(io.popen("echo child in $PWD; exit 3")); print(f:read("a")); print(f:close()); print(os.execute("exit 4"));
local o = assert(io.open("out", "w")); for i = 1, 3 do o:write(i, "\n") end; o:close(); for l in io.lines("out") do io.write(l, " ") end;
print(os.rename("out", "moved"), os.remove("missing")); print(io.open("/missing/x")); local m = require("mod");
print(m.x, package.searchpath("mod", "./?.lua")); print(arg[0], os.getenv("HOME")); local t = os.tmpname(); print(#t > 5, os.remove(t));
local p = io.popen("sort", "w"); p:write("b\na\n"); p:close(); os.exit(5)
END
echo 'return {x = 42}' >mod.lua; lua5.4 m.lua; echo "status $?"; luac5.4 -o m.luac mod.lua; lua5.4 -e 'print(dofile("m.luac").x)'
lua5.4 nosuch.lua; echo "status $?"; lua5.4 -i
""", dialogue=((r"> ", "print(6*7)\n"), (r"> ", "os.execute('echo from a child')\n"),
        (r"> ", "io.write('say: '); io.open('new','w'):write(io.read())\n"), (r"2004l\W*say: |^say: ", "it\n"), (r"> ", "os.exit(3)\n")),
        changes=((r"0x[0-9a-f]+", "<address>"),)),
    Row("tcl", "tcl expect", r"""
cat >m.tcl <<'END'
puts [exec echo child in [pwd]]; puts [catch {exec sh -c {exit 3}} m o]:[dict get $o -errorcode]; set f [open "|sort" r+]; puts $f "b\na";
close $f write; puts [read $f]; close $f; file mkdir d/e; file copy m.tcl d/e; puts [lsort [glob -directory d/e *]];
puts [catch {open /missing/x w} m]:$m; file link -symbolic l d; puts [file normalize l/e/..]:[file readlink l]
proc accept {c a p} { fileevent $c readable [list serve $c] }; proc serve {c} { puts $c [string toupper [gets $c]]; close $c;
set ::done 1 }; set s [socket -server accept -myaddr 127.0.0.1 0]; set c [socket 127.0.0.1 [lindex [fconfigure $s -sockname] 2]];
puts $c hello; flush $c; vwait done; puts [gets $c]; puts [info nameofexecutable]:[info script]; cd /usr; puts [pwd]; exit 5
END
tclsh m.tcl; echo "status $?"; cat >e.exp <<'END'
log_user 0; spawn sh; expect -re {[#$] }; send "echo \$((6*7)); tty | cut -c1-8\r"; expect -re {\n42} {puts found};
expect /dev/pts {puts terminal}; send "exit 7\r"; expect eof; puts [lindex [wait] 3]; spawn bc -q; send "2^10\r"; expect 1024 {puts bc};
close; wait; spawn nosuch
END
expect e.exp 2>&1 | head -5; tclsh
""", dialogue=((r"^% ", "exec echo from a child\n"), (r"^% ", "set f [open new w]; puts $f [gets stdin]; close $f\n"),
        (r"close \$f\n", "it\n"), (r"^% ", "exit 3\n")), changes=((r"CHILDSTATUS \d+", "CHILDSTATUS <n>"),)),
    Row("php", "php-cli", r"""
cat >m.php <<'END'
<?php echo shell_exec('echo child in $PWD'); exec('exit 3', $o, $r); echo $r, "\n";
$p = proc_open(['sort'], [['pipe', 'r'], ['pipe', 'w'], STDERR], $f, '/'); fwrite($f[0], "b\na\n"); fclose($f[0]);
echo stream_get_contents($f[1]), proc_close($p), "\n"; mkdir('d/e', 0755, true); copy(__FILE__, 'd/e/c'); symlink('d', 'l');
echo realpath('l/e'), ' ', implode(' ', glob('l/*')), "\n";
echo @file_put_contents('/missing/x', 'x') === false ? error_get_last()['message'] : 'yes', "\n"; $t = tempnam('/here', 'tmp');
unlink($t); $s = stream_socket_server('unix:///here/socket'); $c = stream_socket_client('unix:///here/socket');
fwrite(stream_socket_accept($s), "hello\n"); echo fgets($c); if (function_exists('pcntl_fork')) { if (!pcntl_fork()) { exit(4);
} pcntl_wait($w); echo pcntl_wexitstatus($w), "\n";
} foreach (new RecursiveIteratorIterator(new RecursiveDirectoryIterator('d', 4096)) as $x) echo $x, "\n";
echo PHP_BINARY, ' ', getcwd(), "\n"; $z = new PharData('p.tar'); $z->addFile('m.php'); echo count($z), "\n";
flock($h = fopen('lock', 'w'), LOCK_EX); echo flock(fopen('lock', 'w'), LOCK_EX | LOCK_NB) ? 'got' : 'locked', "\n"; exit(5);
END
php m.php; echo "status $?"
echo '<?php echo $_SERVER["REQUEST_URI"], " ", file_exists("m.php"), "\n"; file_put_contents("served", "1");' >index.php
serve 8000 php -S 127.0.0.1:8000 -t /here; php -r 'echo file_get_contents("http://127.0.0.1:8000/x?y=1");'; stop; ls served; php -l m.php
php nosuch.php; echo "status $?"; php -a
""", dialogue=((r"php > ", "echo `echo from a child`;\n"), (r"php > ", "file_put_contents('new', readline('say: '));\n"),
        (r"\nsay: |2004hsay: ", "it\n"), (r"php > ", "exit\n")),
        changes=((r"\w{3} \w{3} +\d+ [\d:]+ \d{4}", "<date>"), (r"\[\d+\] ", ""), (r"127\.0\.0\.1:\d{5}", "<client>"), (r"^exit\n", ""),
        (r"^(php > |say: )(.*)\n\2\n", r"\1\2\n")),
        unread=r"p\.tar$", unlisted=r"\.php_history|\.local"),
    Row("node", "nodejs", r"""
cat >m.mjs <<'END'
import {execSync, spawn, fork, spawnSync} from 'child_process'; import fs from 'fs'; import net from 'net'; import http from 'http';
import path from 'path'; import {Worker, isMainThread} from 'worker_threads'; import {once} from 'events';
import {fileURLToPath} from 'url';
console.log(execSync('echo child in $PWD').toString().trim(), spawnSync('sh', ['-c', 'exit 3']).status, spawnSync('nosuch').error.code);
const p = spawn('sort'); p.stdin.end('b\na\n'); for await (const d of p.stdout) process.stdout.write(d);
fs.writeFileSync('child.cjs', 'process.on("message", m => { process.send(m * 2); process.disconnect() })'); const c = fork('child.cjs');
c.send(21); console.log((await once(c, 'message'))[0]);
const w = new Worker('require("worker_threads").parentPort.postMessage(require("fs").readdirSync("/here").length > 0)', {eval: true});
console.log((await once(w, 'message'))[0]); fs.mkdirSync('d/e/f', {recursive: true}); fs.cpSync('d', 'g', {recursive: true});
fs.symlinkSync('g', 'l'); console.log(fs.realpathSync('l/e'), fs.realpathSync.native('l/e'), fs.readdirSync('.').sort().join(' '));
try { fs.openSync('/missing/x', 'w') } catch (e) { console.log(e.message) }
const seen = new Promise(r => { const t = fs.watch('d', (e, f) => { t.close(); r(f) }) }); fs.writeFileSync('d/new', 'x');
console.log('watch', await seen); const s = net.createServer(c => c.end('hello')).listen('socket'); await once(s, 'listening');
for await (const d of net.connect('socket')) console.log(d.toString()); s.close();
const h = http.createServer((q, r) => fs.createReadStream('child.cjs').pipe(r)).listen(0, '127.0.0.1'); await once(h, 'listening');
console.log((await (await fetch(`http://127.0.0.1:${h.address().port}/`)).text()).length); h.close();
console.log(process.execPath, process.cwd(), path.basename(fileURLToPath(import.meta.url)));
const one = n => fs.promises.writeFile(`d/${n}`, `${n}`).then(() => fs.promises.stat(`d/${n}`));
console.log((await Promise.all([...Array(40).keys()].map(one))).length);
process.on('SIGUSR2', () => { console.log('signal'); fs.rmSync('d', {recursive: true}); process.exit(5) });
process.kill(process.pid, 'SIGUSR2'); setTimeout(() => {}, 5000);
END
node --no-warnings m.mjs; echo "status $?"; ls; mkdir -p node_modules/m; echo 'exports.x = __filename' >node_modules/m/index.js
node -p 'require("m").x'; node -e 'require("nosuch")' 2>&1 | grep Error:
echo 'const c = require("cluster"); c.isPrimary ? c.fork().on("exit", s => console.log("cluster", s)) : process.exit(6)' >cluster.cjs
node --no-warnings cluster.cjs
NODE_REPL_HISTORY= TERM=dumb node -i
""", dialogue=((r"^> ", "6*7\n"), (r"^> ", "child_process.execSync('echo from a child').toString()\n"),
        (r"^> ", "fs.writeFileSync('new', 'it')\n"), (r"^> ", ".exit\n")), unlisted=r"^/tmp/", limit=120),
    Row("guile", "guile-3.0", r"""
cat >m.scm <<'END'
(use-modules (ice-9 popen) (ice-9 rdelim) (ice-9 threads) (ice-9 ftw)) (let ((p (open-input-pipe "echo child in $PWD; exit 3")))
(display (read-line p)) (newline) (display (status:exit-val (close-pipe p))) (newline)) (let ((pid (primitive-fork))) (if (= pid 0)
(primitive-exit 4) (begin (display (status:exit-val (cdr (waitpid pid)))) (newline)))) (display (par-map (lambda (n)
(* n n)) '(1 2 3 4))) (newline) (with-output-to-file "out" (lambda () (write '(a "b")))) (display (call-with-input-file "out" read))
(newline) (mkdir "d") (symlink "d" "l") (display (scandir "/here" (lambda (f) (string-prefix? "l" f)))) (display (canonicalize-path "l"))
(newline)
(define (refused k . r) (strerror (system-error-errno (cons k r))))
(display (catch 'system-error (lambda () (open-output-file "/missing/x")) refused)) (newline)
(let ((s (socket PF_UNIX SOCK_STREAM 0))) (bind s AF_UNIX "socket") (listen s 1) (let ((c (socket PF_UNIX SOCK_STREAM 0)))
(connect c AF_UNIX "socket") (display "hello\n" c) (force-output c) (display (read-line (car (accept s)))) (newline))) (display (getcwd))
(newline) (exit 5)
END
guile -s m.scm 2>&1 | grep -v '^;;;'; rm -rf d l socket; guile --no-auto-compile -s m.scm; echo "status $?"
guile --no-auto-compile -c '(use-modules (system base compile)) (compile-file "m.scm" #:output-file "m.go")'; ls m.go
guile --no-auto-compile -c '(load "/missing.scm")' 2>&1 | tail -1; guile -q
""", dialogue=((r"> $", "(* 6 7)\n"), (r"> $", "(system \"echo from a child\")\n"),
        (r"> $", "(with-output-to-file \"new\" (lambda () (write (read))))\n"), (r"\)\)\)\)\n", "it\n"), (r"> $", "(exit 3)\n")),
        unread=r"\.go$", unlisted=r"\.cache", limit=120),
    Row("ocaml", "ocaml-nox gcc libc6-dev", r"""
cat >m.ml <<'END'
let () = Printf.printf "%s %d\n%!" (Unix.getcwd ()) (Sys.command "exit 3");
let r, w = Unix.pipe () in (match Unix.fork () with 0 -> ignore (Unix.write_substring w "child\n" 0 6);
Unix._exit 4 | pid -> Unix.close w; let ic = Unix.in_channel_of_descr r in print_endline (input_line ic);
(match Unix.waitpid [] pid with _, Unix.WEXITED n -> Printf.printf "%d\n" n | _ -> ()));
let ic = Unix.open_process_in "echo sub" in print_endline (input_line ic); ignore (Unix.close_process_in ic); Unix.mkdir "d" 0o755;
Unix.symlink "d" "l"; print_endline (Unix.readlink "l"); let oc = open_out "out" in output_string oc "text\n"; close_out oc;
(try ignore (open_out "/missing/x") with Sys_error e -> print_endline e);
let t = Thread.create (fun () -> print_endline "thread") () in Thread.join t; print_endline Sys.executable_name; exit 5
END
ocamlfind ocamlopt 2>/dev/null; ocamlopt -I +unix -I +threads unix.cmxa threads.cmxa -o native m.ml 2>&1 | grep -v -i warning; ./native
echo "status $?"; rm -rf d l; ocamlc -I +unix -I +threads unix.cma threads.cma -o byte m.ml; ./byte; echo "status $?"
echo 'print_endline (String.concat " " (List.map string_of_int [1;2]));;' >s.ml; ocaml s.ml; ocamlc -c nosuch.ml; echo "status $?"
ocamlobjinfo m.cmi | head -2 | tail -1; TERM=dumb ocaml
""", dialogue=((r"^# ", "6*7;;\n"), (r"^# ", "Sys.command \"echo from a child\";;\n"),
        (r"^# ", "let f = open_out \"new\" in output_string f (read_line ()); close_out f;;\n"), (r";;\n", "it\n"),
        (r"^# ", "exit 3;;\n")), unread=r"^/here/(native|byte)$", limit=120),
    Row("sbcl", "sbcl", r"""
cat >m.lisp <<'END'
(with-open-file (o "out" :direction :output)
(print '(a "b") o)) (with-open-file (i "out") (print (read i)))
(defvar *words* '("-c" "echo child in $PWD; exit 3"))
(print (sb-ext:process-exit-code (sb-ext:run-program "/bin/sh" *words* :output *standard-output*)))
(print (directory "/here/*.lisp")) (print (handler-case (open "/missing/x" :direction :output) (file-error () :no)))
(ensure-directories-exist "/here/d/e/") (print (probe-file "d/e")) (print (sb-thread:join-thread (sb-thread:make-thread (lambda () 42))))
(rename-file "out" "moved.txt") (print (truename "moved.txt")) (load (compile-file "f.lisp" :verbose nil :print nil)) (print (f 21))
(terpri) (finish-output) (defun main () (format t "from an image ~a~%" (f 1)) (sb-ext:exit :code 6))
(sb-ext:save-lisp-and-die "image" :executable t :toplevel #'main)
END
echo '(defun f (x) (* 2 x))' >f.lisp; sbcl --noinform --non-interactive --no-userinit --load m.lisp 2>&1 | grep -v '^\['; ./image
echo "status $?"; ls; rm image; sbcl --noinform --no-userinit --no-sysinit
""", dialogue=((r"^\* ", "(* 6 7)\n"), (r"^\* ", "(sb-ext:run-program \"/bin/echo\" '(\"from a child\") :output t)\n"),
        (r"^\* ", "(with-open-file (o \"new\" :direction :output) (write (read) :stream o))\n"), (r"stream o\)\)\n", "it\n"),
        (r"^\* ", "(sb-ext:exit :code 3)\n")),
        changes=((r"\{[0-9A-F]+\}|#x[0-9A-F]+", "<address>"), (r":EXITED \d+", ":EXITED")), unread=r"\.fasl$", limit=120),
    Row("erlang", "erlang-base", r"""
cat >m.erl <<'END'
-module(m).
-export([start/0]).
start() -> io:format("~s~s", [os:cmd("echo child in $PWD"), os:cmd("echo $((6*7))")]), ok = file:write_file("out", <<"text\n">>), {ok,
B} = file:read_file("/here/out"), io:format("~p ~p~n", [B, file:open("/missing/x", [write])]), {ok, L} = gen_tcp:listen(0, [{ip,
{127,0,0,1}}, {active, false}, {packet, line}]), {ok, P} = inet:port(L), spawn(fun() -> {ok, C} = gen_tcp:connect("127.0.0.1", P, []),
gen_tcp:send(C, "hello\n") end), {ok, S} = gen_tcp:accept(L), io:format("~p~n", [gen_tcp:recv(S, 0)]), Self = self(),
[spawn(fun() -> file:write_file(io_lib:format("f~p", [N]), <<>>), Self ! N end) || N <- lists:seq(1, 20)],
[receive N -> ok end || N <- lists:seq(1, 20)], {ok, Names} = file:list_dir("."), io:format("~p~n", [length(Names)]),
T = open_port({spawn, "echo from a port"}, [stream]), receive {T, {data, D}} -> io:format("~s", [D]) end, file:make_symlink("out", "l"),
io:format("~p~n", [file:read_link("l")]), halt(5).
END
erlc m.erl; erl -noshell -noinput -s m start; echo "status $?"
printf '#!/usr/bin/escript\nmain(_) -> io:format("~p~n", [node()]), halt(4).\n' >s; escript s
echo "status $?"; serve 4369 epmd
erl -noshell -sname one@localhost -setcookie c -eval 'io:format("~p~n", [node()]), receive stop -> halt(7) end' 2>/dev/null &
one=$!; until_true 10 sh -c 'epmd -names | grep -q one'
erl -noshell -sname two@localhost -setcookie c -eval 'N = one@localhost,
    io:format("~p ~p~n", [net_adm:ping(N), rpc:call(N, file, get_cwd, [])]),
    rpc:cast(N, erlang, halt, [7]), timer:sleep(300), halt(0)'
wait $one; echo "status $?"; epmd -kill >/dev/null; wait $server
erl -noshell -noinput -run nosuch start 2>&1 | grep -c undef | sed 's/[1-9][0-9]*/some/'
TERM=dumb erl
""", dialogue=((r"^1> ", "6*7.\n"), (r"^2> ", "os:cmd(\"echo from a child\").\n"),
        (r"^3> ", "file:write_file(\"new\", io:get_line(\"say: \")).\n"), (r"^say: ", "it\n"), (r"^4> ", "halt(3).\n")),
        changes=((r"\[(source|64-bit|smp|ds|async|jit)[^\]]*\] ?", ""), (r"<\d+\.\d+\.\d+>", "<pid>"), (r"<<[^>]*>>,", "<<>>,"),
        (r"\[\d+\] \d+", "[<n>]")), unread=r"erl_crash\.dump|\.beam$|server\.log", unlisted=r"\.cache|\.erlang", limit=120),
)
