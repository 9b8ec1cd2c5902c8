/* Datagrams: names of senders and receivers, in calls that take one message and in those that take many. */
#include "sockets.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static struct sockaddr_un address(const char *text)
{
    struct sockaddr_un name = {AF_UNIX, {0}};
    memcpy(name.sun_path, text, strlen(text));
    return name;
}

static void send_one(const char *label, int fd, const char *text, const char *words)
{
    struct sockaddr_un to = address(text);
    long n = sendto(fd, words, strlen(words), 0, (void *)&to, HEAD + strlen(text) + 1);
    say(label, "%ld %s", n, n < 0 ? strerrorname_np(errno) : "");
}

static void receive_one(const char *label, int fd, socklen_t room, int flags)
{
    struct sockaddr_un from;
    socklen_t length = room;
    char got[64] = "";
    memset(&from, 0xee, sizeof from);
    long n = recvfrom(fd, got, sizeof got - 1, flags | MSG_DONTWAIT, (void *)&from, &length);
    show(label, n, &from, room, length);
    if (n >= 0)
        say("words", "%s", got);
}

static void receive_message(const char *label, int fd, socklen_t room)
{
    struct sockaddr_un from;
    char got[64] = "";
    struct iovec io = {got, sizeof got - 1};
    struct msghdr message = {.msg_name = room ? &from : NULL, .msg_namelen = room, .msg_iov = &io, .msg_iovlen = 1};
    memset(&from, 0xee, sizeof from);
    long n = recvmsg(fd, &message, MSG_DONTWAIT);
    show(label, n, &from, room, message.msg_namelen);
    if (n >= 0)
        say("words", "%s, flags %#x, iov %d, control %zu", got, message.msg_flags, (int)message.msg_iovlen, message.msg_controllen);
}

static void test_single(int box)
{
    int nameless = socket(AF_UNIX, SOCK_DGRAM, 0), sender = named(SOCK_DGRAM, "ld/sender"), other = named(SOCK_DGRAM, "/b/other");
    send_one("from nameless", nameless, "/w/box", "one");
    receive_one("received from nameless", box, 110, 0);
    send_one("from named", sender, "ld/box", "two");
    receive_one("peeked", box, 110, MSG_PEEK);
    receive_one("received", box, 110, 0);
    for (socklen_t room = 1; room < 14; room += 4) {
        send_one("from another", other, "/b/../w/box", "three");
        receive_one("received with little room", box, room, 0);
    }
    send_one("to a missing box", sender, "none", "lost");
    receive_one("empty", box, 110, 0);
    send_one("for recvmsg", sender, "box", "four");
    receive_message("message", box, 110);
    send_one("for recvmsg, little room", other, "box", "five");
    receive_message("message with little room", box, 4);
    send_one("for recvmsg, no room", other, "box", "six");
    receive_message("message without name", box, 0);
    say("connect", "%d", connect_text(sender, "box"));
    peer_name("connected", sender, 110);
    say("send", "%zd", send(sender, "seven", 5, 0));
    receive_one("from connected", box, 110, 0);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    say("disconnect", "%d", connect(sender, &none, sizeof none));
    peer_name("disconnected", sender, 110);
    unlink("sender");
    send_one("from a removed name", sender, "box", "eight");
    receive_one("received from a removed name", box, 110, 0);
    close(nameless);
    close(sender);
    close(other);
    unlink("/b/other");
}

static void test_vectors(int box)
{
    static const char *const texts[] = {"/w/ld/box", "/b/box2", "none", "box"};
    struct sockaddr_un names[4];
    struct mmsghdr messages[4] = {0};
    struct iovec io[4];
    char got[4][16];
    int box2 = named(SOCK_DGRAM, "/b/box2"), sender = named(SOCK_DGRAM, "sender");
    for (int i = 0; i < 4; i++) {
        names[i] = address(texts[i]);
        io[i] = (struct iovec){(void *)"part", 4};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_namelen = HEAD + strlen(texts[i]) + 1, .msg_iov = &io[i], .msg_iovlen = 1};
    }
    say("sendmsg", "%zd", sendmsg(sender, &messages[1].msg_hdr, 0));
    receive_one("by sendmsg", box2, 110, 0);
    say("sendmmsg", "%d", sendmmsg(sender, messages, 4, 0));
    say("sent", "%d %d %d", messages[0].msg_len, messages[1].msg_len, messages[2].msg_len);
    for (int i = 0; i < 4; i++)
        say("name afterwards", "%s %d", ((struct sockaddr_un *)messages[i].msg_hdr.msg_name)->sun_path, messages[i].msg_hdr.msg_namelen);
    receive_one("by sendmmsg, first", box, 110, 0);
    receive_one("by sendmmsg, second", box2, 110, 0);
    say("sendmmsg from the missing one", "%d %s", sendmmsg(sender, messages + 2, 2, 0), strerrorname_np(errno));
    say("sendmmsg of none", "%d", sendmmsg(sender, messages, 0, 0));
    for (int i = 0; i < 3; i++)
        send_one("for recvmmsg", i == 1 ? box2 : sender, "box", "many");
    for (int i = 0; i < 4; i++) {
        memset(&names[i], 0xee, sizeof names[i]);
        io[i] = (struct iovec){got[i], sizeof got[i]};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_namelen = i == 2 ? 5 : 110, .msg_iov = &io[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(box, messages, 4, MSG_DONTWAIT, NULL);
    say("recvmmsg", "%d", n);
    for (int i = 0; i < n; i++)
        show("by recvmmsg", messages[i].msg_len, &names[i], i == 2 ? 5 : 110, messages[i].msg_hdr.msg_namelen);
    close(box2);
    close(sender);
    unlink("/b/box2");
    unlink("sender");
}

static void test_descriptors(int box)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr head;
    } control;
    char words[4] = "fd";
    struct iovec io = {words, 2};
    struct sockaddr_un to = address("/w/box");
    int sender = named(SOCK_DGRAM, "sender"), sent = named(SOCK_DGRAM, "/b/sent"), received;
    struct msghdr message = {&to, HEAD + sizeof "/w/box", &io, 1, control.room, sizeof control.room, 0};
    control.head = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.head), &sent, sizeof sent);
    say("sendmsg with a descriptor", "%zd", sendmsg(sender, &message, 0));
    message.msg_namelen = sizeof to;
    memset(&to, 0xee, sizeof to);
    say("recvmsg with a descriptor", "%zd", recvmsg(box, &message, 0));
    show("its sender", 0, &to, sizeof to, message.msg_namelen);
    memcpy(&received, CMSG_DATA(&control.head), sizeof received);
    own_name("the descriptor", received, 110);
    close(sender);
    close(sent);
    close(received);
    unlink("sender");
    unlink("/b/sent");
}

static void test_abstract(void)
{
    struct sockaddr_un name = {AF_UNIX, {0}};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0), pair[2];
    socklen_t length = sizeof name;
    say("autobind", "%d", bind(fd, (void *)&name, sizeof name.sun_family));
    int failed = getsockname(fd, (void *)&name, &length);
    say("autobind name", "%d %d %d", failed, length, name.sun_path[0]);
    close(fd);
    snprintf(name.sun_path, sizeof name.sun_path, "%cpyroot-test-%d", 0, getpid());
    length = HEAD + 12;
    int first = socket(AF_UNIX, SOCK_STREAM, 0), second = socket(AF_UNIX, SOCK_STREAM, 0);
    say("abstract bind", "%d", bind(first, (void *)&name, length));
    own_name("abstract name", first, 110);
    listen(first, 1);
    say("abstract connect", "%d", connect(second, (void *)&name, length));
    peer_name("abstract peer", second, 110);
    close(first);
    close(second);
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    memcpy(name.sun_path, "\0/w/f", 6);
    say("abstract with slashes", "%d", bind(fd, (void *)&name, HEAD + 5));
    own_name("abstract with slashes", fd, 110);
    close(fd);
    say("socketpair", "%d", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    own_name("pair's own", pair[0], 110);
    peer_name("pair's peer", pair[1], 110);
    close(pair[0]);
    close(pair[1]);
}

void test_mail(void)
{
    int box = named(SOCK_DGRAM, "box");
    test_single(box);
    test_vectors(box);
    test_descriptors(box);
    close(box);
    unlink("box");
    test_abstract();
}
