/* launcher.c: the `pyroot` command.  SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Decides which Python runs pyroot and where the installed package lies; nothing else.
 *
 * Why a program and not the wrapper that pip writes: that one runs `site` and imports `re`, which takes longer than
 * all of pyroot's own start. pip keeps no options on a `#!python` line, so `-IS` needs a second exec; a shell could
 * do that, but a shell edits the environment that the guest inherits (dash drops names such as `a.b` and repeated
 * ones, bash counts SHLVL). This program execs the interpreter within a fraction of a millisecond and leaves the
 * environment as it is.
 *
 * The program finds itself through /proc/self/exe, so that a symbolic link to it (pipx, ~/bin) works, and looks for
 * the extension module of the very Python it was built for (PYROOT_EXT) in the places where installers put packages.
 * Where there is none (an editable install) it runs the plain interpreter, whose `site` knows where to look.
 */
#define _GNU_SOURCE /* strchrnul */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef PYROOT_PYTHON
#error "setup.py defines PYROOT_PYTHON (python3.11) and PYROOT_EXT (.cpython-311-x86_64-linux-gnu.so)"
#endif

#define FAILURE 125 /* the exit status of pyroot's own failures */

extern char **environ;

/* Where packages lie, seen from the directory above the one that holds this program. */
static const char *const places[] = {
    "/lib/" PYROOT_PYTHON "/site-packages",         /* a virtual environment, --user, --prefix */
    "/lib64/" PYROOT_PYTHON "/site-packages",       /* Fedora's system Python */
    "/lib/" PYROOT_PYTHON "/dist-packages",         /* Debian's system Python: /usr/local */
    "/local/lib/" PYROOT_PYTHON "/dist-packages",   /* the same with the program in /usr/bin */
    "/lib/python3/dist-packages",                   /* a Debian package */
    "/lib/python",                                  /* --home */
    "",                                             /* --target: packages beside bin/ */
    NULL,
};

/* Without a package beside us: the interpreter with `site`, without the current directory on the module path. */
static const char with_site[] =
    "import sys\n"
    "sys.path[:] = [entry for entry in sys.path if entry]\n"
    "sys.argv[0] = 'pyroot'\n"
    "try:\n"
    "    from pyroot._start import start\n"
    "except ModuleNotFoundError as error:\n"
    "    if not (error.name or '').startswith('pyroot'):\n"
    "        raise\n"
    "    sys.stderr.write('pyroot: the package pyroot: not found by ' + sys.executable + '\\n'\n"
    "        '  hint: install it for this Python (python3 -m pip install ...)\\n')\n"
    "    sys.exit(125)\n"
    "start()\n";

static void fail(const char *what, const char *why, const char *hint)
{
    fprintf(stderr, "pyroot: %s: %s\n  hint: %s\n", what, why, hint);
    exit(FAILURE);
}

/* Join up to four strings into a buffer of PATH_MAX bytes; false when they do not fit. */
static int join(char *out, const char *a, const char *b, const char *c, const char *d)
{
    return snprintf(out, PATH_MAX, "%s%s%s%s", a, b, c, d) < PATH_MAX;
}

/* Put the directory of this program into `here` and the one above into `prefix` (without a trailing slash). */
static void find_self(char *here, char *prefix)
{
    ssize_t length = readlink("/proc/self/exe", here, PATH_MAX - 1);
    char *slash;

    if (length < 0)
        fail("/proc/self/exe", strerror(errno), "pyroot needs /proc to find its own files");
    here[length] = '\0';
    slash = strrchr(here, '/');
    if (slash == NULL)
        fail(here, "not an absolute path", "start pyroot by its path");
    *slash = '\0';
    strcpy(prefix, here);
    slash = strrchr(prefix, '/');
    if (slash != NULL)
        *slash = '\0';
}

/* Look for the package; true and its parent directory in `site`, or false. */
static int find_package(const char *prefix, char *site)
{
    char probe[PATH_MAX];

    for (const char *const *place = places; *place != NULL; place++)
        if (join(probe, prefix, *place, "/pyroot/_fast", PYROOT_EXT) && access(probe, R_OK) == 0)
            return join(site, prefix, *place, "", "");
    return 0;
}

/* Exec `name` in every directory of PATH; returns when it is in none of them. */
static void exec_on_path(const char *name, char **arguments)
{
    const char *path = getenv("PATH");
    char candidate[PATH_MAX];

    if (path == NULL || *path == '\0')
        path = "/usr/local/bin:/usr/bin:/bin";
    while (*path != '\0') {
        const char *end = strchrnul(path, ':');
        int length = (int)(end - path);
        if (length > 0 && path[0] == '/' &&
            snprintf(candidate, sizeof candidate, "%.*s/%s", length, path, name) < (int)sizeof candidate) {
            arguments[0] = candidate;
            execve(candidate, arguments, environ);
        }
        path = *end == '\0' ? end : end + 1;
    }
}

int main(int count, char **words)
{
    static char here[PATH_MAX], prefix[PATH_MAX], site[PATH_MAX], script[PATH_MAX], python[PATH_MAX];
    char **arguments = calloc((size_t)count + 4, sizeof *arguments);
    int used = 1;

    if (arguments == NULL)
        fail("start", strerror(errno), "free some memory");
    find_self(here, prefix);
    if (find_package(prefix, site) && join(script, site, "/pyroot/_start.py", "", "")) {
        arguments[used++] = "-IS";
        arguments[used++] = script;
    } else {
        arguments[used++] = "-c";
        arguments[used++] = (char *)with_site;
    }
    for (int i = 1; i < count; i++)
        arguments[used++] = words[i];

    if (join(python, here, "/", PYROOT_PYTHON, "")) {
        arguments[0] = python;
        execve(python, arguments, environ);
        if (errno != ENOENT)
            fail(python, strerror(errno), "install pyroot again with a Python that works");
    }
    exec_on_path(PYROOT_PYTHON, arguments);
    fail(PYROOT_PYTHON, "not found, and this pyroot was built for it",
         "install pyroot again with the Python that you have (python3 -m pip install ...)");
}
