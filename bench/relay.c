/* A relay and nothing else: the floor under `python -m bench peers`.

   One epoll loop. `relay PORT BACKEND` joins each peer to a connection of its own, reads every command line
   before it goes on, every reply line before it goes back, and looks for the end of content in blocks. No
   verdict, no policy, no log, no time-outs: what is left when an SMTP proxy does only what it cannot do
   without. What the other side does not take yet is kept, and no more is read until it is gone. */

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

enum { EVENTS = 256, MOST = 65536, LINE = 1024, BLOCK = 1 << 16 };
enum state { COMMANDS, ASKED_DATA, CONTENT, ASKED_TLS, OPAQUE };

struct session;
struct side {
    struct session *session;
    int fd, watched, used; /* `used` bytes of a line that is not whole yet */
    char line[LINE];
    char *kept; /* for this side, which did not take it */
    size_t left, at;
};
struct session {
    enum state state;
    struct side peer, backend;
    char tail[4]; /* the end of the content so far */
};

static struct side *sides[MOST]; /* by descriptor */
static struct session *gone[2 * EVENTS];
static int epoll, dropped;
static char block[LINE + BLOCK];

static void fail(const char *what) { perror(what); exit(1); }

static void end(int signal) { (void)signal; _exit(0); }

static void drop(struct session *session) {
    if (!sides[session->peer.fd]) return; /* twice in one turn */
    close(session->peer.fd), close(session->backend.fd);
    sides[session->peer.fd] = sides[session->backend.fd] = NULL;
    gone[dropped++] = session; /* freed when no event of this turn can mean it */
}

static struct side *other(struct side *side) {
    return side == &side->session->peer ? &side->session->backend : &side->session->peer;
}

static void watch(struct side *side) {
    int events = (other(side)->left ? 0 : EPOLLIN) | (side->left ? EPOLLOUT : 0);
    if (events == side->watched) return;
    struct epoll_event event = {.events = (unsigned)events, .data.fd = side->fd};
    epoll_ctl(epoll, EPOLL_CTL_MOD, side->fd, &event);
    side->watched = events;
}

static void give(struct side *to, const char *data, size_t size) {
    ssize_t sent = to->left ? 0 : send(to->fd, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != ENOTCONN) { drop(to->session); return; }
    if (sent < 0) sent = 0;
    if ((size_t)sent == size) return;
    size -= (size_t)sent;
    char *kept = malloc(to->left + size);
    if (!kept) fail("malloc");
    if (to->left) memcpy(kept, to->kept + to->at, to->left);
    memcpy(kept + to->left, data + sent, size);
    free(to->kept);
    to->kept = kept, to->at = 0, to->left += size;
    watch(to), watch(other(to));
}

static void flush(struct side *to) {
    ssize_t sent = send(to->fd, to->kept + to->at, to->left, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) { drop(to->session); return; }
    if (sent > 0) to->at += (size_t)sent, to->left -= (size_t)sent;
    if (!to->left) free(to->kept), to->kept = NULL;
    watch(to), watch(other(to));
}

/* Returns how much of *data* belongs to the content. */
static size_t content(struct session *session, const char *data, size_t size) {
    char seam[8];
    size_t head = size < 4 ? size : 4;
    memcpy(seam, session->tail, 4);
    memcpy(seam + 4, data, head);
    const char *found = memmem(seam, 4 + head, "\r\n.\r\n", 5);
    size_t taken = found ? (size_t)(found - seam) + 1 : 0;
    if (!found && (found = memmem(data, size, "\r\n.\r\n", 5))) taken = (size_t)(found - data) + 5;
    if (found) session->state = COMMANDS;
    else if (size >= 4) memcpy(session->tail, data + size - 4, 4);
    else memmove(session->tail, session->tail + size, 4 - size), memcpy(session->tail + 4 - size, data, size);
    return found ? taken : size;
}

static void command(struct session *session, const char *line) {
    if (!strncasecmp(line, "DATA", 4)) session->state = ASKED_DATA;
    if (!strncasecmp(line, "STARTTLS", 8)) session->state = ASKED_TLS;
}

static void reply(struct session *session, const char *line) {
    if (line[3] == '-') return;
    if (session->state == ASKED_DATA) {
        session->state = line[0] == '3' ? CONTENT : COMMANDS;
        memcpy(session->tail, "..\r\n", 4); /* a dot alone ends an empty message */
    } else if (session->state == ASKED_TLS) session->state = line[0] == '2' ? OPAQUE : COMMANDS;
}

/* Reads the whole lines of *data* one by one; returns how far they go, or -1 for a line that is too long. */
static ssize_t lines(struct side *from, char *data, size_t size) {
    struct session *session = from->session;
    size_t at = 0;
    while (at < size) {
        if (session->state == OPAQUE) return (ssize_t)size;
        if (session->state == CONTENT && from == &session->peer) {
            at += content(session, data + at, size - at);
            continue;
        }
        char *newline = memchr(data + at, '\n', size - at);
        if (!newline) break;
        (from == &session->peer ? command : reply)(session, data + at);
        at = (size_t)(newline - data) + 1;
    }
    return size - at < LINE ? (ssize_t)at : -1;
}

static void receive(struct side *from) {
    size_t before = (size_t)from->used;
    memcpy(block, from->line, before);
    ssize_t size = recv(from->fd, block + before, BLOCK, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) { drop(from->session); return; }
    size_t whole = before + (size_t)size;
    ssize_t at = lines(from, block, whole);
    if (at < 0) { drop(from->session); return; }
    from->used = (int)(whole - (size_t)at);
    memcpy(from->line, block + at, (size_t)from->used);
    if (at) give(other(from), block, (size_t)at);
}

static void set_up(struct side *side, struct session *session, int fd) {
    int one = 1;
    side->session = session, side->fd = fd, side->watched = EPOLLIN;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
    sides[fd] = side;
}

static void accept_some(int listener, const struct sockaddr_in *backend) {
    for (;;) {
        int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (peer < 0) return;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        struct session *session = calloc(1, sizeof *session);
        if (fd < 0 || fd >= MOST || peer >= MOST || !session) fail("accept");
        if (connect(fd, (const struct sockaddr *)backend, sizeof *backend) < 0 && errno != EINPROGRESS) fail("connect");
        set_up(&session->peer, session, peer);
        set_up(&session->backend, session, fd);
    }
}

int main(int argc, char **argv) {
    struct rlimit limit;
    if (argc != 3) return fprintf(stderr, "usage: relay PORT BACKEND\n"), 2;
    signal(SIGTERM, end);
    if (!getrlimit(RLIMIT_NOFILE, &limit)) limit.rlim_cur = limit.rlim_max, setrlimit(RLIMIT_NOFILE, &limit);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr_in backend = here;
    backend.sin_port = htons((unsigned short)atoi(argv[2]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 4096) < 0) fail("listen");
    epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            struct side *side = sides[fd];
            if (fd == listener) accept_some(listener, &backend);
            else if (side && (events[i].events & EPOLLOUT) && side->left) flush(side);
            else if (side) receive(side);
        }
        while (dropped) {
            struct session *session = gone[--dropped];
            free(session->peer.kept), free(session->backend.kept), free(session);
        }
    }
}
