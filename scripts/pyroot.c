/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The `pyroot` command: find the interpreter and the package that it was installed with, and start _start.py.
 *
 * Decides which Python runs pyroot and with which options. A script could not: installers write the interpreter into its first line
 * without options, and `site`, which then runs, takes a third of a bare interpreter's start; a shell would change the environment,
 * which is the guest's. With -I, PYTHON* variables stay what they are: meant for the guest's programs.
 *
 * setup.py defines PYTHON_NAME ("python3.11") and PYTHON_HOME, the directory of the interpreter that it was built with. The package
 * is compiled for one version of Python, so another one is never tried. Freestanding: no libc, so that nothing has to be loaded.
 */
#define SYS_write 1
#define SYS_access 21
#define SYS_execve 59
#define SYS_exit_group 231
#define SYS_readlink 89
#define R_OK 4
#define X_OK 1
#define AT_EXECFN 31
#define LONGEST 4096
#define FAILURE 125                          /* errors.py has the exit codes */

/* Where installers put packages, from the directory above the command's. */
static const char *const places[] = {
    "/lib/" PYTHON_NAME "/site-packages",    /* a virtual environment, --user, --prefix */
    "/lib/" PYTHON_NAME "/dist-packages",    /* the same with Debian's Python */
    "/lib64/" PYTHON_NAME "/site-packages",  /* Fedora's */
    "",                                      /* --target */
    "/lib/python",                           /* --home */
    "/lib/python3/dist-packages",            /* a Debian package */
};

/* For a package that is elsewhere (an editable install): `site` knows where. */
static const char elsewhere[] =
    "import sys\n"
    "if sys.path[:1] == ['']: del sys.path[0]\n"
    "try:\n"
    "    from pyroot._start import start\n"
    "except ModuleNotFoundError as error:\n"
    "    if not (error.name or '').startswith('pyroot'): raise\n"
    "    sys.stderr.write(f'pyroot: the package pyroot: not found by {sys.executable}\\n')\n"
    "    sys.stderr.write(f'  hint: install it for this Python: {sys.executable} -m pip install ...\\n')\n"
    "    sys.exit(125)\n"
    "sys.argv[0] = 'pyroot'\n"
    "start()\n";

static long call(long number, const void *a, const void *b, const void *c)
{
    __asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return number;
}

static unsigned long length(const char *text)
{
    unsigned long n = 0;

    while (text[n])
        n++;
    return n;
}

/* Write `directory` (its first n bytes) and what follows it into `to`; 0 if it does not fit. */
static int join(char *to, const char *directory, unsigned long n, const char *middle, const char *last)
{
    const char *const parts[] = {middle, last};
    unsigned long at, i, k;

    if (n + length(middle) + length(last) >= LONGEST)
        return 0;
    for (at = 0; at < n; at++)
        to[at] = directory[at];
    for (i = 0; i < 2; i++)
        for (k = 0; parts[i][k]; k++)
            to[at++] = parts[i][k];
    to[at] = 0;
    return 1;
}

static unsigned long parent(const char *path, unsigned long n)
{
    while (n > 0 && path[n - 1] != '/')
        n--;
    return n > 0 ? n - 1 : 0;
}

static int usable(const char *path, long how)
{
    return call(SYS_access, path, (const void *)how, 0) == 0;
}

/* Find the interpreter: beside the command, where it was when this was built, in PATH. */
static int find_python(char *to, const char *here, unsigned long n, char **envp)
{
    const char *path = "", *end;

    if (join(to, here, n, "/", PYTHON_NAME) && usable(to, X_OK))
        return 1;
    if (join(to, PYTHON_HOME, sizeof(PYTHON_HOME) - 1, "/", PYTHON_NAME) && usable(to, X_OK))
        return 1;
    for (; *envp; envp++)
        if ((*envp)[0] == 'P' && (*envp)[1] == 'A' && (*envp)[2] == 'T' && (*envp)[3] == 'H' && (*envp)[4] == '=')
            path = *envp + 5;
    for (; *path; path = *end ? end + 1 : end) {
        for (end = path; *end && *end != ':'; end++)
            ;
        if (*path == '/' && join(to, path, (unsigned long)(end - path), "/", PYTHON_NAME) && usable(to, X_OK))
            return 1;
    }
    return 0;
}

static void say(const char *text)
{
    call(SYS_write, (const void *)2, text, (const void *)length(text));
}

__attribute__((used, noreturn)) static void begin(long *stack)
{
    long argc = stack[0], i, n = 0;
    char **argv = (char **)(stack + 1), **envp = argv + argc + 1, **auxv = envp;
    char self[LONGEST], python[LONGEST], start[LONGEST];
    const char *words[argc + 5];
    unsigned long size, here, top, place;

    size = (unsigned long)call(SYS_readlink, "/proc/self/exe", self, (const void *)(LONGEST - 1L));
    if ((long)size <= 0) {                   /* no /proc: the path that was executed */
        while (*auxv)
            auxv++;
        for (auxv++; auxv[0] && auxv[0] != (char *)AT_EXECFN; auxv += 2)
            ;
        size = auxv[0] ? length(auxv[1]) : 0;
        if (size >= LONGEST || !join(self, auxv[1], size, "", ""))
            size = 0;
    }
    here = parent(self, size);
    top = parent(self, here);
    if (!find_python(python, self, here, envp)) {
        say("pyroot: " PYTHON_NAME ": not found beside the command, in " PYTHON_HOME " and in PATH\n"
            "  hint: pyroot was installed for this version of Python: install it for another one with pip\n");
        call(SYS_exit_group, (const void *)FAILURE, 0, 0);
    }
    for (place = 0; place < sizeof(places) / sizeof(places[0]); place++)
        if (join(start, self, top, places[place], "/pyroot/_start.py") && usable(start, R_OK))
            break;
    words[n++] = python;
    if (place < sizeof(places) / sizeof(places[0])) {
        words[n++] = "-IS";
        words[n++] = start;
    } else {
        words[n++] = "-E";
        words[n++] = "-c";
        words[n++] = elsewhere;
    }
    for (i = 1; i < argc; i++)
        words[n++] = argv[i];
    words[n] = 0;
    call(SYS_execve, python, words, envp);
    say("pyroot: ");
    say(python);
    say(": cannot be executed\n");
    call(SYS_exit_group, (const void *)FAILURE, 0, 0);
    __builtin_unreachable();
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n");
