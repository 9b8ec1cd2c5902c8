/* Make calls of every kind that pyroot has a hand in, and print what came of them: under a filter that refuses some call, this has to be
 * what the kernel itself gives under it (tests/test_refused.py).
 *
 *   refused_probe TOP [PROGRAM ARGUMENT]
 *   refused_probe -signal | -left | -stubborn | -group | -read
 *
 * TOP is put in front of absolute paths, and is taken away from those that come back: empty under pyroot, the directory of the root where the
 * kernel alone runs this. The current directory is that directory. At the end PROGRAM is executed in our place. With a word it waits for
 * SIGTERM, ends and leaves a process behind (that ignores SIGTERM), kills its process group, or reads a file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include "refused_probe.h"
#if defined(__x86_64__)
#include "call.h"
#endif

const char *top;

#if !defined(__x86_64__)
#undef printf
/* printf(3) with a mark in front of each line; formats end where lines end. */
void mark(const char *format, ...)
{
    static int begun;
    va_list arguments;

    if (!begun)
        fputs("i386 ", stdout);
    begun = format[strlen(format) - 1] != '\n';
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
}
#define printf mark
#endif

/* A path with the top in front; three may be in use. */
const char *at_top(const char *path)
{
    static char texts[3][PATH_ROOM];
    static int turn;
    char *to = texts[turn++ % 3];

    if (*path != '/')
        return path;
    snprintf(to, PATH_ROOM, "%s%s", top, path);
    return to;
}

/* A text of the kernel as it is below the top. */
const char *below(const char *text)
{
    size_t n = strlen(top);

    if (n == 0 || strncmp(text, top, n))
        return text;
    return text[n] ? text + n : "/";
}

const char *error_name(long result)
{
    return result < 0 ? strerrorname_np((int)-result) : "works";
}

void say(const char *what, const char *more, long result)
{
    printf("%s %s: %s\n", what, more, error_name(result));
}

long make(long number, long a, long b, long c, long d, long e)
{
#if defined(__x86_64__)
    long arguments[6] = {a, b, c, d, e, 0};

    return call(number, arguments);
#else
    long result = syscall(number, a, b, c, d, e, 0);

    return result < 0 ? -errno : result;
#endif
}

void run_child(const char *what, void (*body)(void))
{
    int status = 0;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        body();
        fflush(stdout);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        say(what, "child", -errno);
    else
        printf("%s child: %#x\n", what, status);
}

static volatile sig_atomic_t asked;

static void note(int sig)
{
    asked = sig;
}

static int says(const char *text)
{
    return write(1, text, strlen(text)) == (ssize_t)strlen(text);
}

/* What the supervisor has a part in beside calls. */
static int scene(const char *name)
{
    struct sigaction act = {.sa_handler = note};
    char text[64] = "";
    sigset_t held, before;
    pid_t parent = getpid();

    if (strcmp(name, "-read") == 0) {
        int fd = open("/d/f", O_RDONLY);

        return read(fd, text, sizeof text - 1) <= 0 || !says(text);
    }
    if (strcmp(name, "-group") == 0)
        return kill(0, SIGKILL) ? 1 : 2;
    if (strcmp(name, "-signal") == 0) {
        sigemptyset(&held);
        sigaddset(&held, SIGTERM);
        sigprocmask(SIG_BLOCK, &held, &before);
        sigaction(SIGTERM, &act, NULL);
        if (!says("ready\n"))
            return 1;
        while (!asked)
            sigsuspend(&before);
        return says("got\n") ? 7 : 1;
    }
    if (fork() == 0) {
        if (strcmp(name, "-stubborn") == 0)
            signal(SIGTERM, SIG_IGN);
        while (getppid() == parent)         /* what comes now is for us, no longer for the command */
            usleep(1000);
        says("ready\n");
        close(1);
        close(2);
        for (;;)
            pause();
    }
    return 3;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    if (*argv[1] == '-')
        return scene(argv[1]);
    top = argv[1];
    setvbuf(stdout, NULL, _IOFBF, 1 << 20);
    texts();
#if defined(__x86_64__)
    raw_texts();
    look();
#endif
#if defined(__x86_64__)
    change("change", 8);
#else
    change("change", 3);
#endif
    run_child("programs", programs);
    run_child("births", births);
    run_child("places", places);
    run_child("sockets", sockets);
    listing("/");
    listing("/b");
    listing("/d");
#if defined(__x86_64__)
    memory();
    signals();
    run_child("others", others);
    run_child("filtered", filtered);
    run_child("restricted", restricted);
    run_child("traced", traced);
    run_child("old", old);
    /* (what other guests begin to move makes pyroot more careful) */
    say("rename", "of a directory", rename(at_top("/d"), at_top("/d2")) ? -errno : 0);
    say("rename", "back", rename(at_top("/d2"), at_top("/d")) ? -errno : 0);
    change("change again", 3);
    run_child("small", small);
#endif
    fflush(stdout);
    if (argc > 3)
        execv(at_top(argv[2]), argv + 2);
    return argc > 3;
}
