/* The peers of `python -m bench peers`: the same sessions for every contestant, for little CPU of their own.

   `generator PORT SESSIONS AT_ONCE SIZE SOURCES BLIND RATE`: so many sessions, so many of them at any time, each
   with one message of SIZE bytes, from the addresses 127.8.0.1, 127.8.1.1, ... in turn. As soon as a session
   ends the next one begins (a closed loop); with a RATE, sessions a second, they begin by the clock instead, at
   even distances, while fewer than AT_ONCE are open (an open loop: who serves them rests in between). BLIND 1:
   STARTTLS first, and then in the clear, as `sink.c` does.
   A session lasts from connect to the reply to QUIT. Of each that fails it prints `failed WHEN ADDRESS PORT WHAT`
   (seconds of the monotonic clock; its own end). The last line is JSON; times in microseconds. */

#define _GNU_SOURCE
#include <arpa/inet.h>
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

enum { EVENTS = 256, MOST = 65536, HEARD = 2048, SILENCE = 60000 /* ms */ };
enum step { BANNER, HELLO, TLS, INSIDE, MAIL, RCPT, DATA, CONTENT, QUIT };

struct session {
    enum step step;
    int number, heard;    /* whose name it says; bytes of the reply so far */
    size_t sent;          /* of the content */
    long long began;
    char reply[HEARD];
};

static struct session *sessions[MOST]; /* by descriptor */
static int epoll, port, wanted, begun, ended, failed, at_once, sources, blind, rate;
static char *message, complaint[200];
static size_t length;
static long long *taken;

static void fail(const char *what) { perror(what); exit(1); }

static long long now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

/* Lines as of a text in base64, behind a header as it comes from elsewhere. */
static void write_message(size_t size) {
    static const char HEADER[] =
        "Received: from a.test by b.test; Fri, 6 Nov 2026 09:00:00 +0000\r\nFrom: <a@a.test>\r\nTo: <b@d.test>\r\n"
        "Date: Fri, 6 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@a.test>\r\nSubject: one of many\r\n\r\n";
    if (size < sizeof HEADER + 2) size = sizeof HEADER + 2;
    if (!(message = malloc(size + 3))) fail("malloc");
    memcpy(message, HEADER, length = sizeof HEADER - 1);
    for (unsigned state = 1, column = 0; length + 2 < size; column++) {
        if (column == 76) {
            message[length++] = '\r', message[length++] = '\n', column = 0;
            continue;
        }
        state = state * 1103515245 + 12345;
        message[length++] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[state >> 27];
    }
    memcpy(message + length, "\r\n.\r\n", 5);
    length += 5;
}

static void begin(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, number = begun++ % sources;
    if (fd < 0 || fd >= MOST) fail("socket");
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f080001u + ((unsigned)number << 8));
    to.sin_port = htons((unsigned short)port), to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!sessions[fd] && !(sessions[fd] = malloc(sizeof(struct session)))) fail("malloc");
    *sessions[fd] = (struct session){.number = number, .began = now()};
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0) fail("bind");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) fail("connect");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
}

/* Begins the sessions whose time has come; returns the milliseconds until the next, or those of a silence. */
static int begin_due(long long first) {
    long long at = now();
    while (begun < wanted && begun - ended < at_once && first + begun * 1000000000LL / rate <= at) begin();
    if (begun == wanted || begun - ended >= at_once) return 100;
    long long left = first + begun * 1000000000LL / rate - at;
    return left <= 0 ? 0 : (int)(left / 1000000) + 1;
}

/* Ends a session, which went wrong if there is a reason, and begins the next. */
static void finish(int fd, const char *reason) {
    struct session *session = sessions[fd];
    if (reason) {
        struct sockaddr_in own = {.sin_family = AF_INET};
        socklen_t size = sizeof own;
        getsockname(fd, (struct sockaddr *)&own, &size);
        printf("failed %.6f %s %d step %d: %.*s\n", (double)now() / 1e9, inet_ntoa(own.sin_addr), ntohs(own.sin_port),
               session->step, (int)strcspn(reason, "\r\n"), reason);
        if (!failed++) snprintf(complaint, sizeof complaint, "step %d: %.150s", session->step, reason);
    } else taken[ended - failed] = now() - session->began;
    ended++;
    close(fd);
    if (begun < wanted && !rate) begin();
}

static void send_content(int fd, struct session *session) {
    while (session->sent < length) {
        ssize_t size = send(fd, message + session->sent, length - session->sent, MSG_NOSIGNAL);
        if (size < 0 && errno != EAGAIN) { finish(fd, strerror(errno)); return; }
        if (size < 0) break;
        session->sent += (size_t)size;
    }
    struct epoll_event event = {.events = EPOLLIN | (session->sent < length ? EPOLLOUT : 0), .data.fd = fd};
    if (length > 4096) epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}

/* Says what comes after a good reply. */
static void next(int fd, struct session *session) {
    char line[200];
    int size = 0;
    session->step++;
    if (session->step == TLS && !blind) session->step = MAIL;
    switch (session->step) {
    case HELLO: case INSIDE: size = snprintf(line, sizeof line, "EHLO mail.n%d.test\r\n", session->number); break;
    case TLS: size = snprintf(line, sizeof line, "STARTTLS\r\n"); break;
    case MAIL: size = snprintf(line, sizeof line, "MAIL FROM:<a@n%d.test>\r\n", session->number); break;
    case RCPT: size = snprintf(line, sizeof line, "RCPT TO:<b@d.test>\r\n"); break;
    case DATA: size = snprintf(line, sizeof line, "DATA\r\n"); break;
    case CONTENT: send_content(fd, session); return;
    case QUIT: size = snprintf(line, sizeof line, "QUIT\r\n"); break;
    default: finish(fd, NULL); return;
    }
    if (send(fd, line, (size_t)size, MSG_NOSIGNAL) != size) finish(fd, "a short send");
}

static void receive(int fd) {
    struct session *session = sessions[fd];
    ssize_t size = recv(fd, session->reply + session->heard, (size_t)(HEARD - 1 - session->heard), 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) { finish(fd, size ? strerror(errno) : "closed"); return; }
    session->heard += (int)size;
    session->reply[session->heard] = 0;
    if (session->reply[session->heard - 1] != '\n') return;
    char *last = session->reply + session->heard - 1; /* the last line of what may be several */
    while (last > session->reply && last[-1] != '\n') last--;
    if (strlen(last) < 4 || last[3] == '-') return;
    session->heard = 0;
    if (last[0] != (session->step == DATA ? '3' : '2')) { finish(fd, last); return; }
    next(fd, session);
}

static int compare(const void *one, const void *other) {
    long long a = *(const long long *)one, b = *(const long long *)other;
    return (a > b) - (a < b);
}

static void report(double seconds) {
    struct rusage used;
    int good = ended - failed;
    long long total = 0;
    getrusage(RUSAGE_SELF, &used);
    qsort(taken, (size_t)good, sizeof *taken, compare);
    for (int i = 0; i < good; i++) total += taken[i];
    for (char *c = complaint; *c; c++) if (*c < ' ' || *c == '"' || *c == '\\') *c = ' ';
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
        + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
#define AT(share) (good ? (double)taken[(int)((good - 1) * (share))] / 1e3 : 0.0)
    printf("{\"sessions\": %d, \"failed\": %d, \"seconds\": %.6f, \"cpu\": %.6f, \"p50\": %.1f, \"p99\": %.1f, "
           "\"max\": %.1f, \"mean\": %.1f, \"complaint\": \"%s\"}\n",
           good, failed, seconds, cpu, AT(0.5), AT(0.99), AT(1.0), good ? (double)total / good / 1e3 : 0.0, complaint);
}

int main(int argc, char **argv) {
    struct rlimit limit;
    if (argc != 8) return fprintf(stderr, "usage: generator PORT SESSIONS AT_ONCE SIZE SOURCES BLIND RATE\n"), 2;
    port = atoi(argv[1]), wanted = atoi(argv[2]), at_once = atoi(argv[3]), sources = atoi(argv[5]), blind = atoi(argv[6]), rate = atoi(argv[7]);
    write_message((size_t)atol(argv[4]));
    signal(SIGPIPE, SIG_IGN);
    if (!getrlimit(RLIMIT_NOFILE, &limit)) limit.rlim_cur = limit.rlim_max, setrlimit(RLIMIT_NOFILE, &limit);
    if (!(taken = calloc((size_t)wanted, sizeof *taken)) || (epoll = epoll_create1(0)) < 0) fail("start");
    long long began = now(), heard = began;
    while (!rate && begun < wanted && begun < at_once) begin();
    struct epoll_event events[EVENTS];
    while (ended < wanted) {
        int count = epoll_wait(epoll, events, EVENTS, rate ? begin_due(began) : SILENCE);
        if (count > 0) heard = now();
        if (count == 0 && now() - heard > SILENCE * 1000000LL) {
            failed += wanted - ended, ended = wanted;
            snprintf(complaint, sizeof complaint, "nothing was heard for %d ms", SILENCE);
        }
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) receive(fd);
            else send_content(fd, sessions[fd]);
        }
    }
    report((double)(now() - began) / 1e9);
    return failed != 0;
}
