#include "daemon/session/session.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "lib/clock.h"
#include "lib/frame.h"
#include "lib/io.h"
#include "lib/own.h"

enum {
	IN_MAX = 256 << 10,
	OUT_KEEP = 1 << 20, /* above that many unread bytes nothing more is read */
	OUT_GATHER = 64 << 10,
	BODY_GATHER = 16 << 10, /* contents up to that gather with the answers */
	DIRECT =
	    32 << 10,   /* smaller rests of a body come through c->in, with what is behind them */
	TICK_MS = 1000, /* at most so long without a look at the orders */
	TRIM_MS = 2000,
	FAREWELL_MS =
	    2000, /* a session that is to end waits no longer for a client that does not read */
};

int
conn_init(struct conn *c, int fd)
{
	int one = 1;

	*c = (struct conn){ .fd = fd };
	buf_init(&c->in, IN_MAX);
	buf_init(&c->out, OUT_KEEP + 2 * (FRAME_PREFIX + FRAME_HEADER_MAX));
	/* answers are gathered here already; a socket pair to a pump has no such option */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one)) < 0)
		return -errno;
	return io_set_nonblock(fd, 1); /* sendfile(2) has no flag for it */
}

void
conn_done(struct conn *c)
{
	buf_done(&c->in);
	buf_done(&c->out);
	close_fd(&c->fd);
}

void
conn_trim(struct session *s)
{
	buf_trim(&s->conn.in);
	buf_trim(&s->conn.out);
	group_trim(s);
	if (s->chunk != NULL)
		(void)munmap(s->chunk, SESSION_CHUNK);
	s->chunk = NULL;
	(void)malloc_trim(0);
}

/* ---- without waiting */

/* Whether the socket takes nothing now, and will later. */
static bool
is_for_now(int error)
{
	return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

/* Sends what the socket takes now. A client that is gone is no error: reading goes on. */
static bool
push(struct conn *c)
{
	bool moved = false;
	ssize_t n;

	while (buf_len(&c->out) > 0) {
		n = send(c->fd, buf_data(&c->out), buf_len(&c->out), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && is_for_now(errno))
			break;
		c->dead = n < 0;
		buf_consume(&c->out, n < 0 ? buf_len(&c->out) : (size_t)n);
		moved = true;
	}
	return moved;
}

/* Bytes that came; 0: none now, or c->eof. */
static size_t
receive(struct conn *c, void *dst, size_t size)
{
	ssize_t n;

	do {
		n = recv(c->fd, dst, size, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return (size_t)n;
	/* what came before a reset has been read by now: the end, whatever it is called */
	c->eof = n == 0 || errno != EAGAIN;
	return 0;
}

/* Reads ahead into c->in: bytes that came, 0: none now, or c->eof. */
static int
fill(struct conn *c)
{
	uint8_t *at;
	size_t n;
	int r;

	if (c->eof || buf_len(&c->in) == IN_MAX)
		return 0;
	r = buf_reserve(&c->in, IN_MAX - buf_len(&c->in), &at);
	if (r < 0)
		return r;
	n = receive(c, at, buf_room(&c->in));
	buf_added(&c->in, n);
	return (int)n;
}

int
conn_poll(struct session *s)
{
	int r = fill(&s->conn);

	return r < 0 ? r : buf_len(&s->conn.in) > 0;
}

/* ---- waiting */

/* One wait, the only place where the supervisor's poke is let through. What poll(2) found for the
 * connection (events 0: it is not looked at); 0: nothing in time; -EINTR: poked. ms -1: no limit.
 */
static int
await(struct session *s, int events, int ms)
{
	struct pollfd p[] = {
		{ .fd = events != 0 ? s->conn.fd : -1, .events = (short)events },
		{ .fd = s->privilege, .events = 0 },
	};
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
	sigset_t none;
	int n;

	(void)sigemptyset(&none);
	n = ppoll(p, ARRAY_SIZE(p), ms >= 0 ? &t : NULL, &none);
	if (n < 0) {
		report_heartbeat(s);
		return -errno;
	}
	if (p[1].revents != 0) /* the supervisor is gone */
		close_fd(&s->privilege);
	if (s->privilege < 0) /* another one sees by this that we live */
		report_heartbeat(s);
	return p[0].revents;
}

static uint64_t
stall_usec(const struct session *s)
{
	uint64_t usec = atomic_load_explicit(&s->orders->stall_timeout, memory_order_relaxed);

	return usec > 0 ? usec : UINT64_MAX;
}

/* A tick, or what is left of a limit. */
static int
tick_ms(uint64_t left_usec)
{
	uint64_t ms = left_usec / USEC_PER_MSEC + 1;

	return ms < TICK_MS ? (int)ms : TICK_MS;
}

/* The client's next bytes inside a request, or inside the header of one (nothing is served then);
 * or a moment: the caller looks again. */
static int
wait_input(struct session *s, bool header, uint64_t *since)
{
	struct conn *c = &s->conn;
	uint64_t now = clock_usec();
	uint64_t limit = stall_usec(s);
	int group = group_wait_ms(s);
	const char *code;
	int ms, r;

	if (group == 0)
		return group_flush(s);
	if (header && session_ending(s))
		return -ECANCELED;
	if (gap_check(s, &code) < 0)
		return s->report->transfer != 0 ? -EINTR : -ECANCELED;
	if (pace_paused(s))
		return -EINTR;
	if (c->deadline != 0 && now >= c->deadline)
		return -ETIME;
	if (*since == 0)
		*since = now;
	if (now - *since >= limit)
		return -ETIMEDOUT;
	limit -= now - *since;
	if (c->deadline != 0 && c->deadline - now < limit)
		limit = c->deadline - now;
	ms = tick_ms(limit);
	if (group > 0 && group < ms)
		ms = group;
	r = await(s, POLLIN | (buf_len(&c->out) > 0 ? POLLOUT : 0), ms);
	if (r < 0)
		return r == -EINTR ? 0 : r;
	if ((r & POLLOUT) && push(c))
		*since = 0;
	return 0;
}

/* Between two requests: nothing wakes this but the client and the supervisor. */
static int
wait_idle(struct session *s)
{
	struct conn *c = &s->conn;
	int ms = TRIM_MS;
	int r;

	if (group_pending(s))
		return group_flush(s);
	report_state(s, BOARD_IDLE);
	for (;;) {
		if (session_ending(s))
			return -ECANCELED;
		r = await(s, POLLIN | (buf_len(&c->out) > 0 ? POLLOUT : 0), ms);
		if (r < 0 && r != -EINTR)
			return r;
		if (r == 0) {
			conn_trim(s);
			ms = -1;
		}
		if (r > 0 && (r & POLLOUT))
			(void)push(c);
		if (r > 0 && (r & ~POLLOUT))
			return 0;
	}
}

int
conn_need(struct session *s, size_t n, bool idle)
{
	struct conn *c = &s->conn;
	uint64_t since = 0;
	int r;

	while (buf_len(&c->in) < n) {
		if (c->eof)
			return -ENODATA;
		(void)push(c);
		r = fill(c);
		if (r < 0)
			return r;
		if (r > 0 || c->eof) {
			since = 0;
			continue;
		}
		r = idle && buf_len(&c->in) == 0 ? wait_idle(s) : wait_input(s, idle, &since);
		if (r < 0)
			return r;
	}
	return 0;
}

ssize_t
conn_read_body(struct session *s, void *dst, size_t size)
{
	struct conn *c = &s->conn;
	uint64_t since = 0;
	size_t n;
	int r;

	while (buf_len(&c->in) == 0 && size >= DIRECT) {
		n = receive(c, dst, size);
		if (n > 0)
			return (ssize_t)n;
		if (c->eof)
			return -ENODATA;
		(void)push(c);
		r = wait_input(s, false, &since);
		if (r < 0)
			return r;
	}
	r = conn_need(s, 1, false);
	if (r < 0)
		return r;
	n = buf_len(&c->in) < size ? buf_len(&c->in) : size;
	memcpy(dst, buf_data(&c->in), n);
	buf_consume(&c->in, n);
	return (ssize_t)n;
}

int
conn_skip(struct session *s, uint64_t n)
{
	uint8_t scratch[16 << 10];
	ssize_t got;

	while (n > 0) {
		got = conn_read_body(s, scratch, n < sizeof(scratch) ? (size_t)n : sizeof(scratch));
		if (got < 0)
			return (int)got;
		n -= (uint64_t)got;
	}
	return 0;
}

/* ---- sending */

/* Until the client has read something. A session that ends anyway waits FAREWELL_MS. */
static int
wait_output(struct session *s, uint64_t *since)
{
	bool ending = s->leaving || gap_kicked(s);
	uint64_t limit = ending ? FAREWELL_MS * USEC_PER_MSEC : stall_usec(s);
	uint64_t now = clock_usec();
	int r;

	if (*since == 0)
		*since = now;
	if (now - *since >= limit)
		return ending ? -ECANCELED : -ETIMEDOUT;
	r = await(s, POLLOUT, tick_ms(limit - (now - *since)));
	return r < 0 && r != -EINTR ? r : 0;
}

/* Sends until at most keep bytes are left. */
static int
drain(struct session *s, size_t keep)
{
	uint64_t since = 0;
	int r;

	for (;;) {
		if (push(&s->conn))
			since = 0;
		if (buf_len(&s->conn.out) <= keep)
			return 0;
		r = wait_output(s, &since);
		if (r < 0)
			return r;
	}
}

int
conn_put(struct session *s, json_t *object)
{
	struct conn *c = &s->conn;
	int r;

	if (c->dead)
		return 0;
	r = message_append(&c->out, object);
	if (r < 0)
		return r;
	return buf_len(&c->out) > OUT_GATHER ? drain(s, OUT_KEEP) : 0;
}

int
conn_rest(struct session *s, int ms)
{
	struct conn *c = &s->conn;
	int r = await(s, buf_len(&c->out) > 0 ? POLLOUT : 0, ms);

	if (r > 0)
		(void)push(c);
	return r < 0 && r != -EINTR ? r : 0;
}

void
conn_push(struct session *s)
{
	(void)push(&s->conn);
}

int
conn_flush(struct session *s)
{
	return drain(s, 0);
}

/* The queued answers and the content in one call. Content bytes that were taken, 0: none now. */
static size_t
push_with(struct conn *c, const uint8_t *data, size_t len)
{
	struct iovec parts[] = {
		{ .iov_base = buf_data(&c->out), .iov_len = buf_len(&c->out) },
		{ .iov_base = (void *)(uintptr_t)data, .iov_len = len },
	};
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts) };
	size_t first = buf_len(&c->out), taken;
	ssize_t n = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0) {
		c->dead = !is_for_now(errno) && errno != EINTR;
		return 0;
	}
	taken = (size_t)n < first ? (size_t)n : first;
	buf_consume(&c->out, taken);
	return (size_t)n - taken;
}

int
conn_write_body(struct session *s, const void *data, size_t len)
{
	struct conn *c = &s->conn;
	const uint8_t *at = data;
	uint64_t since = 0;
	size_t left, n;
	int r;

	if (!c->dead && len <= BODY_GATHER && buf_len(&c->out) + len <= OUT_GATHER)
		return buf_append(&c->out, data, len);
	while (len > 0 && !c->dead) {
		left = buf_len(&c->out);
		n = push_with(c, at, len);
		at += n;
		len -= n;
		if (n > 0 || buf_len(&c->out) < left) {
			since = 0;
			continue;
		}
		if (c->dead)
			break;
		r = wait_output(s, &since);
		if (r < 0) {
			c->dead = true; /* in the middle of a body no frame can follow */
			return r;
		}
	}
	return c->dead ? -ENODATA : 0;
}

ssize_t
conn_send_file(struct session *s, int fd, uint64_t at, size_t n)
{
	struct conn *c = &s->conn;
	off_t from = (off_t)at;
	uint64_t since = 0;
	ssize_t sent;
	int r = drain(s, 0);

	while (r == 0 && !c->dead) {
		sent = sendfile(c->fd, fd, &from, n);
		if (sent >= 0)
			return sent;
		if (errno == EINTR)
			continue;
		if (!is_for_now(errno))
			return 0;
		r = wait_output(s, &since);
	}
	c->dead = true; /* in the middle of a body no frame can follow */
	return r < 0 ? r : -ENODATA;
}
