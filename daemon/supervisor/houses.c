#include "daemon/supervisor/houses.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/supervisor/births.h"
#include "daemon/supervisor/children.h"
#include "daemon/supervisor/gates.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/reexec.h"
#include "daemon/supervisor/sessions.h"
#include "daemon/supervisor/spawn.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"
#include "lib/text.h"

#define REPLACE_PAUSE (5 * USEC_PER_SEC)
#define READY_TIMEOUT (10 * USEC_PER_SEC)

struct house {
	struct supervisor *sup;
	struct house_pair *pair; /* while it is not current */
	enum house_kind kind;
	pid_t pid;
	int sock;
	struct births *births; /* through sock, while it is ready */
	bool ready;
	bool ended; /* the socket has: nobody is left who has the other end */
	struct house_certificate certificate; /* of a gatehouse, when it has told */
	sd_event_source *io;
	sd_event_source *child; /* NULL: it has ended, or was never started */
	sd_event_source *again; /* when another one is started */
};

struct house_pair {
	struct supervisor *sup;
	struct house *house[HOUSE_KINDS]; /* NULL: the current one stays */
	char why[HOUSES_WHY_MAX];         /* one of them cannot start */
	sd_event_source *timeout;
	houses_decided *decided;
};

static const char *const house_names[HOUSE_KINDS] = { "gatehouse", "sessionhouse" };

/* --- one house */

static struct house *
house_free(struct house *h)
{
	if (h == NULL)
		return NULL;
	(void)sd_event_source_disable_unref(h->io);
	(void)sd_event_source_disable_unref(h->child);
	(void)sd_event_source_disable_unref(h->again);
	h->births = births_free(h->births);
	close_fd(&h->sock);
	free(h);
	return NULL;
}

/* Whether a house that dies now is not replaced. */
static bool
none_follows(const struct supervisor *sup)
{
	return sup->draining || reexec_settles(sup);
}

static void
pair_decide(struct house_pair *p, int error)
{
	p->timeout = sd_event_source_disable_unref(p->timeout);
	p->decided(p->sup, p, error);
}

static void
house_is_ready(struct house *h)
{
	struct house_pair *p = h->pair;

	h->ready = true;
	births_open(h->births, h->sock);
	if (p == NULL)
		return;
	for (int kind = 0; kind < HOUSE_KINDS; kind++)
		if (p->house[kind] != NULL && !p->house[kind]->ready)
			return;
	pair_decide(p, 0);
}

/* pid 0: it failed. */
static void
born(const struct house *h, uint64_t connection, pid_t pid)
{
	if (h->kind == HOUSE_GATE)
		gates_born(h->sup, connection, pid);
	else
		sessions_born(h->sup, connection, pid);
}

static void
on_birth_failed(void *userdata, uint64_t connection)
{
	born(userdata, connection, 0);
}

static void
house_said(struct house *h, const struct packet_house *m)
{
	if (m->type == HOUSE_READY) {
		house_is_ready(h);
		return;
	}
	births_answered(h->births, m->connection);
	born(h, m->connection, m->type == HOUSE_BORN ? m->pid : 0);
}

/* Texts are a role's word: they end where they may, and hold nothing that moves a terminal. */
static void
copy_text(char *dst, size_t size, const char *src, size_t max)
{
	(void)text_escape(dst, size, src, strnlen(src, max));
}

static void
house_showed(struct house *h, const struct packet_certificate *m)
{
	struct house_certificate *c = &h->certificate;
	char why[HOUSES_WHY_MAX];

	copy_text(why, sizeof(why), m->why, sizeof(m->why));
	if (why[0] != '\0') {
		log_line(LOG_ERR, "gatehouse: %s", why);
		if (h->pair != NULL)
			memcpy(h->pair->why, why, sizeof(why));
		return;
	}
	c->known = true;
	memcpy(c->fingerprint, m->fingerprint, sizeof(c->fingerprint));
	c->not_before = m->not_before;
	c->not_after = m->not_after;
	copy_text(c->subject, sizeof(c->subject), m->subject, sizeof(m->subject));
}

/* 1: one packet was taken; 0: there is none now, or never again. */
static int
house_listen(struct house *h)
{
	union {
		struct packet_house house;
		struct packet_certificate certificate;
	} m;
	ssize_t n;

	if (h->sock < 0)
		return 0;
	n = io_recv_packet(h->sock, &m, sizeof(m), NULL, 0, NULL, MSG_DONTWAIT);
	if (n == (ssize_t)sizeof(m.house) && m.house.type != HOUSE_CERTIFICATE) {
		house_said(h, &m.house);
		return 1;
	}
	if (n == (ssize_t)sizeof(m.certificate) && m.certificate.type == HOUSE_CERTIFICATE &&
	    h->kind == HOUSE_GATE) {
		house_showed(h, &m.certificate);
		return 1;
	}
	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n == -ECONNRESET) /* it died with births unread; what it said is still to be read */
		return 1;
	/* it has ended, or speaks nonsense; its death is told by on_house_death() */
	h->ended = n == 0;
	h->io = sd_event_source_disable_unref(h->io);
	births_close(h->births);
	close_fd(&h->sock);
	return 0;
}

static int
on_house_packet(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	(void)source;
	(void)fd;
	(void)events;
	(void)house_listen(userdata);
	return 0;
}

void
houses_listen(struct supervisor *sup)
{
	for (int kind = 0; kind < HOUSE_KINDS; kind++)
		while (sup->houses[kind] != NULL && house_listen(sup->houses[kind]) > 0)
			;
}

/* A house of a pair, which is not taken then. */
static void
died_early(struct house *h, const siginfo_t *si)
{
	log_line(LOG_ERR, "%s did not start (%s %d)", house_names[h->kind],
		 si->si_code == CLD_EXITED ? "exit status" : "signal", si->si_status);
	h->pair->house[h->kind] = NULL;
	pair_decide(h->pair, -ECHILD);
	house_free(h);
}

/* The one in force. It keeps its place, where births wait for the next one. */
static void
died(struct house *h, const siginfo_t *si)
{
	struct supervisor *sup = h->sup;

	log_line(LOG_ERR, "%s died (%s %d), starting another", house_names[h->kind],
		 si->si_code == CLD_EXITED ? "exit status" : "signal", si->si_status);
	if (none_follows(sup))
		sup->houses[h->kind] = house_free(h);
	else
		houses_crashed(sup, h->kind);
}

static int
on_house_death(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct house *h = userdata, *current = h->sup->houses[h->kind];

	(void)source;
	while (house_listen(h) > 0) /* what it said before it died still counts */
		;
	h->child = sd_event_source_disable_unref(h->child);
	h->io = sd_event_source_disable_unref(h->io);
	h->ready = false;
	births_close(h->births);
	if (!h->ended)
		births_forfeit(h->births);
	if (h->pair != NULL) {
		died_early(h, si);
	} else if (current == h) {
		died(h, si);
	} else { /* a former one, told to end */
		if (current != NULL)
			births_inherit(current->births, h->births);
		house_free(h);
	}
	return 0;
}

static struct house *
house_new(struct supervisor *sup, enum house_kind kind)
{
	struct house *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	*h = (struct house){ .sup = sup, .kind = kind, .sock = -1 };
	h->births = births_new(sup->event, kind == HOUSE_GATE ? BIRTH_FDS : BIRTH_STREAM,
			       on_birth_failed, h);
	return h->births != NULL ? h : house_free(h);
}

static int
house_start(struct supervisor *sup, enum house_kind kind, int config_fd, struct house **ret)
{
	const struct spawn how = {
		.name = house_names[kind],
		.config_fd = config_fd,
		.public_fd = sup->boards.public_ro_fd,
		.orders_fd = kind == HOUSE_SESSION ? sup->boards.orders_ro_fd : -1,
		.reports_fd = kind == HOUSE_SESSION ? sup->boards.reports_fd : -1,
		.extra_fd = -1,
		.log_fd = journal_role_fd(sup->journal),
		.may_become = kind == HOUSE_SESSION && sup->config->own_uids,
	};
	struct house *h = house_new(sup, kind);
	int r;

	if (h == NULL)
		return -ENOMEM;
	r = spawn_role(&how, &h->pid, &h->sock);
	if (r >= 0)
		r = children_add(sup->event, &h->child, h->pid, -1, on_house_death, h);
	if (r >= 0)
		r = sd_event_add_io(sup->event, &h->io, h->sock, EPOLLIN, on_house_packet, h);
	if (r < 0) {
		house_free(h);
		return r;
	}
	*ret = h;
	return 0;
}

/* The end of what we send tells it to go, after it has answered what waits; on_house_death() frees
 * it. */
static void
house_dismiss(struct house *h)
{
	if (h == NULL)
		return;
	h->pair = NULL;
	if (h->child == NULL)
		house_free(h);
	else if (h->ready)
		births_finish(h->births);
	else
		(void)shutdown(h->sock, SHUT_WR);
}

/* It takes the place of the one in force, and what that one was not yet told of. */
static void
house_succeed(struct supervisor *sup, struct house *h)
{
	struct house **place = &sup->houses[h->kind];

	if (*place != NULL && !(*place)->ready)
		births_inherit(h->births, (*place)->births);
	house_dismiss(*place);
	*place = h;
	h->pair = NULL;
}

/* --- pairs */

static int
on_pair_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	log_line(LOG_ERR, "the houses were not ready in time");
	pair_decide(userdata, -ETIMEDOUT);
	return 0;
}

static int
start_pair(struct supervisor *sup, const struct config *c, bool gate_only, houses_decided *decided,
	   struct house_pair **ret)
{
	auto_close int config_fd = spawn_seal_config(c);
	struct house_pair *p;
	int r = 0;

	if (config_fd < 0)
		return config_fd;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	p->sup = sup;
	p->decided = decided;
	for (int kind = 0; kind < HOUSE_KINDS && r >= 0; kind++) {
		if (gate_only && kind != HOUSE_GATE)
			continue;
		r = house_start(sup, (enum house_kind)kind, config_fd, &p->house[kind]);
		if (r >= 0)
			p->house[kind]->pair = p;
	}
	if (r >= 0)
		r = sd_event_add_time_relative(sup->event, &p->timeout, CLOCK_MONOTONIC,
					       READY_TIMEOUT, 0, on_pair_timeout, p);
	if (r < 0) {
		houses_drop(p);
		return r;
	}
	*ret = p;
	return 0;
}

int
houses_start(struct supervisor *sup, const struct config *c, houses_decided *decided,
	     struct house_pair **ret)
{
	return start_pair(sup, c, false, decided, ret);
}

int
houses_start_gate(struct supervisor *sup, houses_decided *decided, struct house_pair **ret)
{
	return start_pair(sup, sup->config, true, decided, ret);
}

const char *
houses_why(const struct house_pair *pair)
{
	return pair->why[0] != '\0' ? pair->why : "the journal says why";
}

bool
houses_ready(const struct supervisor *sup)
{
	for (int kind = 0; kind < HOUSE_KINDS; kind++)
		if (sup->houses[kind] == NULL || !sup->houses[kind]->ready)
			return false;
	return true;
}

const struct house_certificate *
houses_certificate(const struct supervisor *sup)
{
	const struct house *h = sup->houses[HOUSE_GATE];

	return h != NULL && h->certificate.known ? &h->certificate : NULL;
}

void
houses_adopt(struct supervisor *sup, struct house_pair *pair)
{
	for (int kind = 0; kind < HOUSE_KINDS; kind++)
		if (pair->house[kind] != NULL)
			house_succeed(sup, pair->house[kind]);
	free(pair);
}

void
houses_drop(struct house_pair *pair)
{
	(void)sd_event_source_disable_unref(pair->timeout);
	for (int kind = 0; kind < HOUSE_KINDS; kind++)
		house_dismiss(pair->house[kind]);
	free(pair);
}

void
houses_stop(struct supervisor *sup)
{
	for (int kind = 0; kind < HOUSE_KINDS; kind++) {
		house_dismiss(sup->houses[kind]);
		sup->houses[kind] = NULL;
	}
}

int
houses_birth(struct supervisor *sup, enum house_kind kind, const struct packet_birth *birth,
	     const int *fds)
{
	const struct house *h = sup->houses[kind];

	return h == NULL ? -ENOTCONN : births_send(h->births, birth, fds);
}

/* --- replacement */

static int
on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct house *gone = userdata;

	(void)usec;
	(void)source;
	gone->again = sd_event_source_disable_unref(gone->again);
	houses_crashed(gone->sup, gone->kind);
	return 0;
}

/* Where there is none: whoever comes waits in its place. */
static void
replace_later(struct supervisor *sup, enum house_kind kind, uint64_t usec)
{
	struct house *h = sup->houses[kind];

	if (h == NULL)
		h = sup->houses[kind] = house_new(sup, kind);
	if (h != NULL && (h->child != NULL || h->again != NULL))
		return;
	if (h == NULL || sd_event_add_time_relative(sup->event, &h->again, CLOCK_MONOTONIC, usec, 0,
						    on_again, h) < 0)
		log_line(LOG_ERR, "the %s stays away: no memory for its timer", house_names[kind]);
}

void
houses_crashed(struct supervisor *sup, enum house_kind kind)
{
	static uint64_t last[HOUSE_KINDS];
	auto_close int config_fd = -1;
	struct house *fresh = NULL;
	uint64_t now = clock_usec();
	int r;

	if (none_follows(sup))
		return;
	if (last[kind] != 0 && now - last[kind] < REPLACE_PAUSE) {
		replace_later(sup, kind, REPLACE_PAUSE - (now - last[kind]));
		return;
	}
	last[kind] = now;
	config_fd = spawn_seal_config(sup->config);
	r = config_fd < 0 ? config_fd : house_start(sup, kind, config_fd, &fresh);
	if (r < 0) {
		log_line(LOG_ERR, "cannot start another %s, trying again: %s", house_names[kind],
			 strerror(-r));
		replace_later(sup, kind, REPLACE_PAUSE);
		return;
	}
	house_succeed(sup, fresh);
}
