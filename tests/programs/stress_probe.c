/* Much of everything at once: threads, processes, signals at bad moments.  Each mode prints one line of what it counted.
 *
 *   stress_probe threads N ROUNDS     N threads at once, each making path calls
 *   stress_probe serial N [exec]      N children one after another, with an exec each
 *   stress_probe parallel N           N children alive at once, each with a status of its own
 *   stress_probe tree                 forks and executes without end, children of children too
 *   stress_probe reuse                ends with 3; a child of it goes on until another process has the same pid
 *   stress_probe storm WHAT ROUNDS    signals while WHAT runs: exec fork vfork fifo connect accept
 *   stress_probe nested N             N opens of a FIFO, each interrupted by a handler that makes the next
 *   stress_probe loop                 reads "calls N", "execs N", "forks N" from stdin, answers each with "done"
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static long rounds, wrong, signals;
static pthread_barrier_t barrier;

static void check(int right, const char *what)
{
    if (!right && __atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST) < 10)
        fprintf(stderr, "wrong: %s errno %d\n", what, errno);
}

/* A rewritten call, a refused one, one that fails and one of a descriptor. */
static void look(void)
{
    struct stat st;
    char text[64];
    int fd = open("/place/../marker", O_RDONLY | O_CLOEXEC);

    check(fd >= 0 && read(fd, text, sizeof text) == 7 && !memcmp(text, "marker\n", 7), "open and read");
    if (fd >= 0)
        close(fd);
    check(stat("/marker", &st) == 0 && st.st_size == 7, "stat");
    check(access("/no such thing", F_OK) == -1 && errno == ENOENT, "access of nothing");
    check(getcwd(text, sizeof text) && !strcmp(text, "/"), "getcwd");
}

static pid_t wait_for(pid_t pid, int *status)
{
    pid_t got;

    while ((got = waitpid(pid, status, 0)) < 0 && errno == EINTR)
        ;
    return got;
}

static int exited(pid_t pid)
{
    int status = 0;

    return pid > 0 && wait_for(pid, &status) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void *thread_main(void *unused)
{
    pthread_barrier_wait(&barrier);
    for (long i = 0; i < rounds; i++)
        look();
    return unused;
}

static int threads(long count)
{
    pthread_t *all = calloc(count, sizeof *all);
    pthread_attr_t small;

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_barrier_init(&barrier, NULL, count);
    for (long i = 0; i < count; i++)
        if (pthread_create(&all[i], &small, thread_main, NULL)) {
            printf("thread %ld: %s\n", i, strerror(errno));
            exit(2);
        }
    for (long i = 0; i < count; i++)
        pthread_join(all[i], NULL);
    printf("threads %ld wrong %ld\n", count, wrong);
    return wrong != 0;
}

static int serial(long count, int with_exec)
{
    for (long i = 0; i < count; i++) {
        char number[16], *words[] = {"stress", "status", number, NULL};
        pid_t pid;
        snprintf(number, sizeof number, "%ld", i % 250);
        pid = i & 1 ? vfork() : fork();
        if (pid == 0) {
            if (with_exec)
                execve("/place/../stress", words, environ);
            _exit(i % 250);
        }
        check(exited(pid) == i % 250, "status of a child");
    }
    printf("serial %ld wrong %ld\n", count, wrong);
    return wrong != 0;
}

static int parallel(long count)
{
    pid_t *all = calloc(count, sizeof *all);
    int ready[2], go[2];
    char byte;

    if (pipe(ready) || pipe(go))
        return 2;
    for (long i = 0; i < count; i++) {
        all[i] = fork();
        if (all[i] == 0) {
            close(go[1]);
            look();
            check(write(ready[1], "r", 1) == 1, "write");
            check(read(go[0], &byte, 1) == 0, "wait for the others");
            look();
            _exit(wrong ? 251 : i % 250);
        }
        check(all[i] > 0, "fork");
    }
    for (long i = 0; i < count; i++)
        check(read(ready[0], &byte, 1) == 1, "a child is ready");
    close(go[1]);
    for (long i = 0; i < count; i++)
        check(exited(all[i]) == i % 250, "status of a child");
    printf("parallel %ld wrong %ld\n", count, wrong);
    return wrong != 0;
}

static int tree(long depth)
{
    enum { ALIVE = 20 };
    char number[24], *words[] = {"stress", "tree", number, NULL};
    long alive = 0;

    snprintf(number, sizeof number, "%ld", depth + 1);
    if (depth == 0) {
        puts("ready");
        fflush(stdout);
    }
    for (long i = 0; i < (depth ? 12 : 1L << 40); i++) {
        pid_t pid = i & 1 ? vfork() : fork();
        if (pid == 0) {
            if (i % 4 == 3)
                setsid();
            if (depth == 0 || (depth < 3 && i == 7))
                execve("/place/../stress", words, environ);
            _exit(0);
        }
        alive += pid > 0;
        while (alive > 0 && waitpid(-1, NULL, alive < ALIVE ? WNOHANG : 0) > 0)
            alive--;
        look();
    }
    return 0;
}

/* End with 3 and leave a process behind that makes children until one has our pid. */
static int reuse(void)
{
    pid_t command = getpid(), pid;

    if (fork())
        return 3;
    while (getppid() == command)
        usleep(1000);
    for (long i = 0; i < 200000; i++) {
        pid = i & 1 ? vfork() : fork();
        if (pid == 0)
            _exit(0);
        exited(pid);
        if (pid == command) {
            puts("again");
            return 0;
        }
    }
    return 0;
}

/* -- storms ----------------------------------------------------------------------------------------------------------- */

static void handler(int number)
{
    int before = errno;
    struct stat st;

    (void)number;
    signals++;
    check(stat("/place/../marker", &st) == 0 && st.st_size == 7, "stat in the handler");
    errno = before;
}

static void catch(int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

static void tick(long microseconds)
{
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};

    setitimer(ITIMER_REAL, &timer, NULL);
}

/* A process that sends signals to us until we are done; these stay over an exec and are ignored by default, or stop us. */
static pid_t sender(int stops)
{
    pid_t target = getpid(), pid = fork();
    struct timespec pause = {0, 50000};

    if (pid)
        return pid;
    for (unsigned i = 0; getppid() == target; i++) {
        kill(target, stops && i % 8 == 0 ? SIGSTOP : SIGWINCH);
        if (stops && i % 8 == 1)
            kill(target, SIGCONT);
        nanosleep(&pause, NULL);
        if (stops)
            kill(target, SIGCONT);
    }
    _exit(0);
}

/* One link of a chain of executions: the number counts down, the sender goes on. */
static int storm_exec(long left, pid_t pid)
{
    char number[24], who[24], *words[] = {"stress", "chain", number, who, NULL};

    look();
    if (left > 0) {
        snprintf(number, sizeof number, "%ld", left - 1);
        snprintf(who, sizeof who, "%d", pid);
        execve(left & 1 ? "/place/../stress" : "stress", words, environ);
        check(0, "execve");
    }
    kill(pid, SIGKILL);
    wait_for(pid, NULL);
    printf("storm exec wrong %ld\n", wrong);
    return wrong != 0;
}

/* Enough signals have come for the test to be one, however fast or busy the machine is. */
enum { ENOUGH = 10 };

static void storm_births(int with_vfork)
{
    for (long i = 0; i < rounds || signals <= ENOUGH; i++) {
        pid_t pid = with_vfork ? vfork() : fork();
        if (pid == 0) {
            if (!with_vfork && i & 1)
                execl("/place/../stress", "stress", "status", "17", NULL);
            _exit(17);
        }
        check(exited(pid) == 17, "status of a child");
    }
}

/* The other end of the FIFO, in a child, until it is killed.  The reader may have gone when the writer's open returns. */
static pid_t writer(const char *what)
{
    pid_t pid = fork();

    if (pid)
        return pid;
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        struct timespec pause = {0, 1000000};
        int fd = open(what, O_WRONLY);
        check(fd >= 0, "open of the FIFO for writing");
        check(write(fd, "x", 1) == 1 || errno == EPIPE, "write");
        close(fd);
        nanosleep(&pause, NULL);
    }
}

static void storm_fifo(int restart)
{
    pid_t pid;

    unlink("/tmp/stress-fifo");
    check(mkfifo("/tmp/stress-fifo", 0600) == 0, "mkfifo");
    pid = writer("/tmp/stress-fifo");
    tick(150);
    for (long i = 0; i < rounds || signals <= ENOUGH;) {
        char byte = 'x';
        int fd = open("/place/../tmp/stress-fifo", O_RDONLY);
        check(fd >= 0 || (errno == EINTR && !restart), "open of the FIFO for reading");
        if (fd < 0)
            continue;
        check((read(fd, &byte, 1) >= 0 && byte == 'x') || errno == EINTR, "read");
        close(fd);
        i++;
    }
    tick(0);
    kill(pid, SIGKILL);
    check(exited(pid) == -1, "the writer was killed");
}

static void socket_name(struct sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    strcpy(address->sun_path, "/place/../tmp/stress-socket");
}

static int listening(struct sockaddr_un *address)
{
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    socket_name(address);
    unlink(address->sun_path);
    check(s >= 0 && bind(s, (struct sockaddr *)address, sizeof *address) == 0 && listen(s, 0) == 0, "listen");
    return s;
}

/* connect blocks while the queue is full: the child takes one connection a millisecond, until it is killed. */
static void storm_connect(void)
{
    struct sockaddr_un address;
    int s = listening(&address);
    pid_t pid = fork();

    if (pid == 0) {
        while (!wrong) {
            struct timespec pause = {0, 1000000};
            nanosleep(&pause, NULL);
            check(close(accept(s, NULL, NULL)) == 0, "accept");
        }
        _exit(1);
    }
    tick(150);
    for (long i = 0; i < rounds || signals <= ENOUGH;) {
        int c = socket(AF_UNIX, SOCK_STREAM, 0);
        int result = connect(c, (struct sockaddr *)&address, sizeof address);
        check(result == 0 || errno == EINTR, "connect");
        i += result == 0;
        close(c);
    }
    tick(0);
    kill(pid, SIGKILL);
    check(exited(pid) == -1, "the partner was killed");
}

static void storm_accept(void)
{
    struct sockaddr_un address, name;
    int s = listening(&address);
    pid_t pid = fork();

    if (pid == 0) {
        while (!wrong) {
            struct timespec pause = {0, 1000000};
            int c = socket(AF_UNIX, SOCK_STREAM, 0);
            nanosleep(&pause, NULL);
            check(connect(c, (struct sockaddr *)&address, sizeof address) == 0, "connect");
            close(c);
        }
        _exit(1);
    }
    tick(150);
    for (long i = 0; i < rounds || signals <= ENOUGH;) {
        socklen_t length = sizeof name;
        int c = accept(s, (struct sockaddr *)&name, &length);
        check(c >= 0 || errno == EINTR, "accept");
        if (c < 0)
            continue;
        check(length == 2 && name.sun_family == AF_UNIX, "name of an unnamed peer");
        length = sizeof name;
        check(getsockname(c, (struct sockaddr *)&name, &length) == 0 && !strcmp(name.sun_path, address.sun_path), "own name");
        close(c);
        i++;
    }
    tick(0);
    kill(pid, SIGKILL);
    check(exited(pid) == -1, "the partner was killed");
}

static int storm(const char *what)
{
    int restart = !strcmp(what, "fifo-restart");

    if (!strcmp(what, "exec") || !strcmp(what, "exec-stop"))
        return storm_exec(rounds, sender(!strcmp(what, "exec-stop")));
    catch(restart || *what == 'f' || *what == 'v' ? SA_RESTART : 0);
    if (!strcmp(what, "fifo"))
        catch(0);
    if (!strncmp(what, "fifo", 4)) {
        storm_fifo(restart);
    } else if (!strcmp(what, "connect")) {
        storm_connect();
    } else if (!strcmp(what, "accept")) {
        storm_accept();
    } else {
        tick(400);
        storm_births(*what == 'v');
        tick(0);
    }
    printf("storm %s wrong %ld signals %s\n", what, wrong, signals > ENOUGH ? "many" : "few");
    return wrong != 0;
}

/* -- interrupted calls in handlers of interrupted calls ------------------------------------------------------------------ */

enum { DEEPEST = 100 };
static long depth, deepest, opened;

static const char *fifo(long which)
{
    static char names[DEEPEST][48];

    snprintf(names[which], sizeof names[which], "/place/../tmp/stress-fifo-%ld", which);
    return names[which];
}

/* Wait in an open of one FIFO until a signal comes, in whose handler the next one is opened; the last handler lets all go on. */
static void open_next(void)
{
    long which = depth++;
    struct itimerval soon = {{0, 0}, {0, 3000}};
    struct stat st, other;
    int fd;

    setitimer(ITIMER_REAL, &soon, NULL);
    fd = open(fifo(which), O_RDONLY);
    check(fd >= 0 && fstat(fd, &st) == 0 && stat(fifo(which), &other) == 0 && st.st_ino == other.st_ino, "open of the right FIFO");
    opened += fd >= 0;
}

static void deeper(int number)
{
    int before = errno;

    (void)number;
    for (int i = 0; i < 5; i++)
        look();
    if (depth < deepest)
        open_next();
    else
        for (long i = 0; i < deepest; i++)
            check(open(fifo(i), O_RDWR | O_NONBLOCK) >= 0, "open for writing");
    errno = before;
}

static int nested(long count)
{
    struct sigaction action = {.sa_handler = deeper, .sa_flags = SA_RESTART | SA_NODEFER};

    deepest = count < DEEPEST ? count : DEEPEST;
    for (long i = 0; i < deepest; i++) {
        unlink(fifo(i));
        check(mkfifo(fifo(i), 0600) == 0, "mkfifo");
    }
    sigaction(SIGALRM, &action, NULL);
    open_next();
    printf("nested %ld opened %ld wrong %ld\n", depth, opened, wrong);
    return wrong != 0;
}

/* -- the same work again and again, on demand --------------------------------------------------------------------------- */

static int loop(void)
{
    char line[64], what[16];
    long count;

    while (fgets(line, sizeof line, stdin) && sscanf(line, "%15s %ld", what, &count) == 2) {
        struct stat st;
        if (!strcmp(what, "calls"))
            for (long i = 0; i < count; i++)
                check(stat(i % 4 ? "/marker" : "/place/../marker", &st) == 0, "stat");
        else
            serial(count, *what == 'e');
        puts("done");
        fflush(stdout);
    }
    return wrong != 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "", *what = argc > 2 ? argv[2] : NULL;
    long count = what ? atol(what) : 0;

    rounds = argc > 3 ? atol(argv[3]) : 0;
    if (!strcmp(mode, "threads")) return threads(count);
    if (!strcmp(mode, "serial")) return serial(count, argc > 3);
    if (!strcmp(mode, "parallel")) return parallel(count);
    if (!strcmp(mode, "tree")) return tree(count);
    if (!strcmp(mode, "reuse")) return reuse();
    if (!strcmp(mode, "storm") && what) return storm(what);
    if (!strcmp(mode, "chain")) return storm_exec(count, (pid_t)rounds);
    if (!strcmp(mode, "nested")) return nested(count);
    if (!strcmp(mode, "loop")) return loop();
    if (!strcmp(mode, "status")) return (int)count;
    return 99;
}
