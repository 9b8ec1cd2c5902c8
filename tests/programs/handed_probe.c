/* Hands views to the pyroot around it by hand (pyroot/_fast/run/handed.pxi), as a hostile inner pyroot might.
 *
 * handed_probe view PATH HOST GUEST...   hand over the view of these bindings and read PATH in it
 * handed_probe late HOST GUEST           enter a view twice, that of somebody else, one that is over
 * handed_probe fuzz SEED TIMES HOST      hand over mutated texts, and enter what is taken
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VIEW = 0x50795231, HAND = 1, ENTER, KILL, OVER, HAS, FORM = 0x70790001 };

static char text[1 << 20];
static size_t length;

static long request(int what, uint64_t a, uint64_t b)
{
    long result = syscall(SYS_ptrace, (long)VIEW, (long)what, a, b);
    return result < 0 ? -errno : result;
}

static void number(uint32_t value)
{
    memcpy(text + length, &value, 4);
    length += 4;
}

static void binding(const char *host, const char *guest)
{
    uint32_t h = strcmp(host, "/") ? strlen(host) : 0, g = strcmp(guest, "/") ? strlen(guest) : 0;
    number(0), number(g), number(h);
    memcpy(text + length, guest, g);
    memcpy(text + length + g, host, h);
    length += g + h;
}

static void begin(uint32_t count)
{
    length = 0;
    number(FORM), number(0), number(count);
}

static long hand(void)
{
    int ends[2];
    long result;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    result = request(HAND, (uint64_t)(uintptr_t)text, (uint64_t)length << 32 | (uint32_t)ends[1]);
    close(ends[0]), close(ends[1]);
    return result;
}

static int in_child(long view, const char *path)
{
    char found[200] = "";
    int status = 0, child = fork();
    if (child == 0) {
        long entered = request(ENTER, view, 0);
        int fd = entered < 0 ? -1 : open(path, O_RDONLY);
        if (entered < 0)
            printf("enter %ld\n", entered);
        else if (fd < 0)
            printf("open -%d\n", errno);
        else
            printf("%.*s", (int)read(fd, found, sizeof found - 1), found);
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return status;
}

static void late(const char *host, const char *guest)
{
    long first, second;
    begin(1), binding(host, guest);
    first = hand(), second = hand();
    printf("numbers %d, has %ld, of another %ld\n", second > first && first > 0, request(HAS, first, getpid()), request(HAS, first + 99, 1));
    printf("enter oneself %ld\n", request(ENTER, first, 0));
    in_child(second + 1, "/marker");
    if (fork() == 0) {
        printf("end that of the parent %ld\n", request(KILL, first, 0));
        printf("enter twice %ld", request(ENTER, first, 0));
        printf(" %ld\n", request(ENTER, first, 0));
        printf("enter beside %ld\n", request(ENTER, second, 0));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    in_child(first, "/marker");
    printf("over %ld", request(OVER, second, 0));
    printf(" %ld, unknown request %ld\n", request(OVER, second, 0), request(77, second, 0));
}

static void fuzz(unsigned seed, int times, const char *host)
{
    int taken = 0;
    srandom(seed);
    for (int i = 0; i < times; i++) {
        int edits = random() % 4, bindings = 1 + random() % 4;
        long view;
        begin(bindings), binding(host, "/");
        for (int k = 1; k < bindings; k++)
            binding(random() % 2 ? host : "/", random() % 2 ? "/a/b" : "/a");
        while (edits--)
            text[random() % length] = (char)(random() % 3 ? random() : "/.\0"[random() % 3]);
        if (random() % 8 == 0)
            length = random() % (length + 1);
        view = hand();
        if (view > 0) {
            taken++;
            if (in_child(view, "/marker") != 0)
                printf("a child died, round %d\n", i);
            request(OVER, view, 0);
        }
    }
    fprintf(stderr, "taken %d\n", taken);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 5 && !strcmp(argv[1], "fuzz")) {
        fuzz(strtoul(argv[2], NULL, 10), atoi(argv[3]), argv[4]);
        return 0;
    }
    if (argc == 4 && !strcmp(argv[1], "late")) {
        late(argv[2], argv[3]);
        return 0;
    }
    begin((argc - 3) / 2);
    for (int i = 3; i + 1 < argc; i += 2)
        binding(argv[i], argv[i + 1]);
    long view = hand();
    if (view < 0)
        printf("hand %ld\n", view);
    else
        in_child(view, argv[2]);
    return 0;
}
