/* Sixteen threads stat, open, read and list the same tree in different orders, each relative to its own directory fd.
 *
 * Prints what was seen in all; any thread that sees something else than the first makes it exit 1.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS 16
#define ROUNDS 4

struct seen { long files, directories, links, bytes, missing; };

static const char *top;
static struct seen seen[THREADS];

static void look(const char *path, struct seen *sum)
{
    struct stat st, again;
    char full[4096];
    DIR *directory;
    struct dirent *entry;

    if (lstat(path, &st) != 0)
        return;
    if (S_ISLNK(st.st_mode)) {
        sum->links++;
        if (stat(path, &again) != 0)
            sum->missing++;
        return;
    }
    if (S_ISREG(st.st_mode)) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && fstat(fd, &again) == 0 && again.st_ino == st.st_ino)
            sum->bytes += again.st_size;
        if (fd >= 0)
            close(fd);
        sum->files++;
        return;
    }
    sum->directories++;
    if (!(directory = opendir(path)))
        return;
    while ((entry = readdir(directory))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        snprintf(full, sizeof full, "%s/%s", path, entry->d_name);
        look(full, sum);
        snprintf(full, sizeof full, "%s/../%s/no such name", path, strrchr(path, '/') + 1);
        if (access(full, F_OK) == 0 || errno != ENOENT)
            sum->missing += 1000000;
    }
    closedir(directory);
}

static void *work(void *argument)
{
    for (int round = 0; round < ROUNDS; round++)
        look(top, argument);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];

    top = argc > 1 ? argv[1] : "/usr/share/perl";
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, &seen[i]))
            return 2;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 1; i < THREADS; i++)
        if (memcmp(&seen[i], &seen[0], sizeof seen[0]))
            return 1;
    printf("files %ld directories %ld links %ld bytes %ld missing %ld\n", seen[0].files, seen[0].directories,
           seen[0].links, seen[0].bytes, seen[0].missing);
    return 0;
}
