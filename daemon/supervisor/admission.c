#include "daemon/supervisor/admission.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "daemon/common/access.h"
#include "daemon/supervisor/connections.h"
#include "daemon/supervisor/gates.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/logins.h"
#include "daemon/supervisor/pumps.h"
#include "daemon/supervisor/refusals.h"
#include "lib/clock.h"
#include "lib/own.h"

/* After its own deadline a gate may still say why and wait for the client to read it. */
#define GATE_OVERTIME (3 * USEC_PER_SEC)

/* --- the waiting room */

static bool
pool_has_room(const struct supervisor *sup)
{
	return sup->admission->pool < sup->config->logins;
}

/* Whose turn it is: the source with the fewest gates, then the oldest; NULL: nobody waits. */
static struct connection *
next_in_line(const struct supervisor *sup)
{
	struct connection *best = NULL;

	for (struct connection *c = sup->admission->room.first; c != NULL; c = c->next)
		if (c->stage == STAGE_WAITING &&
		    (best == NULL || c->source->gates < best->source->gates))
			best = c;
	return best;
}

/* Whether there is a place in the pool for it, made at the cost of another source or not. */
static bool
has_place(const struct connection *c)
{
	struct connection *victim;

	if (pool_has_room(c->sup))
		return true;
	victim = gates_unfair(c->sup->admission, c->source);
	if (victim != NULL)
		gates_evict(victim);
	return victim != NULL;
}

/* Who waited may have been banned meanwhile, or charged for what others of its source did. */
void
admission_fill(struct supervisor *sup)
{
	struct connection *c = next_in_line(sup);
	struct packet_verdict v;

	for (; c != NULL; c = next_in_line(sup)) {
		if (!c->source->unnamed && !admission_welcomes(sup, &c->peer, &v))
			connections_refuse(c, &v);
		else if (has_place(c))
			gates_enter(c);
		else
			return;
	}
}

/* It has spoken: a gate now, or it waits for one. */
static void
spoke(struct connection *c)
{
	c->io = sd_event_source_disable_unref(c->io);
	if (has_place(c))
		gates_enter(c);
	else
		c->stage = STAGE_WAITING;
}

static int
on_silent_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct connection *c = userdata;

	(void)source;
	(void)fd;
	if (events & (EPOLLHUP | EPOLLERR))
		connections_free(c);
	else
		spoke(c);
	return 0;
}

/* In a full room the newest of the source that waits most makes place, if that is another's. */
static bool
make_place(struct supervisor *sup, const struct source *newcomer)
{
	struct packet_verdict v = verdict_make(
	    "limit_sessions", "too many connections wait to be served", CONNECTIONS_RETRY_MS);
	struct connection *victim = NULL;

	if (sup->admission->room.n < ADMISSION_WAITING_MAX)
		return true;
	for (struct connection *c = sup->admission->room.last; c != NULL; c = c->prev)
		if (victim == NULL || c->source->waiting > victim->source->waiting)
			victim = c;
	if (victim == NULL || victim->source->waiting <= newcomer->waiting)
		return false;
	connections_refuse(victim, &v);
	return true;
}

/* 1: it has sent something; 0: nothing yet; -1: gone. */
static int
has_spoken(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0)
		return 1;
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static struct connection *
connection_new(struct supervisor *sup, int fd, const union addr *peer, bool proxy)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	*c = (struct connection){
		.sup = sup,
		.stage = STAGE_SILENT,
		.fd = fd,
		.peer = *peer,
		.privilege = -1,
		.stream = -1,
		.pidfd = -1,
		.deadline_usec = clock_usec() + sup->config->login_timeout,
		.source = proxy ? source_hold_unnamed() : source_hold(peer),
	};
	if (c->source == NULL) {
		free(c);
		return NULL;
	}
	return c;
}

static void
refuse_new(struct supervisor *sup, int fd, const union addr *peer, const struct packet_verdict *v)
{
	log_refusal(peer, NULL, v->code, v->message);
	sup->retired.refused++;
	refusals_say(fd, v);
}

/* Rounded up; 0 stays 0. */
static uint64_t
in_ms(uint64_t usec)
{
	return (usec + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
}

bool
admission_welcomes(const struct supervisor *sup, const union addr *peer,
		   struct packet_verdict *ret_verdict)
{
	struct access_verdict a = access_address(sup->config, peer);
	const struct penalty_record *owes = penalties_find(&sup->penalties, peer);
	uint64_t now = clock_usec(), left;
	const struct ban *ban;

	if (!a.allowed) {
		*ret_verdict = verdict_make(a.code, "this address is not served", 0);
		return false;
	}
	ban = bans_find(&sup->bans, peer, now);
	if (ban != NULL) {
		left = ban->until_usec != UINT64_MAX ? ban->until_usec - now : 0;
		*ret_verdict =
		    verdict_make("address_refused", "this address is banned", in_ms(left));
		return false;
	}
	left = owes != NULL ? penalties_refused(owes, sup->config->penalty, now) : 0;
	if (left > 0)
		*ret_verdict = verdict_make("address_refused",
					    "too many failures from this address", in_ms(left));
	return left == 0;
}

void
admission_accept(struct supervisor *sup, int fd, const union addr *peer)
{
	struct packet_verdict v =
	    verdict_make("busy", "the server cannot take the connection now", CONNECTIONS_RETRY_MS);
	auto_close int own = fd;
	bool proxy = access_proxy(sup->config, peer);
	bool welcome = proxy || admission_welcomes(sup, peer, &v);
	struct connection *c;
	int spoken;

	if (sup->draining)
		v = verdict_make("draining", "the server is going down", CONNECTIONS_RETRY_MS);
	c = welcome && !sup->draining ? connection_new(sup, fd, peer, proxy) : NULL;
	if (c == NULL) {
		refuse_new(sup, take_fd(&own), peer, &v);
		return;
	}
	(void)take_fd(&own); /* the connection's now */
	if (!make_place(sup, c->source)) {
		v = verdict_make("limit_sessions", "too many connections wait to be served",
				 CONNECTIONS_RETRY_MS);
		refuse_new(sup, take_fd(&c->fd), peer, &v);
		source_release(c->source);
		free(c);
		return;
	}
	c->number = ids_next(&sup->ids);
	connections_append(&sup->admission->room, c);
	c->source->waiting++;
	spoken = has_spoken(c->fd);
	if (spoken > 0)
		spoke(c);
	else if (spoken < 0 || sd_event_add_io(sup->event, &c->io, c->fd, EPOLLIN | EPOLLRDHUP,
					       on_silent_readable, c) < 0)
		connections_free(c);
}

/* --- time */

void
admission_tick(struct supervisor *sup)
{
	struct packet_verdict v = verdict_make("timeout", "no request within the login time", 0);
	struct connection *next;
	uint64_t now = clock_usec();

	for (struct connection *c = sup->admission->room.first; c != NULL; c = next) {
		next = c->next;
		if (now < c->deadline_usec)
			continue;
		v = c->stage == STAGE_WAITING
			? verdict_make("limit_sessions", "the server is busy", CONNECTIONS_RETRY_MS)
			: verdict_make("timeout", "no request within the login time", 0);
		if (c->stage == STAGE_SILENT)
			connections_charge(c, PENALTY_LATE);
		connections_refuse(c, &v);
	}
	for (struct connection *c = sup->admission->gates.first; c != NULL; c = c->next)
		if (now >= c->deadline_usec + GATE_OVERTIME)
			connections_kill(c);
	pumps_tick(sup);
	refusals_tick();
	admission_fill(sup);
}

void
admission_refuse_all(struct supervisor *sup, const char *code, const char *message)
{
	struct packet_verdict v = verdict_make(code, message, CONNECTIONS_RETRY_MS);

	while (sup->admission->room.first != NULL)
		connections_refuse(sup->admission->room.first, &v);
}

void
admission_view(const struct supervisor *sup, struct admission_view *ret)
{
	*ret = (struct admission_view){ .gates = sup->admission->pool,
					.waiting = sup->admission->room.n,
					.pumps = sup->admission->pumps.n };
}

int
admission_start(struct supervisor *sup)
{
	sup->admission = calloc(1, sizeof(*sup->admission));
	logins_start(sup);
	return sup->admission == NULL ? -ENOMEM : 0;
}

void
admission_stop(struct supervisor *sup)
{
	struct admission *a = sup->admission;

	if (a == NULL)
		return;
	while (a->room.first != NULL)
		connections_free(a->room.first);
	pumps_kill(sup);
	while (a->pumps.first != NULL)
		connections_free(a->pumps.first);
	for (struct connection *c = a->gates.first; c != NULL; c = a->gates.first) {
		connections_kill(c);
		connections_free(c);
	}
	logins_stop();
	free(a);
	sup->admission = NULL;
}
