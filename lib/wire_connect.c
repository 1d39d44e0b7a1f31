#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "lib/clock.h"
#include "lib/own.h"
#include "lib/wire.h"

/* Waits for a connect() under way. */
static int
finish_connect(int fd, uint64_t timeout_usec)
{
	const struct wire w = { .fd = fd, .timeout_usec = timeout_usec };
	socklen_t len = sizeof(int);
	int r, error = 0;

	r = wire_wait(&w, POLLOUT);
	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

/* A connected socket or -errno. */
static int
connect_one(const struct addrinfo *ai, uint64_t timeout_usec)
{
	auto_close int fd = -1;
	int on = 1, r;

	fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, ai->ai_protocol);
	if (fd < 0)
		return -errno;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
		if (errno != EINPROGRESS)
			return -errno;
		r = finish_connect(fd, timeout_usec);
		if (r < 0)
			return r;
	}
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return -errno;
	return take_fd(&fd);
}

int
wire_connect_tcp(struct wire *w, const char *host, uint16_t port, uint64_t timeout_usec,
		 int *ret_gai)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV,
	};
	struct addrinfo *list;
	char service[8];
	int fd = -EHOSTUNREACH;

	(void)snprintf(service, sizeof(service), "%u", port);
	*ret_gai = getaddrinfo(host, service, &hints, &list);
	if (*ret_gai != 0)
		return *ret_gai == EAI_SYSTEM ? -errno : -EHOSTUNREACH;
	for (const struct addrinfo *ai = list; ai != NULL && fd < 0; ai = ai->ai_next) {
		fd = connect_one(ai, timeout_usec);
		if (fd == -EINTR)
			break;
	}
	freeaddrinfo(list);
	return fd < 0 ? fd : wire_init(w, fd, timeout_usec);
}

int
wire_connect_unix(struct wire *w, const char *path, uint64_t timeout_usec)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval limit = {
		.tv_sec = (time_t)(timeout_usec / USEC_PER_SEC),
		.tv_usec = (suseconds_t)(timeout_usec % USEC_PER_SEC),
	};
	auto_close int fd = -1;
	size_t len = strlen(path);

	if (len >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	memcpy(sun.sun_path, path, len + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* a full queue makes a blocking connect() wait, for as long as a send may take */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return wire_init(w, take_fd(&fd), timeout_usec);
}
