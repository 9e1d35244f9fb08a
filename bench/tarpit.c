/* A tarpit and nothing else: one epoll loop that drips a banner, a byte a second to each peer.

   The floor under `bench.hold`: what holding a peer costs with no interpreter, no policy and no protocol.
   Every peer stands in one of a hundred rings, one for each hundredth of a second; whoever has left is
   closed when its turn comes. `tarpit PORT` listens on loopback until it is told to end. */

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RINGS = 100, TICK_NS = 10000000, BATCH = 64, EVENTS = 1024, MOST = 65536, LENGTH = 250 };

static struct { int next, sent, left; } peers[MOST]; /* by descriptor */
static int rings[RINGS];                             /* the first descriptor of each, 0: none */
static volatile sig_atomic_t ending;

static void end(int signal) { (void)signal; ending = 1; }

static void fail(const char *what) { perror(what); exit(1); }

static long long now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void accept_some(int epoll, int listener, long long tick) {
    for (int i = 0; i < BATCH; i++) {
        int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK), one = 1;
        if (peer < 0) return;
        if (peer >= MOST) { close(peer); continue; }
        setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = peer};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, peer, &event) < 0) fail("epoll_ctl");
        int ring = (tick + 1) % RINGS;
        peers[peer].sent = peers[peer].left = 0;
        peers[peer].next = rings[ring];
        rings[ring] = peer;
    }
}

static void drip(int ring, const char *banner) {
    for (int *link = &rings[ring]; *link;) {
        int peer = *link;
        int over = peers[peer].left || peers[peer].sent == LENGTH;
        if (!over) {
            ssize_t sent = send(peer, banner + peers[peer].sent, 1, MSG_NOSIGNAL);
            over = sent < 0 && errno != EAGAIN;
            peers[peer].sent += sent > 0;
        }
        if (over) { *link = peers[peer].next; close(peer); }
        else link = &peers[peer].next;
    }
}

int main(int count, char **words) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    signal(SIGTERM, end);

    static char banner[LENGTH];
    memset(banner, 'a', LENGTH);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    place.sin_port = htons(count > 1 ? atoi(words[1]) : 0);
    if (bind(listener, (struct sockaddr *)&place, sizeof place) < 0) fail("bind");
    if (listen(listener, 4096) < 0) fail("listen");

    int epoll = epoll_create1(0);
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    long long start = now(), tick = 0;
    while (!ending) {
        long long wait = start + (tick + 1) * TICK_NS - now();
        int ready = epoll_wait(epoll, events, EVENTS, wait > 0 ? (int)((wait + 999999) / 1000000) : 0);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener) accept_some(epoll, listener, tick);
            else if (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) peers[events[i].data.fd].left = 1;
        }
        while (start + (tick + 1) * TICK_NS <= now()) drip(++tick % RINGS, banner);
    }
    return 0;
}
