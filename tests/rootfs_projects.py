"""Small projects that the tests build inside a root: C files with a Makefile, and one with a configure script.

The configure script is written here in the manner of autoconf: it compiles and runs little programs, keeps a log,
looks for headers and functions, and fills in templates.
"""

from __future__ import annotations

import os

from tests import helpers

FILES = 30
HEADERS = ("stdio.h", "stdlib.h", "string.h", "unistd.h", "sys/stat.h", "pthread.h", "nowhere.h", "linux/fs.h")
FUNCTIONS = ("openat", "statx", "getline", "no_such_function", "memfd_create", "renameat2")

CONFIGURE = r"""#!/bin/sh
# Look for what the project needs and write Makefile and config.h.
srcdir=`dirname "$0"`
exec 5>config.log
echo "checking in `pwd -P` with $0 $*" >&5
: ${CC=gcc}
defs=confdefs.h
: >$defs

check() { # DESCRIPTION MACRO: compile conftest.c
    printf 'checking for %s... ' "$1"
    if $CC -o conftest$$ conftest.c >&5 2>&1 && test -x conftest$$; then
        echo yes
        echo "#define $2 1" >>$defs
    else
        echo no
        echo "/* #undef $2 */" >>$defs
        sed 's/^/| /' conftest.c >&5
    fi
    rm -f conftest$$ conftest.c
}

macro() { echo "HAVE_$1" | tr 'abcdefghijklmnopqrstuvwxyz/.' 'ABCDEFGHIJKLMNOPQRSTUVWXYZ__'; }

for header in @HEADERS@; do
    printf '#include <%s>\nint main(void) { return 0; }\n' "$header" >conftest.c
    check "$header" "`macro $header`"
done
for function in @FUNCTIONS@; do
    printf 'char %s();\nint main(void) { return %s() != 0; }\n' $function $function >conftest.c
    check "$function" "`macro $function`"
done
printf 'checking whether programs run... '
cat >conftest.c <<END
#include <stdio.h>
int main(void) { FILE *f = fopen("conftest.out", "w"); return f ? fprintf(f, "%zu\n", sizeof(long)) < 0 : 1; }
END
$CC -o conftest conftest.c >&5 2>&1 && ./conftest && echo "yes, long has `cat conftest.out` bytes" || echo no
echo "#define SIZEOF_LONG `cat conftest.out`" >>$defs
rm -f conftest conftest.*
printf 'checking for a shell that can do functions... '
for shell in "$SHELL" /bin/bash /bin/sh /usr/bin/ksh; do
    if test -x "$shell" && "$shell" -c 'f() { return 5; }; f; test $? = 5' 2>/dev/null; then break; fi
done
echo "$shell"
cat >config.status <<END
#!$shell
sed -e 's|@CC@|$CC|' -e "s|@srcdir@|$srcdir|" "$srcdir/Makefile.in" >Makefile
sort $defs >config.h
echo created Makefile config.h
END
chmod +x config.status
./config.status
"""


def write(path: str, text: str, mode: int = 0o644) -> None:
    """Write one file as the ordinary user's."""
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path, mode)
    if os.geteuid() == 0:
        os.chown(path, helpers.NOBODY, helpers.NOBODY)


def make_directory(path: str) -> str:
    """Make a directory as the ordinary user's."""
    os.mkdir(path)
    if os.geteuid() == 0:
        os.chown(path, helpers.NOBODY, helpers.NOBODY)
    return path


def c_project(path: str) -> None:
    """Write a project of thirty C files, a header each, and a Makefile with generated dependencies."""
    make_directory(path)
    for i in range(FILES):
        other = (i * 7 + 1) % FILES
        write(f"{path}/part{i}.h", f"#ifndef P{i}\n#define P{i}\nint part{i}(int depth);\n#endif\n")
        write(f"{path}/part{i}.c", (
            f'#include <stdio.h>\n#include "part{i}.h"\n#include "../{os.path.basename(path)}/part{other}.h"\n'
            f"int part{i}(int depth) {{ return depth <= 0 ? {i} : {i} * 3 + part{other}(depth - 1); }}\n"
        ))
    calls = " + ".join(f"part{i}({i})" for i in range(FILES))
    includes = "".join(f'#include "part{i}.h"\n' for i in range(FILES))
    write(f"{path}/main.c", f'#include <stdio.h>\n{includes}int main(void) {{ printf("%d\\n", {calls}); return 0; }}\n')
    objects = " ".join(["main.o", *(f"part{i}.o" for i in range(FILES))])
    write(f"{path}/Makefile", (
        f"OBJECTS = {objects}\nCFLAGS = -O1 -Wall -Werror -MMD\nprogram: libparts.a main.o\n"
        "\t$(CC) -Wl,--build-id=none -o $@ main.o libparts.a\n"
        "libparts.a: $(filter-out main.o,$(OBJECTS))\n\tar rcsD $@ $^\nclean:\n\trm -f program *.o *.a *.d\n"
        "-include $(OBJECTS:.o=.d)\n"
    ))


def configured_project(path: str) -> None:
    """Write a project whose configure script makes its Makefile and config.h."""
    make_directory(path)
    text = CONFIGURE.replace("@HEADERS@", " ".join(HEADERS)).replace("@FUNCTIONS@", " ".join(FUNCTIONS))
    write(f"{path}/configure", text, 0o755)
    write(f"{path}/Makefile.in", (
        "CC = @CC@\nVPATH = @srcdir@\nprogram: main.c config.h\n\t$(CC) -I. -o $@ @srcdir@/main.c\n"
    ))
    write(f"{path}/main.c", (
        '#include "config.h"\n#include <stdio.h>\nint main(void) {\n#ifdef HAVE_OPENAT\nputs("openat");\n#endif\n'
        '#ifdef HAVE_NOWHERE_H\nputs("nowhere");\n#endif\nprintf("%d\\n", SIZEOF_LONG); return 0; }\n'
    ))
