#include "daemon/gate/line.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "lib/own.h"

enum { LINGER_MS = 2000, LINGER_BYTES = 1 << 20 };

int
line_wait(const struct line *l, int fd, short events, uint64_t deadline_usec)
{
	struct pollfd p[] = { { .fd = fd, .events = events }, { .fd = l->privilege, .events = 0 } };
	uint64_t now = clock_usec();
	int n;

	if (now >= deadline_usec)
		return -ETIMEDOUT;
	n = poll(p, ARRAY_SIZE(p), (int)((deadline_usec - now) / USEC_PER_MSEC) + 1);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (p[1].revents & (POLLHUP | POLLERR))
		return -ECANCELED; /* nobody could admit this client */
	return n == 0 ? -ETIMEDOUT : 0;
}

int
line_await(const struct line *l)
{
	struct pollfd p[] = { { .fd = l->privilege, .events = POLLIN }, { .fd = l->fd } };
	uint64_t now;
	int n;

	do {
		now = clock_usec();
		if (now >= l->deadline_usec)
			return -ETIMEDOUT;
		n = poll(p, ARRAY_SIZE(p), (int)((l->deadline_usec - now) / USEC_PER_MSEC) + 1);
	} while (n == 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return -errno;
	return p[0].revents != 0 ? 0 : -ENODATA;
}

/* Readable only when so many bytes are there. */
static int
set_low_water(const struct line *l, size_t n)
{
	int low = (int)n;

	return setsockopt(l->fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)) < 0 ? -errno : 0;
}

/* --- plain text */

static int
look_plain(const struct line *l, void *dst, size_t n)
{
	ssize_t got;
	int r;

	r = set_low_water(l, n);
	if (r < 0)
		return r;
	for (;;) {
		r = line_wait(l, l->fd, POLLIN, l->deadline_usec);
		if (r < 0)
			return r;
		got = recv(l->fd, dst, n, MSG_PEEK | MSG_DONTWAIT);
		if (got == (ssize_t)n)
			return 0;
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		/* readable, but less than the low-water mark: the client's end has closed */
		if (got >= 0)
			return -ENODATA;
	}
}

static int
take_plain(const struct line *l, uint64_t n)
{
	char scratch[4096];
	ssize_t got;
	int r;

	r = set_low_water(l, 1);
	if (r < 0)
		return r;
	while (n > 0) {
		r = line_wait(l, l->fd, POLLIN, l->deadline_usec);
		if (r < 0)
			return r;
		got = recv(l->fd, scratch, n < sizeof(scratch) ? (size_t)n : sizeof(scratch),
			   MSG_DONTWAIT);
		explicit_bzero(scratch, sizeof(scratch));
		if (got == 0)
			return -ENODATA;
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (got > 0)
			n -= (uint64_t)got;
	}
	return 0;
}

/* --- TLS */

/* Until the peer has said, or read, something more. */
static int
wait_peer(struct line *l)
{
	short events = 0;

	(void)tls_push(&l->tls);
	if (tls_may_read(&l->tls))
		events |= POLLIN;
	if (buf_len(&l->tls.out) > 0)
		events |= POLLOUT;
	return line_wait(l, l->fd, events, l->deadline_usec);
}

int
line_secure(struct line *l, SSL_CTX *ctx)
{
	int done = 0;
	int r;

	r = set_low_water(l, 1);
	if (r == 0)
		r = tls_start(&l->tls, ctx, l->fd);
	while (r == 0 && done == 0) {
		done = tls_handshake(&l->tls);
		if (done == 0)
			r = wait_peer(l);
	}
	if (r == 0)
		(void)tls_push(
		    &l->tls); /* the last words of a handshake, also of one that failed */
	l->secure = r == 0 && done > 0;
	if (r < 0)
		return r;
	return done < 0 ? done : 0;
}

static int
fill(struct line *l, size_t n)
{
	ssize_t got;
	int r;

	while (buf_len(&l->tls.in) < n) {
		got = tls_fill(&l->tls);
		if (got < 0)
			return (int)got;
		if (got == 0 && tls_ended(&l->tls))
			return -ENODATA;
		r = got == 0 ? wait_peer(l) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int
take_secure(struct line *l, uint64_t n)
{
	size_t part;
	int r;

	while (n > 0) {
		r = fill(l, 1);
		if (r < 0)
			return r;
		part = buf_len(&l->tls.in);
		if (n < part)
			part = (size_t)n;
		buf_consume(&l->tls.in, part);
		n -= part;
	}
	return 0;
}

/* --- either */

int
line_look(struct line *l, void *dst, size_t n)
{
	int r;

	if (!l->secure)
		return look_plain(l, dst, n);
	r = fill(l, n);
	if (r == 0)
		memcpy(dst, buf_data(&l->tls.in), n);
	return r;
}

int
line_take(struct line *l, uint64_t n)
{
	return l->secure ? take_secure(l, n) : take_plain(l, n);
}

void
line_forget(struct line *l)
{
	if (l->secure)
		buf_wipe_dropped(&l->tls.in);
}

int
line_send(struct line *l, const void *data, size_t len)
{
	if (!l->secure)
		return send(l->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len ? 0
											   : -EPIPE;
	if (tls_write(&l->tls, data, len) < 0)
		return -EPIPE;
	(void)tls_push(&l->tls);
	return l->tls.dead || buf_len(&l->tls.out) > 0 ? -EPIPE : 0;
}

void
line_linger(struct line *l)
{
	uint64_t deadline = clock_usec() + LINGER_MS * USEC_PER_MSEC;
	char scratch[4096];
	size_t seen = 0;
	ssize_t n;

	if (l->secure) {
		tls_close(&l->tls);
		(void)tls_push(&l->tls);
	}
	(void)set_low_water(l, 1);
	(void)shutdown(l->fd, SHUT_WR);
	while (seen < LINGER_BYTES && line_wait(l, l->fd, POLLIN, deadline) == 0) {
		n = recv(l->fd, scratch, sizeof(scratch), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return;
		if (n > 0)
			seen += (size_t)n;
	}
}
