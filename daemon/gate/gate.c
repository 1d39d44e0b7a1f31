#include "daemon/gate/gate.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <jansson.h>

#include "daemon/common/hello.h"
#include "daemon/common/role.h"
#include "daemon/common/rolelog.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/message.h"
#include "lib/own.h"
#include "lib/request.h"

enum {
	LINGER_MS = 2000,
	LINGER_BYTES = 1 << 20,
	ANSWERS_MAX = 16, /* hello and ping: so many fit into any socket's buffer, unread */
};

struct gate {
	const struct gate_world *world;
	const struct packet_birth *birth;
	int fd, privilege;
	bool said_hello;
	unsigned answers;
};

/* How a step ends: go on, or the gate ends (the client is gone, or was answered). */
enum { STEP_GO_ON = 0, STEP_END = 1 };

/* --- waiting and looking */

static int
wait_readable(const struct gate *g, int fd, uint64_t deadline_usec)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = g->privilege, .events = 0 } };
	uint64_t now = clock_usec();
	int n;

	if (now >= deadline_usec)
		return -ETIMEDOUT;
	n = poll(p, ARRAY_SIZE(p), (int)((deadline_usec - now) / USEC_PER_MSEC) + 1);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (p[1].revents & (POLLHUP | POLLERR))
		return -ECANCELED; /* the supervisor is gone: nobody could admit this client */
	return n == 0 ? -ETIMEDOUT : 0;
}

/* Waits until n bytes lie in the socket and copies them without taking them. */
static int
look(const struct gate *g, void *dst, size_t n)
{
	int low = (int)n;
	ssize_t got;
	int r;

	if (setsockopt(g->fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)) < 0)
		return -errno;
	for (;;) {
		r = wait_readable(g, g->fd, g->birth->deadline_usec);
		if (r < 0)
			return r;
		got = recv(g->fd, dst, n, MSG_PEEK | MSG_DONTWAIT);
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
take(const struct gate *g, uint64_t n)
{
	char scratch[4096];
	ssize_t got;
	int low = 1;
	int r;

	if (setsockopt(g->fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)) < 0)
		return -errno;
	while (n > 0) {
		r = wait_readable(g, g->fd, g->birth->deadline_usec);
		if (r < 0)
			return r;
		got = recv(g->fd, scratch, n < sizeof(scratch) ? (size_t)n : sizeof(scratch),
			   MSG_DONTWAIT);
		if (got == 0)
			return -ENODATA;
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (got > 0)
			n -= (uint64_t)got;
	}
	return 0;
}

/* --- speaking */

/* Answers before login are small and few: what does not fit into the socket's buffer at once would
 * be a client that never reads. */
static int
say(const struct gate *g, json_t *answer, json_t *id)
{
	struct buf out;
	int r;

	if (request_id_is_valid(id) && json_object_set(answer, "id", id) < 0)
		return -ENOMEM;
	buf_init(&out, FRAME_PREFIX + FRAME_HEADER_MAX);
	r = message_append(&out, answer);
	if (r == 0 && send(g->fd, buf_data(&out), buf_len(&out), MSG_DONTWAIT | MSG_NOSIGNAL) !=
			  (ssize_t)buf_len(&out))
		r = -EPIPE;
	buf_done(&out);
	return r;
}

/* The sending side first, and what still comes is read for a moment: closing on unread bytes would
 * take the answer back. */
static void
linger(const struct gate *g)
{
	uint64_t deadline = clock_usec() + LINGER_MS * USEC_PER_MSEC;
	char scratch[4096];
	size_t seen = 0;
	ssize_t n;
	int low = 1;

	(void)setsockopt(g->fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	(void)shutdown(g->fd, SHUT_WR);
	while (seen < LINGER_BYTES && wait_readable(g, g->fd, deadline) == 0) {
		n = recv(g->fd, scratch, sizeof(scratch), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return;
		if (n > 0)
			seen += (size_t)n;
	}
}

static int
refuse(const struct gate *g, json_t *id, const char *code, const char *message,
       const struct packet_verdict *v)
{
	auto_json json_t *a = json_pack("{s:s, s:s, s:s, s:b}", "status", "error", "code", code,
					"message", message, "close", 1);

	if (a == NULL)
		return STEP_END;
	if (v != NULL && v->retry_after_ms > 0)
		(void)json_object_set_new(a, "retry_after_ms",
					  json_integer((json_int_t)v->retry_after_ms));
	if (v != NULL && v->limit != UINT64_MAX)
		(void)json_object_set_new(a, "limit", json_integer((json_int_t)v->limit));
	if (v != NULL && v->current != UINT64_MAX)
		(void)json_object_set_new(a, "current", json_integer((json_int_t)v->current));
	if (say(g, a, id) == 0)
		linger(g);
	return STEP_END;
}

/* --- steps */

/* Asks for a session. On yes the connection has another reader already: nothing may be touched. */
static int
ask_anonymous(struct gate *g, json_t *id)
{
	struct packet_gate q = { .type = GATE_ANONYMOUS, .said_hello = g->said_hello };
	struct packet_verdict v;
	ssize_t n;
	int r;

	if (send(g->privilege, &q, sizeof(q), MSG_NOSIGNAL) != (ssize_t)sizeof(q))
		return -ECANCELED;
	r = wait_readable(g, g->privilege, g->birth->deadline_usec);
	if (r < 0)
		return r;
	n = recv(g->privilege, &v, sizeof(v), MSG_DONTWAIT | MSG_TRUNC);
	if (n != (ssize_t)sizeof(v))
		return -ECANCELED;
	v.code[sizeof(v.code) - 1] = '\0';
	v.message[sizeof(v.message) - 1] = '\0';
	if (v.code[0] == '\0')
		return STEP_END;
	return refuse(g, id, v.code, v.message, &v);
}

static int
answer_hello(struct gate *g, const struct request *rq)
{
	auto_json json_t *answer = NULL;
	int r;

	r = hello_answer(rq->object, g->world->config, g->world->public, g->birth->connection,
			 &answer);
	if (r < 0)
		return refuse(g, rq->id, err_code(r), err_text(r), NULL);
	g->said_hello = true;
	return say(g, answer, rq->id);
}

static int
answer_ping(struct gate *g, const struct request *rq)
{
	auto_json json_t *answer = json_pack("{s:s}", "status", "ok");

	if (answer == NULL)
		return -ENOMEM;
	return say(g, answer, rq->id);
}

/* hello and ping are answered here, so that a login may follow; everything else, and whatever is
 * odd about these two, is the session's. */
static int
serve(struct gate *g, json_t *object, size_t used)
{
	struct request rq;
	int r;

	r = request_read(object, &rq);
	if (r < 0)
		return refuse(g, NULL, err_code(r), err_text(r), NULL);
	if ((strcmp(rq.opt, "hello") != 0 && strcmp(rq.opt, "ping") != 0) ||
	    g->answers++ == ANSWERS_MAX || rq.more || rq.body > FRAME_HEADER_MAX ||
	    (rq.id != NULL && !request_id_is_valid(rq.id)) ||
	    json_object_get(object, "need") != NULL)
		return ask_anonymous(g, rq.id);
	r = take(g, used + rq.body);
	if (r < 0)
		return r;
	return rq.opt[0] == 'h' ? answer_hello(g, &rq) : answer_ping(g, &rq);
}

static int
step_frame(struct gate *g, size_t header_len)
{
	auto_json json_t *request = NULL;
	auto_free uint8_t *bytes = malloc(FRAME_PREFIX + header_len);
	int r;

	if (bytes == NULL)
		return -ENOMEM;
	r = look(g, bytes, FRAME_PREFIX + header_len);
	if (r < 0)
		return r;
	r = message_parse((const char *)bytes + FRAME_PREFIX, header_len, &request);
	if (r < 0)
		return refuse(g, NULL, err_code(r), err_text(r), NULL);
	return serve(g, request, FRAME_PREFIX + header_len);
}

static int
step(struct gate *g)
{
	uint8_t first[FRAME_PREFIX];
	int r;

	r = look(g, first, sizeof(first));
	if (r < 0)
		return r;
	switch (frame_first(first)) {
	case FRAME_FIRST_FRAME:
		r = frame_length(first);
		return r < 0 ? r : step_frame(g, (size_t)r);
	case FRAME_FIRST_BARE:
		return ask_anonymous(g, NULL);
	case FRAME_FIRST_TLS:
		return refuse(g, NULL, "unsupported", "this server does not speak TLS", NULL);
	case FRAME_FIRST_PROXY:
		return refuse(g, NULL, "bad_frame",
			      "a PROXY header is taken from trusted proxies only", NULL);
	case FRAME_FIRST_BAD:
		break;
	}
	return refuse(g, NULL, "bad_frame", err_text(-FTD_E_bad_frame), NULL);
}

int
gate_run(const struct gate_world *world, const struct packet_birth *birth, int connection,
	 int privilege)
{
	struct gate g = {
		.world = world, .birth = birth, .fd = connection, .privilege = privilege
	};
	int r;

	do {
		r = step(&g);
	} while (r == STEP_GO_ON);
	if (r == -ETIMEDOUT) {
		rolelog(6, "no request within the login time, closing");
		(void)refuse(&g, NULL, "timeout", "no request within the login time", NULL);
	}
	/* a client that went away, or a supervisor that did, is an ordinary end */
	return ROLE_EXIT_OK;
}
