#include "daemon/gate/gate.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <jansson.h>

#include "daemon/common/access.h"
#include "daemon/common/hello.h"
#include "daemon/common/role.h"
#include "daemon/common/rolelog.h"
#include "daemon/common/verdict.h"
#include "daemon/gate/line.h"
#include "daemon/gate/login.h"
#include "daemon/gate/proxy_header.h"
#include "daemon/gate/pump.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/message.h"
#include "lib/own.h"
#include "lib/request.h"

enum { ANSWERS_MAX = 16 /* hello and ping: so many fit into any socket's buffer, unread */ };
#define PROXY_TIMEOUT (3 * USEC_PER_SEC)

struct gate {
	const struct gate_world *world;
	struct packet_birth *birth; /* the peer is whom a trusted proxy names, once it has */
	struct line line;
	bool unnamed; /* a trusted proxy has still to say for whom it connects */
	bool said_hello;
	unsigned answers;
	int end; /* ROLE_EXIT_OK, unless the client is to blame */
};

/* How a step ends: go on, or the gate ends (the client is gone, or was answered), or it becomes the
 * pump of the session that was made. */
enum { STEP_GO_ON = 0, STEP_END = 1, STEP_PUMP = 2 };

/* --- speaking */

static int
say(struct gate *g, json_t *answer, json_t *id)
{
	struct buf out;
	int r;

	if (request_id_is_valid(id) && json_object_set(answer, "id", id) < 0)
		return -ENOMEM;
	buf_init(&out, FRAME_PREFIX + FRAME_HEADER_MAX);
	r = message_append(&out, answer);
	if (r == 0)
		r = line_send(&g->line, buf_data(&out), buf_len(&out));
	buf_done(&out);
	return r;
}

static int
refuse(struct gate *g, json_t *id, const struct packet_verdict *v)
{
	auto_json json_t *a = verdict_answer(v);

	if (a != NULL && say(g, a, id) == 0)
		line_linger(&g->line);
	return STEP_END;
}

static int
refuse_code(struct gate *g, json_t *id, const char *code, const char *message)
{
	const struct packet_verdict v = verdict_make(code, message, 0);

	return refuse(g, id, &v);
}

/* What came is not the protocol. */
static int
refuse_nonsense(struct gate *g, int r, const char *message)
{
	g->end = ROLE_EXIT_CLIENT;
	return refuse_code(g, NULL, err_code(r), message);
}

/* --- asking the supervisor */

static struct packet_gate
head(const struct gate *g, enum gate_type type)
{
	return (struct packet_gate){ .type = (uint32_t)type,
				     .said_hello = g->said_hello,
				     .tls = g->line.secure ? tls_version(&g->line.tls) : 0 };
}

/* Its answer to the packet; code "" is yes. */
static int
ask(const struct line *l, const void *packet, size_t size, struct packet_verdict *ret)
{
	ssize_t n;
	int r;

	if (send(l->privilege, packet, size, MSG_NOSIGNAL) != (ssize_t)size)
		return -ECANCELED;
	r = line_await(l);
	if (r < 0)
		return r;
	n = recv(l->privilege, ret, sizeof(*ret), MSG_DONTWAIT | MSG_TRUNC);
	if (n != (ssize_t)sizeof(*ret))
		return -ECANCELED;
	ret->code[sizeof(ret->code) - 1] = '\0';
	ret->message[sizeof(ret->message) - 1] = '\0';
	return 0;
}

/* Asks for a session. On yes a plain connection has another reader already: nothing may be touched.
 */
static int
ask_session(struct gate *g, json_t *id, const void *packet, size_t size)
{
	struct packet_verdict v;
	int r = ask(&g->line, packet, size, &v);

	if (r < 0)
		return r;
	if (v.code[0] == '\0')
		return g->line.secure ? STEP_PUMP : STEP_END;
	return refuse(g, id, &v);
}

static int
ask_anonymous(struct gate *g, json_t *id)
{
	const struct packet_gate q = head(g, GATE_ANONYMOUS);

	return ask_session(g, id, &q, sizeof(q));
}

/* Of the secret that goes to the verifier nothing stays here. */
static int
ask_login(struct gate *g, const struct request *rq, size_t used)
{
	const struct login_line line = { .tls = g->line.secure ? &g->line.tls : NULL,
					 .loopback = addr_is_loopback(&g->birth->peer) };
	char why[REQUEST_WHY_MAX];
	struct packet_login q;
	int r;

	r = login_read(rq, &line, &q, why);
	if (r < 0) {
		explicit_bzero(&q, sizeof(q));
		return refuse_code(g, rq->id, err_code(r), why[0] != '\0' ? why : err_text(r));
	}
	q.head = head(g, GATE_LOGIN);
	r = line_take(&g->line, used);
	line_forget(&g->line);
	if (r == 0)
		r = ask_session(g, rq->id, &q, sizeof(q));
	explicit_bzero(&q, sizeof(q));
	if (r == -ETIMEDOUT) /* which is not the client's fault */
		return refuse_code(g, rq->id, "timeout", "the login could not be checked in time");
	return r;
}

/* Tells whom a trusted proxy speaks for (AF_UNSPEC: nobody but itself), who is then the peer of
 * all that follows, if the supervisor lets them in. */
static int
ask_peer(struct gate *g, const union addr *peer)
{
	const struct packet_peer q = { .head = head(g, GATE_PEER), .peer = *peer };
	struct packet_verdict v;
	int r = ask(&g->line, &q, sizeof(q), &v);

	if (r < 0)
		return r;
	if (v.code[0] != '\0')
		return refuse(g, NULL, &v);
	if (peer->sa.sa_family != AF_UNSPEC)
		g->birth->peer = *peer;
	g->unnamed = false;
	g->line.deadline_usec = g->birth->deadline_usec;
	return STEP_GO_ON;
}

/* --- steps */

static int
answer_hello(struct gate *g, const struct request *rq)
{
	auto_json json_t *answer = NULL;
	int r;

	r = hello_answer(rq->object, g->world->config, g->world->public, g->birth->connection,
			 &answer);
	if (r < 0)
		return refuse_code(g, rq->id, err_code(r), err_text(r));
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

/* Whoever may not speak plain text gets one answer: the supervisor's. */
static bool
is_welcome(const struct gate *g)
{
	return g->line.secure || access_plaintext(g->world->config, &g->birth->peer).allowed;
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
		return refuse_nonsense(g, r, err_text(r));
	if (strcmp(rq.opt, "login") == 0)
		return ask_login(g, &rq, used);
	if ((strcmp(rq.opt, "hello") != 0 && strcmp(rq.opt, "ping") != 0) ||
	    g->answers++ == ANSWERS_MAX || rq.more || rq.body > FRAME_HEADER_MAX ||
	    (rq.id != NULL && !request_id_is_valid(rq.id)) ||
	    json_object_get(object, "need") != NULL || !is_welcome(g))
		return ask_anonymous(g, rq.id);
	r = line_take(&g->line, used + rq.body);
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
	r = line_look(&g->line, bytes, FRAME_PREFIX + header_len);
	if (r < 0)
		return r;
	r = message_parse((const char *)bytes + FRAME_PREFIX, header_len, &request);
	explicit_bzero(bytes, FRAME_PREFIX + header_len);
	if (r < 0)
		return refuse_nonsense(g, r, err_text(r));
	return serve(g, request, FRAME_PREFIX + header_len);
}

/* What fails here is told by TLS itself, and to the administrator who wants to know. */
static int
step_tls(struct gate *g)
{
	int r = line_secure(&g->line, g->world->tls);

	if (r == -EPROTO) {
		rolelog(7, "the TLS handshake failed");
		g->end = ROLE_EXIT_CLIENT;
	}
	return r;
}

/* What follows its header is looked at anew. */
static int
step_header(struct gate *g)
{
	uint8_t bytes[PROXY_HEADER_LOOK];
	union addr peer;
	size_t whole;
	int r;

	r = line_look(&g->line, bytes, PROXY_HEADER_FIXED);
	if (r < 0)
		return r;
	r = proxy_header_length(bytes);
	if (r < 0)
		return refuse_nonsense(g, r, "the PROXY header is none of version 2");
	whole = (size_t)r;
	r = line_look(&g->line, bytes, whole < sizeof(bytes) ? whole : sizeof(bytes));
	if (r < 0)
		return r;
	r = proxy_header_read(bytes, &peer);
	if (r < 0)
		return refuse_nonsense(g, r, "the PROXY header does not fit its addresses");
	r = line_take(&g->line, whole);
	return r < 0 ? r : ask_peer(g, &peer);
}

static int
step(struct gate *g)
{
	const union addr nobody = { .sa.sa_family = AF_UNSPEC };
	uint8_t first[FRAME_PREFIX];
	enum frame_first what;
	int r;

	r = line_look(&g->line, first, sizeof(first));
	if (r < 0)
		return r;
	what = frame_first(first);
	if (g->unnamed)
		return what == FRAME_FIRST_PROXY ? step_header(g) : ask_peer(g, &nobody);
	if (what != FRAME_FIRST_FRAME && g->line.secure)
		what = FRAME_FIRST_BAD; /* inside TLS there are frames and nothing else */
	switch (what) {
	case FRAME_FIRST_FRAME:
		r = frame_length(first);
		return r < 0 ? r : step_frame(g, (size_t)r);
	case FRAME_FIRST_BARE:
		return ask_anonymous(g, NULL);
	case FRAME_FIRST_TLS:
		return step_tls(g);
	case FRAME_FIRST_PROXY:
		return refuse_nonsense(g, -FTD_E_bad_frame,
				       "a PROXY header is taken from trusted proxies only, once");
	case FRAME_FIRST_BAD:
		break;
	}
	return refuse_nonsense(g, -FTD_E_bad_frame, err_text(-FTD_E_bad_frame));
}

/* In the middle of a handshake there are no words for it. */
static void
out_of_time(struct gate *g)
{
	rolelog(6, "no request within the login time, closing");
	g->end = ROLE_EXIT_LATE;
	if (g->line.secure || g->line.tls.ssl == NULL)
		(void)refuse_code(g, NULL, "timeout", "no request within the login time");
}

int
gate_run(const struct gate_world *world, const struct packet_birth *birth, const int *fds)
{
	struct packet_birth own = *birth;
	struct gate g = { .world = world,
			  .birth = &own,
			  .unnamed = (birth->flags & BIRTH_PROXY) != 0,
			  .line = { .fd = fds[BIRTH_CONNECTION],
				    .privilege = fds[BIRTH_PRIVILEGE],
				    .deadline_usec = birth->deadline_usec } };
	uint64_t soon = clock_usec() + PROXY_TIMEOUT;
	int r;

	if (g.unnamed && soon < g.line.deadline_usec)
		g.line.deadline_usec = soon;
	do {
		r = step(&g);
	} while (r == STEP_GO_ON);
	if (r == -ETIMEDOUT)
		out_of_time(&g);
	if (r == STEP_PUMP)
		pump_run(&g.line, fds[BIRTH_STREAM], world->config->stall_timeout);
	tls_done(&g.line.tls);
	/* a client that went away, or a supervisor that did, is an ordinary end */
	return g.end;
}
