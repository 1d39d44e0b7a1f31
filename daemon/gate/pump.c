#include "daemon/gate/pump.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <sys/socket.h>

#include "daemon/common/packet.h"
#include "daemon/common/rolelog.h"
#include "lib/clock.h"
#include "lib/own.h"

enum {
	TRIM_MS = 2000, /* without a byte either way so long: memory is given back */
	TICK_MS = 1000,
};

struct pump {
	struct line *line;
	struct tls *tls;
	int stream;
	struct buf plain;    /* scratch for what the session says */
	bool told;           /* the session knows that nothing more will come */
	bool deaf;           /* the session takes nothing any more */
	bool over;           /* the session has said its last */
	bool gone;           /* the session has closed; what it said may still be on its way */
	bool said;           /* the client knows that nothing more will come */
	uint64_t moved_usec; /* when the client last took something */
};

/* --- client to session */

/* An end that the client did not announce may be a cut: the session sees a short body either way.
 */
static void
tell_end(struct pump *p)
{
	if (!p->tls->closed)
		rolelog(6, "the connection ended without a TLS close");
	(void)shutdown(p->stream, SHUT_WR);
	p->told = true;
}

static bool
pump_up(struct pump *p)
{
	struct buf *in = &p->tls->in;
	bool moved = false;
	ssize_t n;

	/* half empty at least: many small records are not worth a call each */
	if (buf_len(in) < TLS_BUFFER / 2)
		moved = tls_fill(p->tls) > 0;
	if (buf_len(in) > 0) {
		n = p->deaf
			? (ssize_t)buf_len(in)
			: send(p->stream, buf_data(in), buf_len(in), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0)
			buf_consume(in, (size_t)n);
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			p->deaf = true;
		moved |= n > 0 || p->deaf;
	}
	if (!p->told && tls_ended(p->tls) && buf_len(in) == 0)
		tell_end(p);
	return moved;
}

/* --- session to client */

static bool
end_down(struct pump *p)
{
	p->over = true;
	tls_close(p->tls);
	return true;
}

static bool
pump_down(struct pump *p)
{
	struct buf *out = &p->tls->out;
	bool moved = tls_push(p->tls);
	uint8_t *at;
	ssize_t n;

	if (buf_len(out) == 0 && !p->over) {
		if (buf_reserve(&p->plain, TLS_BUFFER, &at) < 0)
			return end_down(p);
		n = recv(p->stream, at, TLS_BUFFER, MSG_DONTWAIT);
		if (n > 0 && tls_write(p->tls, at, (size_t)n) < 0)
			p->tls->dead = true;
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return end_down(p);
		moved |= n > 0;
		moved |= tls_push(p->tls);
	}
	if (p->over && !p->said && buf_len(out) == 0) {
		(void)shutdown(p->line->fd, SHUT_WR);
		p->said = true;
	}
	if (moved)
		p->moved_usec = clock_usec();
	return moved;
}

/* --- waiting */

static int
patience_ms(const struct pump *p, bool trimmed)
{
	if (p->over || p->gone)
		return TICK_MS;
	return trimmed ? -1 : TRIM_MS;
}

static void
trim(struct pump *p)
{
	tls_trim(p->tls);
	buf_trim(&p->plain);
	(void)malloc_trim(0);
}

/* An end that nothing is wanted of is left out, or its hang-up would be told without pause. */
static int
wait_for_more(struct pump *p, int ms)
{
	bool room = buf_len(&p->tls->in) < TLS_BUFFER / 2;
	short client = 0, session = 0;
	int n;

	if (tls_may_read(p->tls) && room)
		client |= POLLIN;
	if (buf_len(&p->tls->out) > 0)
		client |= POLLOUT;
	else if (!p->over)
		session |= POLLIN;
	if (buf_len(&p->tls->in) > 0)
		session |= POLLOUT;

	struct pollfd fds[] = {
		{ .fd = client != 0 ? p->line->fd : -1, .events = client },
		{ .fd = session != 0 || !p->gone ? p->stream : -1, .events = session },
	};
	n = poll(fds, ARRAY_SIZE(fds), ms);
	if (fds[1].revents & (POLLHUP | POLLERR))
		p->gone = p->deaf = true;
	return n;
}

static bool
is_done(const struct pump *p, uint64_t stall_usec)
{
	if (p->said && (p->gone || p->told))
		return true;
	return (p->over || p->gone) && clock_usec() - p->moved_usec > stall_usec;
}

void
pump_run(struct line *l, int stream, uint64_t stall_usec)
{
	struct pump p = { .line = l, .tls = &l->tls, .stream = stream, .moved_usec = clock_usec() };
	const int ahead = BIRTH_STREAM_BUFFER;
	bool moved, trimmed = false;

	l->privilege = -1; /* the supervisor has closed its end: the session hears from it now */
	(void)setsockopt(stream, SOL_SOCKET, SO_SNDBUF, &ahead, sizeof(ahead));
	tls_secrets_over(p.tls);
	buf_init(&p.plain, TLS_BUFFER);
	while (!is_done(&p, stall_usec)) {
		moved = pump_up(&p);
		moved |= pump_down(&p);
		if (moved) {
			trimmed = false;
			continue;
		}
		if (wait_for_more(&p, patience_ms(&p, trimmed)) == 0 && !trimmed) {
			trim(&p);
			trimmed = true;
		}
	}
	if (!tls_ended(p.tls))
		line_linger(l);
	buf_done(&p.plain);
}
