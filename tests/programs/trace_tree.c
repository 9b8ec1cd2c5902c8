/* Processes and threads in a fixed order: births, an exec, signals and deaths, for the comparison with strace. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *again[] = {"/proc/self/exe", "end", NULL};

static void *thread(void *unused) {
    close(open("thread", O_RDONLY));
    return unused;
}

static void *executing(void *unused) {
    (void)unused;
    execve(again[0], again, NULL);
    return NULL;
}

int main(int count, char **words) {
    int status, to[2];
    pthread_t one;
    if (count > 1 && strcmp(words[1], "end") == 0) {
        close(open("ended", O_RDONLY));
        return 5;
    }
    if (count > 1 && strcmp(words[1], "exec") == 0) {
        pthread_create(&one, NULL, executing, NULL);
        pthread_join(one, NULL);
    }
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    pid_t child = vfork();
    if (child == 0) {
        execve(again[0], again, NULL);
        _exit(1);
    }
    waitpid(child, &status, 0);
    if (pipe(to) < 0) return 1;
    child = fork();
    if (child == 0) {
        char byte;
        close(to[1]);
        if (read(to[0], &byte, 1) == 1) close(open("child", O_RDONLY));
        abort();
    }
    close(to[0]);
    if (write(to[1], "x", 1) != 1) return 1;
    waitpid(child, &status, 0);
    child = fork();
    if (child == 0) {
        kill(getpid(), SIGSTOP);
        _exit(1);
    }
    waitpid(child, &status, WUNTRACED);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    pthread_create(&one, NULL, thread, NULL);
    pthread_join(one, NULL);
    child = fork();
    if (child == 0) *(volatile int *)8 = 0;
    waitpid(child, &status, 0);
    return 7;
}
