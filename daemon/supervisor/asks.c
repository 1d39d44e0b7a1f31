#include "daemon/supervisor/asks.h"

#include <errno.h>
#include <sys/socket.h>

#include "daemon/common/access.h"
#include "daemon/supervisor/admission.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/logins.h"
#include "daemon/supervisor/pumps.h"
#include "daemon/supervisor/sessions.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"

/* How long before its deadline a gate that waits for its answer may still get a session. */
#define ANSWER_MARGIN (100 * USEC_PER_MSEC)

/* user as of log_refusal(). */
static void
answer(struct connection *c, const struct packet_verdict *v, const char *user)
{
	if (v->code[0] != '\0') {
		log_refusal(&c->peer, user, v->code, v->message);
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
	answer(c, &v, NULL);
	return 0;
}

/* ---- a session */

/* As much as a connection's: what the kernel gives of it. */
static void
widen(int stream)
{
	const int size = BIRTH_STREAM_BUFFER;

	(void)setsockopt(stream, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* May this gate have a session of any kind now? */
static struct packet_verdict
judge(const struct connection *c, const struct packet_gate *q)
{
	const struct config *cfg = c->sup->config;
	struct access_verdict a;
	uint64_t sessions;

	if (c->sup->draining)
		return verdict_make("draining", "the server is going down", CONNECTIONS_RETRY_MS);
	a = access_plaintext(cfg, &c->peer);
	if (q->tls == 0 && !a.allowed)
		return verdict_make(a.code, "plain text is not allowed from this address", 0);
	if (c->source->sessions >= cfg->sessions_per_address)
		return connections_full("too many sessions from this address",
					cfg->sessions_per_address, c->source->sessions);
	sessions = c->sup->sessions + c->sup->admission->left_behind;
	if (sessions >= cfg->sessions)
		return connections_full("too many sessions", cfg->sessions, sessions);
	return verdict_make("", "", 0);
}

static struct packet_verdict
admit(struct connection *c, const struct packet_gate *q, const struct packet_verified *login)
{
	const struct sessions_newcomer newcomer = { .number = c->number,
						    .connection = q->tls != 0 ? c->stream : c->fd,
						    .peer = &c->peer,
						    .said_hello = q->said_hello != 0,
						    .tls = q->tls,
						    .login = login };
	struct packet_verdict v = verdict_make("", "", 0);

	if (q->tls != 0)
		widen(c->stream);
	(void)sessions_admit(c->sup, &newcomer, &v);
	return v;
}

/* Over TLS the gate leaves the pool, so another one may have its place. */
static void
conclude(struct connection *c, const struct packet_gate *q, const struct packet_verdict *v,
	 const char *user)
{
	struct supervisor *sup = c->sup;

	answer(c, v, user);
	c->admitted = v->code[0] == '\0';
	if (!c->admitted || q->tls == 0)
		return;
	pumps_enter(c, sessions_find(sup, c->number));
	admission_fill(sup);
}

/* ---- GATE_ANONYMOUS: for who has not logged in */

static int
take_anonymous(struct connection *c)
{
	const struct access_subject who = { .loopback = addr_is_loopback(&c->peer) };
	struct packet_verdict v;
	struct access_verdict a;
	struct packet_gate q;
	ssize_t n;

	n = io_recv_packet(c->privilege, &q, sizeof(q), NULL, 0, NULL, MSG_DONTWAIT);
	if (n != (ssize_t)sizeof(q))
		return -EPROTO;
	c->asked = true;
	v = judge(c, &q);
	a = access_anonymous(c->sup->config, &who);
	if (v.code[0] == '\0' && !a.allowed)
		v = verdict_make(a.code, "nothing here is open without a login", 0);
	if (v.code[0] == '\0')
		v = admit(c, &q, NULL);
	conclude(c, &q, &v, NULL);
	return 0;
}

/* ---- GATE_LOGIN: for who says that they are somebody */

/* The packet stays where it is: a verifier will read it. */
static int
take_login(struct connection *c)
{
	struct packet_verdict v;
	struct packet_gate q;

	if (recv(c->privilege, &q, sizeof(q), MSG_PEEK | MSG_DONTWAIT) != (ssize_t)sizeof(q))
		return -EPROTO;
	c->asked = true;
	(void)sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
	v = judge(c, &q);
	if (v.code[0] == '\0' && q.tls == 0 && !addr_is_loopback(&c->peer))
		v = verdict_make("tls_required", "a login from another machine needs TLS", 0);
	if (v.code[0] == '\0' && logins_ask(c, &q) < 0)
		v = verdict_make("busy", "the server cannot take the login now",
				 CONNECTIONS_RETRY_MS);
	if (v.code[0] != '\0')
		conclude(c, &q, &v, NULL);
	return 0;
}

/* Nobody is served as ftd who is to be served as somebody else. */
static bool
can_become(const struct supervisor *sup, const struct packet_verified *login)
{
	if (login->account[0] == '\0' || sup->config->own_uids)
		return true;
	log_line(LOG_ERR, "%s has the account %s, which needs the drop-in own-uids.conf: refused",
		 login->user, login->account);
	return false;
}

static struct packet_verdict
judge_user(const struct connection *c, const struct packet_gate *q,
	   const struct packet_verified *login)
{
	uint64_t most = c->sup->config->sessions_per_user;
	uint64_t sessions = sessions_of_user(c->sup, login->user);

	/* the gate is about to say so itself */
	if (clock_usec() + ANSWER_MARGIN > c->deadline_usec)
		return verdict_make("timeout", "the login could not be checked in time", 0);
	if (sessions >= most)
		return connections_full("too many sessions of this user", most, sessions);
	if (!can_become(c->sup, login))
		return verdict_make("account_disabled", "the server cannot serve this account", 0);
	return judge(c, q);
}

static struct packet_verdict
judge_login(struct connection *c, const struct packet_gate *q, const struct packet_verified *login)
{
	struct packet_verdict v;

	switch (login->result) {
	case VERIFIED_YES:
		v = judge_user(c, q, login);
		return v.code[0] == '\0' ? admit(c, q, login) : v;
	case VERIFIED_NO:
		connections_charge(c, PENALTY_LOGIN);
		return verdict_make("auth_failed", "wrong user or secret", 0);
	case VERIFIED_DISABLED:
		return verdict_make("account_disabled", "the account is disabled", 0);
	default:
		return verdict_make("internal", "the login could not be checked", 0);
	}
}

void
asks_settle(struct connection *c, const struct packet_gate *q, const struct packet_verified *login)
{
	const struct packet_verdict v = judge_login(c, q, login);

	/* where the verifier has not taken the packet it lies there for nobody */
	if (login->result != VERIFIED_BROKEN)
		(void)sd_event_source_set_enabled(c->io, SD_EVENT_ON);
	conclude(c, q, &v, login->result != VERIFIED_BROKEN ? login->user : NULL);
}

/* ---- the table */

static const struct {
	size_t size;
	bool names; /* says who the peer is: before all else, and only behind a proxy */
	int (*take)(struct connection *c);
} asks[] = {
	[GATE_ANONYMOUS] = { sizeof(struct packet_gate), false, take_anonymous },
	[GATE_LOGIN] = { sizeof(struct packet_login), false, take_login },
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
