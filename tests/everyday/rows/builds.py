"""Builds: from sources to something that runs, with each of the usual systems, without a network."""

from __future__ import annotations

from ..row import Row

#: A program of two files and a header.
SOURCES = r"""
mkdir -p src; printf 'int twice(int);\n' >src/twice.h; printf '#include "twice.h"\nint twice(int n) { return 2 * n; }\n' >src/twice.c
printf '#include <stdio.h>\n#include "twice.h"\nint main(void) { printf("%%d\\n", twice(21)); return 0; }\n' >src/main.c
"""

ROWS = (
    Row("autotools", "autoconf automake libtool make gcc libc6-dev", SOURCES + r"""
cat >configure.ac <<'END'
AC_INIT([twice],[1.0])
AM_INIT_AUTOMAKE([foreign subdir-objects])
AC_CONFIG_MACRO_DIRS([m4])
AC_PROG_CC
AM_PROG_AR
LT_INIT([disable-static])
AC_CHECK_HEADERS([sys/stat.h nosuch.h])
AC_CHECK_FUNCS([openat2 fork])
AC_CONFIG_HEADERS([config.h])
AC_CONFIG_FILES([Makefile])
AC_OUTPUT
END
cat >Makefile.am <<'END'
ACLOCAL_AMFLAGS = -I m4
lib_LTLIBRARIES = libtwice.la
libtwice_la_SOURCES = src/twice.c
include_HEADERS = src/twice.h
bin_PROGRAMS = main
main_SOURCES = src/main.c
main_LDADD = libtwice.la
TESTS = check.sh
EXTRA_DIST = check.sh
END
printf '#!/bin/sh\n[ "$(./main)" = 42 ]\n' >check.sh; chmod +x check.sh; mkdir m4
autoreconf -i >/dev/null 2>&1; autoreconf -fi >/dev/null 2>&1; echo "status $?"
mkdir b; cd b; ../configure -q --prefix=/usr; echo "status $?"
make -s -j2 2>&1 | grep -v -e ar: -e '^$'; ./main; make -s check TESTS= | tail -1; cp ../check.sh .; make check | grep '^# '
make -s install DESTDIR=/here/dest 2>&1 | grep -v libtool; find /here/dest | sort
LD_LIBRARY_PATH=/here/dest/usr/lib /here/dest/usr/bin/main; make -s dist; tar -tzf twice-1.0.tar.gz | grep -c .; touch ../src/twice.h
make -q; echo "stale $?"; make -s distclean; ls
""", unread=r"\.(o|lo|la|so.*|gz|log|trs|cache.*)$|/autom4te\.cache/|/config\.(log|status)$|/\.libs/", limit=180),
    Row("cmake", "cmake ninja-build make gcc g++ libc6-dev", SOURCES + r"""
cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.20)
project(twice C CXX)
add_library(twice SHARED src/twice.c)
add_executable(main src/main.c)
target_link_libraries(main twice)
file(GLOB F src/*.c)
message(STATUS "files ${F}")
execute_process(COMMAND pwd OUTPUT_VARIABLE P)
message(STATUS "in ${P}")
configure_file(in.txt out.txt)
install(TARGETS main twice)
enable_testing()
add_test(NAME run COMMAND main)
add_custom_command(OUTPUT gen.c COMMAND ${CMAKE_COMMAND} -E copy ${CMAKE_SOURCE_DIR}/src/twice.c gen.c)
add_library(gen STATIC gen.c)
target_include_directories(gen PRIVATE src)
END
echo 'at ${CMAKE_SOURCE_DIR}' >in.txt
for g in Ninja 'Unix Makefiles'; do cmake -G "$g" -S . -B "b$g" -DCMAKE_INSTALL_PREFIX=/usr | grep -e files -e in -e written
cmake --build "b$g" -j2 >/dev/null; echo "status $?"; "b$g/main"; (cd "b$g"; ctest -Q; ctest | grep passed)
DESTDIR="/here/dest$g" cmake --install "b$g" >/dev/null; find "dest$g" -type f | sort; cat "b$g/out.txt"; touch src/twice.h
cmake --build "b$g" | grep -c Building; done
ninja -C bNinja -t deps | grep -c '#deps'; cmake -S missing -B x 2>&1 | head -1
echo 'message("script ${CMAKE_CURRENT_LIST_FILE}")' >s.cmake; cmake -P s.cmake
""", changes=((r"\d+\.\d+ sec", "<seconds>"),), unlisted=r"/CMakeFiles/|/Testing/|/\.ninja_|/CMakeCache|install_manifest",
        unread=r"\.(a|so)$|/main$", limit=180),
    Row("meson", "meson ninja-build gcc libc6-dev pkg-config", SOURCES + r"""
cat >meson.build <<'END'
project('twice', 'c', version: '1.0')
lib = shared_library('twice', 'src/twice.c', install: true)
exe = executable('main', 'src/main.c', link_with: lib, install: true)
test('run', exe)
conf = configuration_data({'AT': meson.current_source_dir()})
configure_file(input: 'in.h', output: 'out.h', configuration: conf)
custom_target('gen', output: 'gen.txt', command: ['sh', '-c', 'pwd >$0', '@OUTPUT@'], build_by_default: true)
import('pkgconfig').generate(lib)
run_command('echo', 'x', check: true)
END
echo '#define AT "@AT@"' >in.h
meson setup b --prefix=/usr | grep -e Build -e Source -e Compiler -e compiler -e targets; meson compile -C b >/dev/null; echo "status $?"
b/main; meson test -C b | grep -e Ok -e Fail; DESTDIR=/here/dest meson install -C b --quiet; find dest | sort
dest/usr/bin/main 2>&1 | head -1; cat b/out.h b/gen.txt; touch src/twice.h; ninja -C b -n | tail -1
meson introspect b --targets | python3 -c 'import json, sys; print(sorted(t["name"] for t in json.load(sys.stdin)))'
meson configure b -Dbuildtype=release; ninja -C b >/dev/null; b/main; meson setup missing/x y 2>&1 | tail -1
""", changes=((r"\d+\.\d+ ?s", "<seconds>"), (r"\d{4}-\d\d-\d\dT[\d:.]+", "<date>")),
        unlisted=r"^/here/b/(meson-|\.ninja|\.p/|.*\.p/|compile_commands)|__pycache__|\.hgignore", unread=r"\.so|/main$|build\.ninja$",
        limit=180),
    Row("make", "make gcc libc6-dev", SOURCES + r"""
cat >Makefile <<'END'
objects := $(patsubst src/%.c,o/%.o,$(sort $(wildcard src/*.c)))
here := $(shell pwd)
main: $(objects) ; gcc -o $@ $^
o/%.o: src/%.c | o ; gcc -MMD -c -o $@ $<
o: ; mkdir $@
many: $(addprefix n,$(shell seq 30)) ; cat $^ | wc -l
n%: ; @sleep 0.0$*; echo $* >$@
sub: ; +$(MAKE) -C sub all here=$(here)
fail: n1 ; exit 3
once: ; echo $(MAKELEVEL) $(CURDIR) $(abspath src/../src) $(realpath src) $(MAKEFLAGS)
broken: ; echo half >$@; exit 1
.DELETE_ON_ERROR:
-include $(objects:.o=.d)
END
mkdir sub
cat >sub/Makefile <<'END'
all: a b c
a b c: ; @echo $@ $(here) $(MAKELEVEL); echo $@ >$@
END
make; ./main; make; touch src/twice.h; make -n; make; make -j4 many; make -s -j2 sub | sort; make fail; echo "status $?"
make -k broken once; ls broken; echo "status $?"; make -q main; echo "status $?"; make -t main; make nothing; echo "status $?"
make -f- <<<'x: ; @echo from stdin'; make -C sub -W a a here=there; make -j2 -O main
make SHELL=/bin/bash once; make -p -n | grep -c '^# '| sed 's/[1-9][0-9]*/some/'
""", unread=r"\.o$|/main$", changes=((r"jobserver-auth=\S+", "<auth>"),)),
    Row("kbuild", "make gcc libc6-dev binutils", r"""
mkdir -p scripts drivers/a drivers/b include/config include/generated lib
cat >Makefile <<'END'
.RECIPEPREFIX := >
MAKEFLAGS += -rR --no-print-directory
export srctree := $(CURDIR)
export CC := gcc
all: vmlinux modules
scripts/fixdep: scripts/fixdep.c
>$(CC) -o $@ $<
include/config/auto.conf: .config
>@grep =y $< >$@
>@sed 's/=y/ 1/;s/^/\x23define /' $@ >include/generated/autoconf.h
>@for c in $$(sed 's/=.*//' $@); do touch include/config/$$c; done
-include include/config/auto.conf
vmlinux: scripts/fixdep include/config/auto.conf drivers lib
>@echo '  LD      $@'
>@ld -r -o $@ --whole-archive drivers/built-in.a lib/built-in.a && nm $@ | sort -k3 >System.map
drivers lib: scripts/fixdep include/config/auto.conf
>@$(MAKE) -f $(srctree)/scripts/Makefile.build obj=$@
modules: vmlinux
>@echo modules: $$(find . -name '*.ko' | sort)
clean:
>@find . \( -name '*.o' -o -name '*.a' -o -name '.*.d' -o -name '.*.cmd' -o -name '*.ko' \) -delete
>@rm -f vmlinux
.PHONY: all drivers lib modules clean
END
cat >scripts/Makefile.build <<'END'
.RECIPEPREFIX := >
__build:
include include/config/auto.conf
include $(obj)/Makefile
subdir := $(addprefix $(obj)/,$(patsubst %/,%,$(filter %/,$(obj-y))))
objs := $(addprefix $(obj)/,$(filter %.o,$(obj-y)))
__build: $(obj)/built-in.a $(patsubst %.o,$(obj)/%.ko,$(obj-m))
$(subdir):
>@$(MAKE) -f scripts/Makefile.build obj=$@
.PHONY: __build $(subdir)
$(obj)/%.o: $(obj)/%.c include/generated/autoconf.h
>@echo '  CC      $@'
>@$(CC) -MMD -MF $(@D)/.$(@F).d -MT $@ -include include/generated/autoconf.h -c -o $@ $<
>@scripts/fixdep $(@D)/.$(@F).d >$(@D)/.$(@F).cmd
$(obj)/%.ko: $(obj)/%.o
>@echo '  LD [M]  $@'; ld -r -o $@ $<
$(obj)/built-in.a: $(subdir) $(objs)
>@echo '  AR      $@'; rm -f $@; ar cDPrST $@ $(addsuffix /built-in.a,$(subdir)) $(objs)
-include $(wildcard $(obj)/.*.cmd)
END
cat >scripts/fixdep.c <<'END'
#include <stdio.h>
int main(int n, char **v) { int c; FILE *f = fopen(v[1], "r"); while (f && (c = getc(f)) != EOF) putchar(c); return !f; }
END
for n in a b; do
    echo "obj-y += $n.o" >drivers/$n/Makefile
    printf '#ifdef CONFIG_X\nint %sx;\n#endif\nint %s(void) { return 0; }\n' $n $n >drivers/$n/$n.c
    for i in 1 2 3 4; do echo "obj-y += $n$i.o" >>drivers/$n/Makefile; echo "int $n$i(void) { return $i; }" >drivers/$n/$n$i.c; done
done
printf 'obj-y += a/ b/\nobj-m += m.o\n' >drivers/Makefile; echo 'int m;' >drivers/m.c; echo 'obj-$(CONFIG_L) += l.o' >lib/Makefile
echo 'obj-y += k.o' >>lib/Makefile; echo 'int l(void) { return 1; }' >lib/l.c; echo 'int k(void) { return 2; }' >lib/k.c
printf 'CONFIG_X=y\nCONFIG_L=y\n' >.config; make -s scripts/fixdep; make -j2 | sort; wc -l <System.map; make | sort
touch drivers/a/a2.c; make | sort; echo 'CONFIG_L=y' >.config; make -j2 | sort; wc -l <System.map
make clean; find . -type f | sort
""", unread=r"\.(o|a|ko)$|/vmlinux$|/scripts/fixdep$", limit=120),
    Row("cargo", "cargo", r"""
export CARGO_NET_OFFLINE=true CARGO_TERM_PROGRESS_WHEN=never; mkdir -p twice/src main/src main/tests
printf '[workspace]\nmembers = ["twice", "main"]\n' >Cargo.toml
cat >twice/Cargo.toml <<'END'
[package]
name = "twice"
version = "1.0.0"
edition = "2021"
END
cat >twice/src/lib.rs <<'END'
/// ```
/// assert_eq!(twice::twice(1), 2);
/// ```
pub fn twice(n: i32) -> i32 { 2 * n }
#[test]
fn two() { assert_eq!(twice(2), 4); }
END
cat >main/Cargo.toml <<'END'
[package]
name = "main"
version = "1.0.0"
edition = "2021"
build = "build.rs"
[dependencies]
twice = { path = "../twice" }
END
cat >main/build.rs <<'END'
fn main() {
    let place = std::path::PathBuf::from(std::env::var("OUT_DIR").unwrap()).join("gen.rs");
    std::fs::write(place, "const G: i32 = 21;").unwrap();
    println!("cargo:rerun-if-changed=build.rs");
}
END
cat >main/src/main.rs <<'END'
include!(concat!(env!("OUT_DIR"), "/gen.rs"));
use std::{env, fs, process::Command, thread};
fn main() { println!("{} in {:?} {:?}", twice::twice(G), env::current_dir().unwrap(), env::current_exe().unwrap());
let o = Command::new("sh").args(["-c", "echo child; exit 3"]).output().unwrap();
println!("{:?} {:?}", String::from_utf8_lossy(&o.stdout), o.status.code());
println!("{:?}", fs::File::create("/missing/x").unwrap_err().kind());
let t: Vec<_> = (0..4).map(|n| thread::spawn(move || fs::write(format!("f{n}"), "x").is_ok())).collect();
println!("{}", t.into_iter().all(|t| t.join().unwrap())); std::process::exit(5) }
END
cargo build -q -j2; echo "status $?"; target/debug/main; echo "status $?"
cargo test -q -j2 -p twice 2>&1 | grep '^test result' | cut -d. -f1; cargo run -q; echo "status $?"; touch twice/src/lib.rs
cargo build 2>&1 | grep -c Compiling; echo 'broken' >>twice/src/lib.rs; cargo build -q 2>&1 | grep -c ^error
cargo metadata --format-version 1 --no-deps |
python3 -c 'import json, sys; print(sorted(p["name"] for p in json.load(sys.stdin)["packages"]))'
cargo new -q --vcs none x 2>&1; ls x/src; cargo build --manifest-path missing/Cargo.toml 2>&1 | head -1; cargo clean -q; ls
""", unlisted=r"^/here/target/|\.cargo", limit=300),
    Row("go", "golang-go gcc libc6-dev", r"""
export GOFLAGS=-mod=mod GOPROXY=off GOCACHE=/here/cache GOTELEMETRY=off; mkdir -p twice; printf 'module example.org/m\ngo 1.19\n' >go.mod
cat >twice/twice.go <<'END'
package twice
func Twice(n int) int { return 2 * n }
END
cat >twice/twice_test.go <<'END'
package twice
import "testing"
func TestTwice(t *testing.T) { if Twice(2) != 4 { t.Fatal() } }
END
cat >main.go <<'END'
package main
// int c(void) { return 42; }
import "C"
import ("example.org/m/twice"; "fmt"; "net"; "os"; "os/exec"; "path/filepath"; "sync"; "io")
func main() { wd, _ := os.Getwd(); exe, _ := os.Executable(); fmt.Println(twice.Twice(21), C.c(), wd, exe);
out, err := exec.Command("sh", "-c", "echo child; exit 3").Output(); fmt.Printf("%q %v\n", out, err); _, err = os.Create("/missing/x");
fmt.Println(err); var g sync.WaitGroup; for n := 0; n < 50; n++ { g.Add(1); go func(n int) { defer g.Done();
os.WriteFile(fmt.Sprintf("f%d", n%5), []byte("x"), 0644); os.ReadFile("/etc/hostname") }(n) }; g.Wait(); m, _ := filepath.Glob("f?");
fmt.Println(m); l, _ := net.Listen("unix", "socket"); go func() { c, _ := net.Dial("unix", "/here/socket"); c.Write([]byte("hello"));
c.Close() }(); c, _ := l.Accept(); b, _ := io.ReadAll(c); fmt.Println(string(b)); l.Close(); n := 0;
filepath.WalkDir("/etc", func(p string, d os.DirEntry, e error) error { n++; return nil }); fmt.Println(n > 50); os.Exit(5) }
END
go build -o main .; echo "status $?"; ./main; echo "status $?"; go test ./twice | cut -f1,2; go vet ./...; go list ./...
CGO_ENABLED=0 go build -o tool ./twice; rm socket; go run . | sed 's/go-build[0-9]*/go-build/'
go build ./nosuch; echo "status $?"; gofmt -l twice; go env GOMOD
go install -o x . 2>&1 | head -1; printf 'package main\nfunc main() { x := 1 }\n' >b.go; go build b.go 2>&1 | tail -1; go clean -cache
rm -rf cache
""", unlisted=r"^/here/cache/|^/home/user/|^/tmp/", unread=r"/main$|/tool$", limit=300),
    Row("cython", "cython3 python3-dev gcc libc6-dev", r"""
cat >m.pyx <<'END'
def twice(int n):
    return 2 * n
cdef extern from "unistd.h":
    int getpid()
def same():
    import os
    return getpid() == os.getpid()
END
cython3 -3 m.pyx; gcc -shared -fPIC $(python3-config --includes) -o m$(python3-config --extension-suffix) m.c
python3 -c 'import m; print(m.twice(21), m.same(), m.__file__)'
cythonize -3 -i -j2 -b m.pyx >/dev/null 2>&1 || cythonize3 -3 -i m.pyx >/dev/null 2>&1; python3 -m unittest 2>&1 | tail -1
cat >r.py <<'END'
import pyximport; pyximport.install(build_dir="/here/built")
import n
print(n.x())
END
printf 'def x():\n    return 42\n' >n.pyx; python3 r.py; printf 'def f(:\n' >bad.pyx; cython3 bad.pyx 2>&1 | grep -c Error
""", unread=r"\.(so|o|pyc|c)$", unlisted=r"^/here/built/|__pycache__", limit=180),
    Row("latex", "texlive-latex-base", r"""
export SOURCE_DATE_EPOCH=1577836800 FORCE_SOURCE_DATE=1; cat >f.tex <<'END'
\documentclass{article}
\begin{document}\tableofcontents \section{One}\label{one} Text, see \ref{two}.\input{part}\section{Two}\label{two} $x^2$ \cite{k}
\newwrite\w\immediate\openout\w=out.txt\immediate\write\w{\jobname}\immediate\closeout\w
\bibliographystyle{plain}\bibliography{b}\end{document}
END
echo 'From a part.' >part.tex
cat >b.bib <<'END'
@book{k, author="A", title="T", publisher="P", year=2020}
END
for n in 1 2 3; do pdflatex -interaction=batchmode f >/dev/null; echo "status $?"; [ $n != 1 ] || bibtex f | grep -c Database; done
grep -e 'Output written' -e undefined f.log; head -c 8 f.pdf; cat f.toc out.txt; kpsewhich article.cls; kpsewhich nosuch.sty
echo "status $?"; latex -interaction=batchmode f >/dev/null; ls f.dvi; dvips -q f -o f.ps 2>/dev/null
pdflatex -interaction=batchmode -output-directory=/missing f >/dev/null 2>&1; echo "status $?"
echo '\documentclass{article}\begin{document}\immediate\write18{echo from a child >child.txt}x\end{document}' >c.tex
pdflatex -interaction=batchmode -shell-escape c >/dev/null
cat child.txt
cat >e.tex <<'END'
\documentclass{article}\begin{document}\nosuch
\end{document}
END
pdflatex e
""", dialogue=((r"^\? ", "h\n"), (r"^\? ", "x\n")), unread=r"\.(pdf|dvi|ps|log|fmt)$", unlisted=r"\.texlive|texmf-var|\.fls$",
        changes=((r"\(\d+ pages?, \d+ bytes.*", "<size>"),), limit=180),
    Row("java", "default-jdk-headless", r"""
mkdir -p src/p; cat >src/p/M.java <<'END'
package p;
import java.io.*; import java.net.*; import java.nio.file.*; import java.nio.channels.*; import java.util.*;
import java.util.concurrent.*;
public class M { public static void main(String[] a) throws Exception {
System.out.println(System.getProperty("user.dir") + " " + Path.of("x").toAbsolutePath() + " " + T.twice(21));
var p = new ProcessBuilder("sh", "-c", "echo child in $PWD; exit 3").redirectErrorStream(true).start();
System.out.print(new String(p.getInputStream().readAllBytes())); System.out.println(p.waitFor()); Files.createDirectories(Path.of("d/e"));
Files.writeString(Path.of("d/e/f"), "text"); Files.createSymbolicLink(Path.of("l"), Path.of("d"));
System.out.println(Path.of("l/e/../e").toRealPath()); try { new FileOutputStream("/missing/x");
} catch (IOException e) { System.out.println(e.getMessage());
} try (var w = Files.walk(Path.of("/here/d"))) { System.out.println(w.count()); }
 var x = Executors.newFixedThreadPool(4); var f = new ArrayList<Future<Integer>>(); for (int n = 0; n < 40; n++) { int m = n;
 f.add(x.submit(() -> { Files.writeString(Path.of("d/" + m % 5), "x"); return m; })); } int s = 0; for (var g : f) s += g.get();
 x.shutdown(); System.out.println(s); var u = UnixDomainSocketAddress.of("socket");
 var srv = ServerSocketChannel.open(StandardProtocolFamily.UNIX).bind(u); var c = SocketChannel.open(u);
 c.write(java.nio.ByteBuffer.wrap("hello".getBytes())); c.close(); var b = java.nio.ByteBuffer.allocate(9); srv.accept().read(b);
 System.out.println(new String(b.array(), 0, b.position())); var ws = FileSystems.getDefault().newWatchService();
 Path.of("d").register(ws, StandardWatchEventKinds.ENTRY_CREATE); Files.createFile(Path.of("d/new"));
 System.out.println(ws.poll(5, TimeUnit.SECONDS).pollEvents().get(0).context());
 System.out.println(Files.getFileStore(Path.of("/here")).getTotalSpace() > 0);
 try (var fc = FileChannel.open(Path.of("map"), StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
 fc.map(FileChannel.MapMode.READ_WRITE, 0, 4096).put(0, (byte) 65);
 } System.out.println(ProcessHandle.current().info().command().get()); System.exit(5); } }
END
cat >src/p/T.java <<'END'
package p;
class T { static int twice(int n) { return 2 * n; } }
END
javac -d out $(find src -name '*.java'); echo "status $?"; java -Xshare:auto -cp out p.M; echo "status $?"; rm -rf d l socket
printf 'Main-Class: p.M\n' >m; jar cfm m.jar m -C out .; jar tf m.jar | sort; java -jar m.jar | head -1; jdeps -s m.jar
javap -cp out p.T | tail -2; echo 'class X { int x = "a"; }' >X.java; javac X.java; echo "status $?"; java -cp out nosuch.N 2>&1 | head -1
printf 'void f' >/dev/null; rm -rf d l socket; java -XX:+UseSerialGC -Xmx64m -cp out p.M | wc -l; jshell -s --execution local
""", dialogue=((r"-> ", "6*7\n"), (r"-> ", "Runtime.getRuntime().exec(\"touch new\").waitFor()\n"), (r"-> ", "/exit 3\n")),
        changes=((r".*FileSystemPreferences.*\n.*\n", ""), (r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r", ""),), unread=r"m\.jar$",
        unlisted=r"^/home/user/\.java|^/tmp/hsperfdata", limit=400),
    Row("makemaker", "perl make gcc libc6-dev", r"""
mkdir -p lib t
cat >Makefile.PL <<'END'
use ExtUtils::MakeMaker; WriteMakefile(NAME => "Twice", VERSION_FROM => "lib/Twice.pm");
END
cat >lib/Twice.pm <<'END'
package Twice;
our $VERSION = "1.0";
require XSLoader; XSLoader::load("Twice", $VERSION); 1;
__END__
=head1 NAME

Twice - doubles

=cut
END
cat >Twice.xs <<'END'
#include "EXTERN.h"
#include "perl.h"
#include "XSUB.h"
MODULE = Twice PACKAGE = Twice
int
twice(n)
    int n
  CODE:
    RETVAL = 2 * n;
  OUTPUT:
    RETVAL
END
cat >t/t.t <<'END'
use Test::More tests => 2; use_ok("Twice"); is(Twice::twice(21), 42);
END
find . -type f -printf '%%P\n' | sort >MANIFEST; find . -type f | sed 's/^..//' | sort >MANIFEST
perl Makefile.PL; make -s; echo "status $?"; make -s test 2>&1 | grep -e Result -e ok
perl -Mblib -MTwice -e 'print Twice::twice(4), "\n"' 2>&1; make -s install DESTDIR=/here/dest >/dev/null; find dest -type f | sort
make -s manifest 2>&1 | tail -1; make -s dist 2>&1 | tail -1; make -s clean; ls; h2xs -A -n New >/dev/null; find New | sort
""", changes=((r"\d+\.\d+ (wallclock|usr|sys|cusr|csys)|\d+ wallclock", "<seconds>"),
        (r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \w{3} .*", "<date>")),
        unread=r"\.(so|gz|3pm|o|bs)$|perllocal\.pod|\.packlist|MYMETA|META|/Makefile(\.old)?$|New/", limit=120),
    Row("debian-package", "dpkg-dev debhelper fakeroot build-essential", SOURCES + r"""
mkdir -p twice-1.0/debian/source; mv src twice-1.0; cd twice-1.0
cat >Makefile <<'END'
all: main
main: src/main.c src/twice.c
	$(CC) $(CFLAGS) -o $@ $^
install:
	install -D -o root -g root -m 755 main $(DESTDIR)/usr/bin/twice-main
END
cat >debian/changelog <<'END'
twice (1.0-1) unstable; urgency=low

  * First.

 -- U <u@example.org>  Wed, 01 Jan 2020 00:00:00 +0000
END
cat >debian/control <<'END'
Source: twice
Maintainer: U <u@example.org>
Build-Depends: debhelper-compat (= 13)
Standards-Version: 4.6.0

Package: twice
Architecture: any
Depends: ${shlibs:Depends}, ${misc:Depends}
Description: doubles
 It does.
END
printf '#!/usr/bin/make -f\n%%:\n\tdh $@\n' >debian/rules; chmod +x debian/rules; echo '3.0 (native)' >debian/source/format
sed -i 's/1.0-1/1.0/' debian/changelog
dpkg-buildpackage -d -us -uc -b >../log 2>&1; echo "status $?"; cd ..; dpkg-deb -c twice_1.0_*.deb | awk '{print $1, $2, $6}'
dpkg-deb -f twice_1.0_*.deb Package Version Depends; dpkg-deb -x twice_1.0_*.deb x; x/usr/bin/twice-main
fakeroot sh -c 'mknod n c 1 3; chown 5:6 n; stat -c "%F %u %g" n; id -u; tar -cf n.tar n'; tar -tvf n.tar | cut -c1-20; stat -c '%F' n
(cd twice-1.0; fakeroot debian/rules clean >/dev/null 2>&1; ls; dpkg-parsechangelog -S Version); tail -1 log | cut -c1-40
""", unread=r"\.(deb|changes|buildinfo|tar|o)$|/log$|/main$|twice-main$",
        unlisted=r"/\.build-id|twice-dbgsym|^/tmp/|debian/(twice|\.debhelper|files|.*debhelper)", limit=240),
    Row("scons", "scons gcc libc6-dev", SOURCES + r"""
cat >SConstruct <<'END'
env = Environment()
env.VariantDir('b', 'src', duplicate=0)
lib = env.SharedLibrary('b/twice', 'b/twice.c')
exe = env.Program('b/main', ['b/main.c', 'b/twice.c'])
env.Command('b/gen.txt', [], 'pwd >$TARGET')
conf = Configure(env)
print(conf.CheckCHeader('stdio.h'), conf.CheckLib('nosuch'))
conf.Finish()
Default('b')
END
scons -Q -j2 | sort; echo "status $?"; b/main; cat b/gen.txt; scons -Q; touch src/twice.h; scons -Q; echo '/* */' >>src/twice.h
scons -Q --debug=explain | grep -c changed; scons -Q -c | sort; scons -Q nosuch; echo "status $?"; ls
""", unread=r"\.(o|os|so|log|pyc)$|/main$|\.sconsign|sconf_temp", unlisted=r"sconf_temp|\.sconsign|__pycache__", limit=120),
    Row("bison-flex", "bison flex gcc libc6-dev make", r"""
cat >l.l <<'END'
%option noyywrap
%{
#include "g.tab.h"
%}
%%
[0-9]+ { yylval = atoi(yytext); return N; }
[ \t] ;
.|\n { return *yytext; }
END
cat >g.y <<'END'
%{
#include <stdio.h>
int yylex(void);
void yyerror(const char *s) { fprintf(stderr, "%s\n", s); }
%}
%token N
%left '+' '-'
%left '*'
%%
in: | in e '\n' { printf("%d\n", $2); fflush(stdout); } ;
e: N | e '+' e { $$ = $1 + $3; } | e '*' e { $$ = $1 * $3; } | '(' e ')' { $$ = $2; } ;
%%
int main(void) { puts("ready"); fflush(stdout); return yyparse(); }
END
bison -d -v g.y; flex l.l; gcc -w -o calc g.tab.c lex.yy.c; echo '2*(3+4)' | ./calc; echo '2*' | ./calc; echo "status $?"
grep -c ^State g.output; echo '%%' | bison -o /missing/x.c /dev/stdin; echo "status $?"; make -n l.c | head -1; echo now; ./calc
""", dialogue=((r"now\nready\n", "6*7\n"), (r"^42\n", "(1+2)*3\n"), (r"^9\n", "\x04")),
        unread=r"/calc$"),
)
