"""The suites of ``make foreign`` beside Python's own."""

from __future__ import annotations

from .suite import Suite

COREUTILS = Suite(
    "coreutils", "coreutils", "gcc libc6-dev make perl python3 gdb strace acl attr",
    build="./configure -q --disable-nls && make -s -j2 && make -s check TESTS= SUBDIRS=.",
    # what writes for minutes or wants a terminal or root is left out by the suite itself
    run=r"""
[ "$units" != all ] || units=$(make -s -f - names <<'END'
include Makefile
names:
	@echo $(TESTS)
END
)
make -k check-TESTS TESTS="$units" 2>&1 | grep -E '^(PASS|FAIL|SKIP|XFAIL|ERROR|XPASS): '
""",
    units="all", result=r"(?P<how>PASS|FAIL|XFAIL|ERROR|XPASS): (?P<case>\S+)$", passed="PASS|XFAIL", limit=5400,
)
GIT = Suite(
    "git", "git", "gcc libc6-dev make perl zlib1g-dev libssl-dev",
    build=r"""
printf 'NO_%s = 1\n' CURL TCLTK GETTEXT EXPAT >config.mak
make -s -j2 CFLAGS=-O1 all
""",
    run=r"""
cd t
for unit in $units; do
    echo "unit $unit"
    ./$unit*.sh 2>&1 | grep -E '^(not )?ok '
done
""",
    units="t0000 t0001 t0002 t0003 t0008 t0020 t0021 t0027 t0050 t0060 t0061 t0062 t0070 t0300 t0301 t1001 t1004 t1006 t1050 t1092"
    " t1300 t1400 t1410 t1450 t1500 t1501 t1504 t1509 t1510 t1600 t2000 t2007 t2018 t2030 t2100 t2200 t2400 t2401 t3000 t3001"
    " t3200 t3400 t3404 t3600 t3700 t3900 t3903 t4000 t4001 t4013 t4100 t4150 t5000 t5300 t5302 t5304 t5310 t5318 t5400 t5500"
    " t5505 t5510 t5516 t5528 t5570 t5600 t5601 t5700 t6012 t6020 t6300 t6500 t7001 t7005 t7006 t7062 t7063 t7300 t7400 t7406"
    " t7450 t7500 t7502 t7508 t7519 t7527 t7600 t7700 t7800 t7810 t7900 t9001 t9300 t9350 t9902",
    start=r"unit (\S+)$", result=r"(?P<how>ok|not ok) (?P<case>\d+)\b(?!.*# (?:[T]ODO|SKIP|skip))", passed="ok", limit=5400,
)
BUSYBOX = Suite(
    "busybox", "busybox", "gcc libc6-dev make bzip2 perl",
    build="make -s defconfig >/dev/null && make -s -j2 2>&1",
    run=r"""
cd testsuite
# bc's tests calculate for many minutes, and do nothing else
[ "$units" != all ] || units=$(ls -d *.tests */ | sed -e 's/.tests$//' -e 's,/$,,' | sort -u | grep -v -x bc)
./runtest $units 2>&1 | grep -E '^(PASS|FAIL): '
""",
    units="all", result=r"(?P<how>PASS|FAIL): (?P<case>.+)$", passed="PASS",
)
GO = Suite(
    "go", "", "golang-go gcc libc6-dev",
    build="GOFLAGS=-mod=mod go version",
    run=r"""
export GOCACHE=/here/cache GOFLAGS=-count=1 GOTOOLCHAIN=local GO111MODULE=off
for unit in $units; do
    echo "unit $unit"
    go test -short -v $unit 2>&1 | grep -E '^ *--- (PASS|FAIL): '
done
""",
    units="os os/exec os/signal os/user io/fs io/ioutil path/filepath syscall internal/poll net net/http/cgi archive/tar archive/zip"
    " log/syslog plugin runtime/pprof time testing/fstest",
    start=r"unit (\S+)$", result=r" *--- (?P<how>PASS|FAIL): (?P<case>\S+)", passed="PASS",
)
TCL = Suite(
    "tcl", "tcl8.6", "tcl8.6",
    build="test -f tests/all.tcl",
    run=r"""
cd tests
for unit in $units; do
    echo "unit $unit"
    tclsh8.6 all.tcl -singleproc 0 -file $unit.test -verbose 'pass body error' 2>&1 | grep -E '^(\+\+\+\+|====) .* (PASSED|FAILED)$'
done
""",
    units="cmdAH cmdMZ encoding env exec exit fCmd fileName fileSystem interp io ioCmd ioTrans load main package pid regexp socket source"
    " stringComp thread timer unixFCmd unixFile unixInit unixNotfy unload winPipe zlib",
    start=r"unit (\S+)$", result=r"(\+\+\+\+|====) (?P<case>\S+)( .*)? (?P<how>PASSED|FAILED)$", passed="PASSED",
)
SUITES = {suite.name: suite for suite in (COREUTILS, GIT, BUSYBOX, GO, TCL)}
PACKAGES = sorted({name for suite in SUITES.values() for name in suite.packages.split()})
