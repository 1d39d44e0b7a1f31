#include "daemon/supervisor/admission.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/common/access.h"
#include "daemon/common/role.h"
#include "daemon/supervisor/houses.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/refusals.h"
#include "daemon/supervisor/sessions.h"
#include "daemon/supervisor/sources.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"

/* After its own deadline a gate may still say why and wait for the client to read it. */
#define GATE_OVERTIME (3 * USEC_PER_SEC)
enum { RETRY_MS = 1000 };

enum stage { STAGE_SILENT, STAGE_WAITING, STAGE_GATE, STAGE_EVICTED };

struct connection {
	struct connection *prev, *next; /* in the room or among the gates, oldest first */
	struct supervisor *sup;
	enum stage stage;
	uint64_t number;
	int fd;
	union addr peer;
	struct source *source;
	uint64_t deadline_usec;

	/* STAGE_GATE */
	uint64_t house;
	pid_t pid; /* 0 until born */
	int privilege;
	bool asked;
	sd_event_source *io; /* STAGE_SILENT: the connection; STAGE_GATE: the privilege socket */
	sd_event_source *child;
};

struct list {
	struct connection *first, *last;
	uint32_t n;
};

struct admission {
	struct list room, gates;
	uint32_t pool; /* gates that count: not evicted */
};

/* --- lists and records */

static void
list_append(struct list *l, struct connection *c)
{
	c->prev = l->last;
	c->next = NULL;
	if (l->last != NULL)
		l->last->next = c;
	else
		l->first = c;
	l->last = c;
	l->n++;
}

static void
list_remove(struct list *l, struct connection *c)
{
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		l->first = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	else
		l->last = c->prev;
	l->n--;
}

/* Takes it out of whatever it counts in. */
static void
leave_stage(struct connection *c)
{
	struct admission *a = c->sup->admission;

	if (c->stage == STAGE_SILENT || c->stage == STAGE_WAITING) {
		list_remove(&a->room, c);
		c->source->waiting--;
		return;
	}
	list_remove(&a->gates, c);
	if (c->stage == STAGE_GATE) {
		c->source->gates--;
		a->pool--;
	}
}

static void
connection_free(struct connection *c)
{
	leave_stage(c);
	(void)sd_event_source_disable_unref(c->io);
	(void)sd_event_source_disable_unref(c->child);
	source_release(c->source);
	close_fd(&c->fd);
	close_fd(&c->privilege);
	free(c);
}

static void
refuse_and_free(struct connection *c, const struct packet_verdict *v)
{
	log_refusal(&c->peer, v->code, v->message);
	c->sup->retired.refused++;
	refusals_say(take_fd(&c->fd), v);
	connection_free(c);
}

static struct packet_verdict
verdict(const char *code, const char *message, uint64_t retry_after_ms)
{
	struct packet_verdict v = { .retry_after_ms = retry_after_ms,
				    .limit = UINT64_MAX,
				    .current = UINT64_MAX };

	(void)snprintf(v.code, sizeof(v.code), "%s", code);
	(void)snprintf(v.message, sizeof(v.message), "%s", message);
	return v;
}

static struct packet_verdict
full_verdict(const char *message, uint64_t limit, uint64_t current)
{
	struct packet_verdict v = verdict("limit_sessions", message, RETRY_MS);

	v.limit = limit;
	v.current = current;
	return v;
}

/* --- gates */

static void fill_pool(struct supervisor *sup);

static bool
is_crash(const siginfo_t *si)
{
	if (si->si_code != CLD_KILLED && si->si_code != CLD_DUMPED)
		return false;
	return si->si_status != SIGKILL && si->si_status != SIGTERM;
}

static int
on_gate_death(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct connection *c = userdata;
	struct supervisor *sup = c->sup;

	(void)source;
	if (is_crash(si)) {
		log_line(LOG_ERR, "a gate crashed (signal %d), replacing its house", si->si_status);
		houses_crashed(sup, HOUSE_GATE);
	} else if (si->si_code == CLD_EXITED && si->si_status != ROLE_EXIT_OK) {
		log_line(LOG_ERR, "a gate ended with class %d", si->si_status);
	}
	connection_free(c);
	fill_pool(sup);
	return 0;
}

static struct packet_verdict
judge(struct connection *c, const struct packet_gate *q)
{
	const struct config *cfg = c->sup->config;
	const struct access_subject who = { .loopback = addr_is_loopback(&c->peer) };
	struct packet_verdict v = verdict("", "", 0);
	struct access_verdict a;

	if (c->sup->draining)
		return verdict("draining", "the server is going down", RETRY_MS);
	a = access_plaintext(cfg, &c->peer);
	if (!a.allowed)
		return verdict(a.code, "plain text is not allowed from this address", 0);
	a = access_anonymous(cfg, &who);
	if (!a.allowed)
		return verdict(a.code, "nothing here is open without a login", 0);
	if (c->source->sessions >= cfg->sessions_per_address)
		return full_verdict("too many sessions from this address",
				    cfg->sessions_per_address, c->source->sessions);
	if (c->sup->sessions >= cfg->sessions)
		return full_verdict("too many sessions", cfg->sessions, c->sup->sessions);
	(void)sessions_admit(c->sup, c->number, c->fd, &c->peer, q->said_hello != 0, &v);
	return v;
}

/* The gate may ask once; anything else it says ends it. */
static int
on_gate_packet(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct connection *c = userdata;
	struct packet_verdict v;
	struct packet_gate q;
	ssize_t n;

	(void)source;
	(void)events;
	n = io_recv_packet(fd, &q, sizeof(q), NULL, 0, NULL, MSG_DONTWAIT);
	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n != (ssize_t)sizeof(q) || q.type != GATE_ANONYMOUS || c->asked) {
		c->io = sd_event_source_disable_unref(c->io);
		if (n > 0 || n == -EMSGSIZE || n == -EPROTO) {
			log_line(LOG_WARNING, "a gate broke its protocol, ending it");
			(void)sd_event_source_send_child_signal(c->child, SIGKILL, NULL, 0);
		}
		return 0;
	}
	c->asked = true;
	v = judge(c, &q);
	if (v.code[0] != '\0') {
		log_refusal(&c->peer, v.code, v.message);
		c->sup->retired.refused++;
	}
	(void)io_send_packet(c->privilege, &v, sizeof(v), NULL, 0, MSG_DONTWAIT);
	return 0;
}

static int
gate_open(struct connection *c)
{
	struct packet_birth b = {
		.connection = c->number,
		.generation = c->sup->generation,
		.deadline_usec = c->deadline_usec,
		.peer = c->peer,
		.flags = addr_is_loopback(&c->peer) ? BIRTH_LOOPBACK : 0,
	};
	auto_close int theirs = -1;
	int pair[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	c->privilege = pair[0];
	theirs = pair[1];
	r = sd_event_add_io(c->sup->event, &c->io, c->privilege, EPOLLIN, on_gate_packet, c);
	if (r >= 0)
		r = houses_birth(c->sup, HOUSE_GATE, &b, c->fd, theirs, &c->house);
	return r;
}

/* From the room, or new, to the pool. */
static void
enter_pool(struct connection *c)
{
	struct admission *a = c->sup->admission;
	struct packet_verdict v;
	int r;

	c->io = sd_event_source_disable_unref(c->io);
	leave_stage(c);
	c->stage = STAGE_GATE;
	list_append(&a->gates, c);
	c->source->gates++;
	a->pool++;
	r = gate_open(c);
	if (r < 0) {
		log_line(LOG_WARNING, "cannot start a gate, refusing the connection: %s",
			 strerror(-r));
		v = verdict("busy", "the server cannot take the connection now", RETRY_MS);
		refuse_and_free(c, &v);
	}
}

void
admission_born(struct supervisor *sup, uint64_t connection, pid_t pid)
{
	struct packet_verdict v =
	    verdict("busy", "the server cannot take the connection now", RETRY_MS);
	struct connection *c = sup->admission->gates.first;
	int r;

	while (c != NULL && c->number != connection)
		c = c->next;
	if (c == NULL || c->pid != 0)
		return; /* told twice */
	c->house = 0;
	c->pid = pid;
	r = pid <= 0 ? -EAGAIN
		     : sd_event_add_child(sup->event, &c->child, pid, WEXITED, on_gate_death, c);
	if (r < 0) {
		refuse_and_free(c, &v);
		return;
	}
	if (c->stage == STAGE_EVICTED)
		(void)sd_event_source_send_child_signal(c->child, SIGKILL, NULL, 0);
}

int
admission_of_pid(const struct supervisor *sup, pid_t pid, uint64_t *ret_number,
		 union addr *ret_peer)
{
	const struct connection *c = sup->admission == NULL ? NULL : sup->admission->gates.first;

	while (c != NULL && c->pid != pid)
		c = c->next;
	if (c == NULL)
		return -ESRCH;
	*ret_number = c->number;
	*ret_peer = c->peer;
	return 0;
}

void
admission_house_gone(struct supervisor *sup, uint64_t house)
{
	struct packet_verdict v =
	    verdict("busy", "the server cannot take the connection now", RETRY_MS);
	struct connection *next;

	for (struct connection *c = sup->admission->gates.first; c != NULL; c = next) {
		next = c->next;
		if (c->house == house)
			refuse_and_free(c, &v);
	}
}

/* Its place is free at once; the process is reaped when it is. */
static void
evict(struct connection *c)
{
	struct admission *a = c->sup->admission;

	c->stage = STAGE_EVICTED;
	c->source->gates--;
	a->pool--;
	c->io = sd_event_source_disable_unref(c->io);
	if (c->child != NULL)
		(void)sd_event_source_send_child_signal(c->child, SIGKILL, NULL, 0);
}

/* The oldest gate of the source that holds the most, if that is more than fair towards the
 * newcomer. */
static struct connection *
unfair_gate(const struct admission *a, const struct source *newcomer)
{
	const struct source *largest = NULL;

	for (struct connection *c = a->gates.first; c != NULL; c = c->next)
		if (c->stage == STAGE_GATE && !c->asked &&
		    (largest == NULL || c->source->gates > largest->gates))
			largest = c->source;
	if (largest == NULL || largest->gates <= ADMISSION_FAIR_GATES ||
	    largest->gates < newcomer->gates + 2)
		return NULL;
	for (struct connection *c = a->gates.first; c != NULL; c = c->next)
		if (c->stage == STAGE_GATE && !c->asked && c->source == largest)
			return c;
	return NULL;
}

/* --- the waiting room */

static bool
pool_has_room(const struct supervisor *sup)
{
	return sup->admission->pool < sup->config->logins;
}

/* Who waits for a gate goes in the order: fewest gates of its source first, then the oldest. */
static void
fill_pool(struct supervisor *sup)
{
	struct connection *best;

	while (pool_has_room(sup)) {
		best = NULL;
		for (struct connection *c = sup->admission->room.first; c != NULL; c = c->next)
			if (c->stage == STAGE_WAITING &&
			    (best == NULL || c->source->gates < best->source->gates))
				best = c;
		if (best == NULL)
			return;
		enter_pool(best);
	}
}

/* It has spoken: a gate now, one that others hold unfairly, or wait. */
static void
spoke(struct connection *c)
{
	struct connection *victim;

	c->io = sd_event_source_disable_unref(c->io);
	if (pool_has_room(c->sup)) {
		enter_pool(c);
		return;
	}
	victim = unfair_gate(c->sup->admission, c->source);
	if (victim == NULL) {
		c->stage = STAGE_WAITING;
		return;
	}
	evict(victim);
	enter_pool(c);
}

static int
on_silent_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct connection *c = userdata;

	(void)source;
	(void)fd;
	if (events & (EPOLLHUP | EPOLLERR))
		connection_free(c);
	else
		spoke(c);
	return 0;
}

/* In a full room the newest of the source that waits most makes place, if that is another's. */
static bool
make_place(struct supervisor *sup, const struct source *newcomer)
{
	struct packet_verdict v =
	    verdict("limit_sessions", "too many connections wait to be served", RETRY_MS);
	struct connection *victim = NULL;

	if (sup->admission->room.n < ADMISSION_WAITING_MAX)
		return true;
	for (struct connection *c = sup->admission->room.last; c != NULL; c = c->prev)
		if (victim == NULL || c->source->waiting > victim->source->waiting)
			victim = c;
	if (victim == NULL || victim->source->waiting <= newcomer->waiting)
		return false;
	refuse_and_free(victim, &v);
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
connection_new(struct supervisor *sup, int fd, const union addr *peer)
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
		.deadline_usec = clock_usec() + sup->config->login_timeout,
		.source = source_hold(peer),
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
	log_refusal(peer, v->code, v->message);
	sup->retired.refused++;
	refusals_say(fd, v);
}

void
admission_accept(struct supervisor *sup, int fd, const union addr *peer)
{
	struct packet_verdict v =
	    verdict("busy", "the server cannot take the connection now", RETRY_MS);
	struct access_verdict a = access_address(sup->config, peer);
	auto_close int own = fd;
	struct connection *c;
	int spoken;

	if (!a.allowed)
		v = verdict(a.code, "this address is not served", 0);
	if (sup->draining)
		v = verdict("draining", "the server is going down", RETRY_MS);
	c = a.allowed && !sup->draining ? connection_new(sup, fd, peer) : NULL;
	if (c == NULL) {
		refuse_new(sup, take_fd(&own), peer, &v);
		return;
	}
	(void)take_fd(&own); /* the connection's now */
	if (!make_place(sup, c->source)) {
		v = verdict("limit_sessions", "too many connections wait to be served", RETRY_MS);
		refuse_new(sup, take_fd(&c->fd), peer, &v);
		source_release(c->source);
		free(c);
		return;
	}
	c->number = ids_next(&sup->ids);
	list_append(&sup->admission->room, c);
	c->source->waiting++;
	spoken = has_spoken(c->fd);
	if (spoken > 0)
		spoke(c);
	else if (spoken < 0 || sd_event_add_io(sup->event, &c->io, c->fd, EPOLLIN | EPOLLRDHUP,
					       on_silent_readable, c) < 0)
		connection_free(c);
}

/* --- time */

void
admission_tick(struct supervisor *sup)
{
	struct packet_verdict v = verdict("timeout", "no request within the login time", 0);
	struct connection *next;
	uint64_t now = clock_usec();

	for (struct connection *c = sup->admission->room.first; c != NULL; c = next) {
		next = c->next;
		if (now < c->deadline_usec)
			continue;
		v = c->stage == STAGE_WAITING
			? verdict("limit_sessions", "the server is busy", RETRY_MS)
			: verdict("timeout", "no request within the login time", 0);
		refuse_and_free(c, &v);
	}
	for (struct connection *c = sup->admission->gates.first; c != NULL; c = c->next)
		if (now >= c->deadline_usec + GATE_OVERTIME && c->child != NULL)
			(void)sd_event_source_send_child_signal(c->child, SIGKILL, NULL, 0);
	refusals_tick();
	fill_pool(sup);
}

void
admission_refuse_all(struct supervisor *sup, const char *code, const char *message)
{
	struct packet_verdict v = verdict(code, message, RETRY_MS);

	while (sup->admission->room.first != NULL)
		refuse_and_free(sup->admission->room.first, &v);
}

void
admission_view(const struct supervisor *sup, struct admission_view *ret)
{
	*ret = (struct admission_view){ .gates = sup->admission->pool,
					.waiting = sup->admission->room.n };
}

int
admission_start(struct supervisor *sup)
{
	sup->admission = calloc(1, sizeof(*sup->admission));
	return sup->admission == NULL ? -ENOMEM : 0;
}

void
admission_stop(struct supervisor *sup)
{
	struct admission *a = sup->admission;

	if (a == NULL)
		return;
	while (a->room.first != NULL)
		connection_free(a->room.first);
	for (struct connection *c = a->gates.first; c != NULL; c = a->gates.first) {
		if (c->child != NULL)
			(void)sd_event_source_send_child_signal(c->child, SIGKILL, NULL, 0);
		connection_free(c);
	}
	free(a);
	sup->admission = NULL;
}
