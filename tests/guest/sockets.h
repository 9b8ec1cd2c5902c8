/* What the parts of the socket probe share: sockets.c (names), sockets_mail.c (datagrams), sockets_errors.c. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define HEAD offsetof(struct sockaddr_un, sun_path)

void say(const char *label, const char *format, ...);
void show(const char *label, long result, const struct sockaddr_un *name, socklen_t room, socklen_t length);
int named(int type, const char *text);
int bind_text(int fd, const char *text, int extra);
int connect_text(int fd, const char *text);
void own_name(const char *label, int fd, socklen_t room);
void peer_name(const char *label, int fd, socklen_t room);

void test_mail(void);
void test_errors(void);
