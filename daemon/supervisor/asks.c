#include "daemon/supervisor/asks.h"

#include <errno.h>
#include <sys/socket.h>

#include "daemon/common/access.h"
#include "daemon/supervisor/admission.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/pumps.h"
#include "daemon/supervisor/sessions.h"
#include "lib/io.h"
#include "lib/own.h"

static void
answer(struct connection *c, const struct packet_verdict *v)
{
	if (v->code[0] != '\0') {
		log_refusal(&c->peer, v->code, v->message);
		c->sup->retired.refused++;
	}
	(void)io_send_packet(c->privilege, v, sizeof(*v), NULL, 0, MSG_DONTWAIT);
}

/* ---- GATE_PEER: the address that a trusted proxy names */

/* Only a proxy that is here itself knows who else is: an address of loopback opens doors. */
static bool
may_name(const struct connection *c, const union addr *peer)
{
	return !addr_is_loopback(peer) || addr_is_loopback(&c->peer);
}

static struct packet_verdict
judge_peer(struct connection *c, const union addr *peer)
{
	struct packet_verdict v = verdict_make("", "", 0);

	if (!may_name(c, peer))
		return verdict_make("address_refused", "the proxy names an address of its own", 0);
	if (connections_name(c, peer) < 0)
		return verdict_make("busy", "the server cannot take the connection now",
				    CONNECTIONS_RETRY_MS);
	(void)admission_welcomes(c->sup, peer, &v);
	return v;
}

/* The address alone, of all that a gate may have put there; AF_UNSPEC: none was named. */
static int
read_peer(const struct connection *c, const union addr *said, union addr *ret)
{
	const void *bytes = &said->in6.sin6_addr;

	if (said->sa.sa_family == AF_UNSPEC) {
		*ret = c->peer;
		return 0;
	}
	if (said->sa.sa_family == AF_INET)
		bytes = &said->in.sin_addr;
	return addr_from_bytes(said->sa.sa_family, bytes, addr_port(said), ret);
}

static int
take_peer(struct connection *c)
{
	struct packet_verdict v;
	struct packet_peer q;
	union addr peer;
	ssize_t n;

	n = io_recv_packet(c->privilege, &q, sizeof(q), NULL, 0, NULL, MSG_DONTWAIT);
	if (n != (ssize_t)sizeof(q) || read_peer(c, &q.peer, &peer) < 0)
		return -EPROTO;
	v = judge_peer(c, &peer);
	c->asked = v.code[0] != '\0'; /* and has its answer */
	answer(c, &v);
	return 0;
}

/* ---- GATE_ANONYMOUS: a session for who has not logged in */

/* As much as a connection's: what the kernel gives of it. */
static void
widen(int stream)
{
	const int size = BIRTH_STREAM_BUFFER;

	(void)setsockopt(stream, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static struct packet_verdict
judge(struct connection *c, const struct packet_gate *q)
{
	const struct config *cfg = c->sup->config;
	const struct access_subject who = { .loopback = addr_is_loopback(&c->peer) };
	const struct sessions_newcomer newcomer = { .number = c->number,
						    .connection = q->tls != 0 ? c->stream : c->fd,
						    .peer = &c->peer,
						    .said_hello = q->said_hello != 0,
						    .tls = q->tls };
	uint64_t sessions;
	struct packet_verdict v = verdict_make("", "", 0);
	struct access_verdict a;

	if (c->sup->draining)
		return verdict_make("draining", "the server is going down", CONNECTIONS_RETRY_MS);
	a = access_plaintext(cfg, &c->peer);
	if (q->tls == 0 && !a.allowed)
		return verdict_make(a.code, "plain text is not allowed from this address", 0);
	a = access_anonymous(cfg, &who);
	if (!a.allowed)
		return verdict_make(a.code, "nothing here is open without a login", 0);
	if (c->source->sessions >= cfg->sessions_per_address)
		return connections_full("too many sessions from this address",
					cfg->sessions_per_address, c->source->sessions);
	sessions = c->sup->sessions + c->sup->admission->left_behind;
	if (sessions >= cfg->sessions)
		return connections_full("too many sessions", cfg->sessions, sessions);
	if (q->tls != 0)
		widen(c->stream);
	(void)sessions_admit(c->sup, &newcomer, &v);
	return v;
}

/* It leaves the pool, so another one may have its place. */
static void
admitted_over_tls(struct connection *c)
{
	struct supervisor *sup = c->sup;

	pumps_enter(c, sessions_find(sup, c->number));
	admission_fill(sup);
}

static int
take_anonymous(struct connection *c)
{
	struct packet_verdict v;
	struct packet_gate q;
	ssize_t n;

	n = io_recv_packet(c->privilege, &q, sizeof(q), NULL, 0, NULL, MSG_DONTWAIT);
	if (n != (ssize_t)sizeof(q))
		return -EPROTO;
	c->asked = true;
	v = judge(c, &q);
	answer(c, &v);
	if (v.code[0] == '\0' && q.tls != 0)
		admitted_over_tls(c);
	return 0;
}

/* ---- the table */

static const struct {
	size_t size;
	bool names; /* says who the peer is: before all else, and only behind a proxy */
	int (*take)(struct connection *c);
} asks[] = {
	[GATE_ANONYMOUS] = { sizeof(struct packet_gate), false, take_anonymous },
	[GATE_PEER] = { sizeof(struct packet_peer), true, take_peer },
};

static bool
is_sound(const struct connection *c, const struct packet_gate *head, size_t size)
{
	bool version = head->tls == 0 || head->tls == CONFIG_TLS_1_2 || head->tls == CONFIG_TLS_1_3;

	return head->type < ARRAY_SIZE(asks) && asks[head->type].take != NULL &&
	       asks[head->type].size == size && asks[head->type].names == c->source->unnamed &&
	       version && !c->asked;
}

int
asks_take(struct connection *c)
{
	struct packet_gate head;
	ssize_t n;

	n = recv(c->privilege, &head, sizeof(head), MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -ENODATA;
	if (n == 0)
		return -ENODATA;
	if ((size_t)n < sizeof(head) || !is_sound(c, &head, (size_t)n))
		return -EPROTO;
	return asks[head.type].take(c);
}
