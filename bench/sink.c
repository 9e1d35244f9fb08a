/* The backend of every contestant in `python -m bench peers`: takes every message, keeps none.

   One epoll loop. `sink PORT` listens on loopback until it is told to end, and says in reply to STAT how many
   messages and bytes of content it has had. After STARTTLS it goes on in the clear: a proxy that passes what
   follows as it is cannot tell, and no cipher's cost hides its own. */

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, MOST = 65536, LINE = 1024, BLOCK = 1 << 18 };

struct peer {
    int used, content; /* bytes of the line so far; whether this is content */
    char line[LINE];
    char tail[5]; /* of the content */
};

static struct peer *peers[MOST]; /* by descriptor */
static char block[BLOCK];
static unsigned long long messages, octets;

static const char EHLO[] = "250-sink.test\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-STARTTLS\r\n250 8BITMIME\r\n";

static void fail(const char *what) { perror(what); exit(1); }

static void end(int signal) { (void)signal; _exit(0); }

static void say(int fd, const char *text, size_t size) {
    if (send(fd, text, size, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET) perror("send");
}

static void drop(int fd) {
    free(peers[fd]);
    peers[fd] = NULL;
    close(fd);
}

/* Returns whether the connection goes on. */
static int command(int fd, struct peer *peer) {
    char *line = peer->line, stat[80];
    if (!strncasecmp(line, "EHLO", 4)) say(fd, EHLO, sizeof EHLO - 1);
    else if (!strncasecmp(line, "DATA", 4)) {
        say(fd, "354 go on\r\n", 11);
        peer->content = 1;
        memcpy(peer->tail, "...\r\n", 5); /* a dot alone ends an empty message */
    } else if (!strncasecmp(line, "QUIT", 4)) {
        say(fd, "221 2.0.0 bye\r\n", 15);
        return 0;
    } else if (!strncasecmp(line, "STARTTLS", 8)) say(fd, "220 2.0.0 go on\r\n", 17);
    else if (!strncasecmp(line, "STAT", 4))
        say(fd, stat, (size_t)snprintf(stat, sizeof stat, "250 %llu %llu\r\n", messages, octets));
    else say(fd, "250 2.0.0 ok\r\n", 14);
    return 1;
}

/* The peer waits for the reply to its content, so the end of it is the end of what has come. */
static void content(int fd, struct peer *peer, const char *data, size_t size) {
    octets += size;
    size_t kept = size < 5 ? 5 - size : 0;
    memmove(peer->tail, peer->tail + 5 - kept, kept);
    memcpy(peer->tail + kept, data + size - (5 - kept), 5 - kept);
    if (memcmp(peer->tail, "\r\n.\r\n", 5)) return;
    messages++;
    peer->content = 0;
    say(fd, "250 2.0.0 taken\r\n", 17);
}

static void receive(int fd) {
    struct peer *peer = peers[fd];
    ssize_t size = recv(fd, block, BLOCK, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) { drop(fd); return; }
    for (char *data = block, *last = block + size; data < last;) {
        if (peer->content) { content(fd, peer, data, (size_t)(last - data)); return; }
        char *newline = memchr(data, '\n', (size_t)(last - data));
        size_t length = (size_t)((newline ? newline + 1 : last) - data);
        if (peer->used + length >= LINE) { drop(fd); return; }
        memcpy(peer->line + peer->used, data, length);
        peer->used += (int)length;
        data += length;
        if (!newline) return;
        peer->line[peer->used] = 0;
        peer->used = 0;
        if (!command(fd, peer)) { drop(fd); return; }
    }
}

static void accept_some(int epoll, int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), one = 1;
        if (fd < 0) return;
        if (fd >= MOST || !(peers[fd] = calloc(1, sizeof(struct peer)))) { close(fd); continue; }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
        say(fd, "220 sink.test ESMTP\r\n", 21);
    }
}

int main(int argc, char **argv) {
    struct rlimit limit;
    if (argc != 2) return fprintf(stderr, "usage: sink PORT\n"), 2;
    signal(SIGTERM, end);
    if (!getrlimit(RLIMIT_NOFILE, &limit)) limit.rlim_cur = limit.rlim_max, setrlimit(RLIMIT_NOFILE, &limit);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, epoll = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) fail("listen");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++)
            events[i].data.fd == listener ? accept_some(epoll, listener) : receive(events[i].data.fd);
    }
}
