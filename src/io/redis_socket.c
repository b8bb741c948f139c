/* Connects to Redis and waits for sockets. hiredis could do both, but its sockets become
 * close-on-exec only after they are made, and its timeouts limit each system call, not the command:
 * a server that sends a byte now and then could hold a worker for any time. */
#include "io/redis_socket.h"

#include "base/clock.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <apr_strings.h>

/* Longest single wait: poll() takes an int of milliseconds, at most 24 days. */
#define WAIT_MAX_US APR_TIME_C(60000000)

int la_redis_address(const char *host, int flags, char ip[INET6_ADDRSTRLEN])
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *found = NULL;
    int sound = getaddrinfo(host, NULL, &hints, &found) == 0 && found &&
                getnameinfo(found->ai_addr, found->ai_addrlen, ip, INET6_ADDRSTRLEN, NULL, 0,
                            NI_NUMERICHOST) == 0;

    if (found) {
        freeaddrinfo(found);
    }
    return sound;
}

const char *la_redis_await(int fd, short events, apr_time_t deadline_us)
{
    struct pollfd descriptor = {.fd = fd, .events = events};
    apr_time_t left;

    while ((left = deadline_us - la_clock_us()) > 0) {
        apr_time_t wait = left < WAIT_MAX_US ? left : WAIT_MAX_US;
        int ready = poll(&descriptor, 1, (int)((wait + 999) / 1000));

        if (ready > 0) {
            return NULL;
        }
        if (ready < 0 && errno != EINTR) {
            return "poll failed";
        }
    }
    return "timeout";
}

static const char *reason_of(int error, apr_pool_t *pool)
{
    char text[120];

    return apr_pstrdup(pool, apr_strerror(error, text, sizeof(text)));
}

static const char *await_connection(int fd, apr_time_t deadline_us, apr_pool_t *pool)
{
    const char *reason = la_redis_await(fd, POLLOUT, deadline_us);
    int error = 0;
    socklen_t len = sizeof(error);

    if (reason) {
        return reason;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    return error ? reason_of(error, pool) : NULL;
}

static const char *connect_to(const struct sockaddr *address, socklen_t len, apr_time_t deadline_us,
                              apr_pool_t *pool, int *fd)
{
    int made = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const char *reason;
    int on = 1;

    if (made < 0) {
        return reason_of(errno, pool);
    }
    if (address->sa_family != AF_UNIX) {
        setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    reason = connect(made, address, len) == 0 || errno == EINPROGRESS
                 ? await_connection(made, deadline_us, pool)
                 : reason_of(errno, pool);
    if (reason) {
        close(made);
        return reason;
    }
    *fd = made;
    return NULL;
}

const char *la_redis_connect_tcp(const char *ip, int port, apr_time_t deadline_us, apr_pool_t *pool,
                                 int *fd)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    const char *reason;

    *fd = -1;
    if (!ip[0] || getaddrinfo(ip, apr_itoa(pool, port), &hints, &found) != 0) {
        return "its name has no address";
    }
    reason = connect_to(found->ai_addr, found->ai_addrlen, deadline_us, pool, fd);
    freeaddrinfo(found);
    return reason;
}

const char *la_redis_connect_unix(const char *path, apr_time_t deadline_us, apr_pool_t *pool,
                                  int *fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    *fd = -1;
    if (strlen(path) >= sizeof(address.sun_path)) {
        return "the path of its socket is too long";
    }
    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    return connect_to((struct sockaddr *)&address, sizeof(address), deadline_us, pool, fd);
}
