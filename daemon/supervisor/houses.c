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
	uint64_t serial; /* tells which house an unanswered birth waits for */
	pid_t pid;
	int sock;
	struct births *births; /* through sock */
	bool ready;
	struct house_certificate certificate; /* of a gatehouse, when it has told */
	sd_event_source *io, *child;
	uint64_t started_usec;
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
	h->births = births_free(h->births);
	close_fd(&h->sock);
	free(h);
	return NULL;
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
	if (m->type == HOUSE_READY)
		house_is_ready(h);
	else
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
	/* it has ended, or speaks nonsense; its death is told by on_house_death() */
	h->io = sd_event_source_disable_unref(h->io);
	h->births = births_free(h->births);
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

/* Births that it never answered have failed. */
static void
fail_births(struct house *h)
{
	if (h->kind == HOUSE_GATE)
		gates_house_gone(h->sup, h->serial);
	else
		sessions_house_gone(h->sup, h->serial);
}

static int
on_house_death(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct house *h = userdata;
	struct supervisor *sup = h->sup;
	enum house_kind kind = h->kind;

	(void)source;
	while (house_listen(h) > 0) /* what it said before it died still counts */
		;
	if (h->pair != NULL) {
		log_line(LOG_ERR, "%s did not start (%s %d)", house_names[kind],
			 si->si_code == CLD_EXITED ? "exit status" : "signal", si->si_status);
		h->pair->house[kind] = NULL;
		pair_decide(h->pair, -ECHILD);
		house_free(h);
		return 0;
	}
	fail_births(h);
	if (sup->houses[kind] != h) { /* a former one, told to end */
		house_free(h);
		return 0;
	}
	log_line(LOG_ERR, "%s died (%s %d), starting another", house_names[kind],
		 si->si_code == CLD_EXITED ? "exit status" : "signal", si->si_status);
	sup->houses[kind] = house_free(h);
	houses_crashed(sup, kind);
	return 0;
}

static int
house_start(struct supervisor *sup, enum house_kind kind, int config_fd, struct house **ret)
{
	static uint64_t serial;
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
	struct house *h = calloc(1, sizeof(*h));
	int r;

	if (h == NULL)
		return -ENOMEM;
	*h = (struct house){
		.sup = sup,
		.kind = kind,
		.serial = ++serial,
		.sock = -1,
		.started_usec = clock_usec(),
	};
	r = spawn_role(&how, &h->pid, &h->sock);
	if (r >= 0) {
		h->births =
		    births_new(sup->event, h->sock, kind == HOUSE_GATE ? BIRTH_FDS : BIRTH_STREAM,
			       on_birth_failed, h);
		r = h->births == NULL ? -ENOMEM : 0;
	}
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
	if (h->births != NULL)
		births_finish(h->births);
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

const struct house_certificate *
houses_certificate(const struct supervisor *sup)
{
	const struct house *h = sup->houses[HOUSE_GATE];

	return h != NULL && h->certificate.known ? &h->certificate : NULL;
}

void
houses_adopt(struct supervisor *sup, struct house_pair *pair)
{
	for (int kind = 0; kind < HOUSE_KINDS; kind++) {
		if (pair->house[kind] == NULL)
			continue;
		house_dismiss(sup->houses[kind]);
		sup->houses[kind] = pair->house[kind];
		sup->houses[kind]->pair = NULL;
	}
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
	     const int *fds, uint64_t *ret_house)
{
	const struct house *h = sup->houses[kind];
	int r;

	if (h == NULL || h->births == NULL)
		return -ENOTCONN;
	r = births_send(h->births, birth, fds);
	if (r < 0)
		return r;
	*ret_house = h->serial;
	return 0;
}

/* --- replacement */

static int
on_replace(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct house *gone = userdata;
	struct supervisor *sup = gone->sup;
	enum house_kind kind = gone->kind;

	(void)usec;
	(void)source;
	house_free(gone);
	houses_crashed(sup, kind);
	return 0;
}

/* One place of a house that is yet to come: its timer. */
static void
replace_later(struct supervisor *sup, enum house_kind kind, uint64_t usec)
{
	struct house *placeholder = calloc(1, sizeof(*placeholder));

	if (placeholder == NULL)
		return;
	placeholder->sup = sup;
	placeholder->kind = kind;
	placeholder->sock = -1;
	if (sd_event_add_time_relative(sup->event, &placeholder->io, CLOCK_MONOTONIC, usec, 0,
				       on_replace, placeholder) < 0)
		house_free(placeholder);
}

void
houses_crashed(struct supervisor *sup, enum house_kind kind)
{
	static uint64_t last[HOUSE_KINDS];
	auto_close int config_fd = -1;
	struct house *fresh = NULL;
	uint64_t now = clock_usec();
	int r;

	if (sup->draining || reexec_settles(sup))
		return;
	if (last[kind] != 0 && now - last[kind] < REPLACE_PAUSE) {
		if (sup->houses[kind] == NULL)
			replace_later(sup, kind, REPLACE_PAUSE - (now - last[kind]));
		return;
	}
	last[kind] = now;
	config_fd = spawn_seal_config(sup->config);
	r = config_fd < 0 ? config_fd : house_start(sup, kind, config_fd, &fresh);
	if (r < 0) {
		log_line(LOG_ERR, "cannot start another %s, trying again: %s", house_names[kind],
			 strerror(-r));
		if (sup->houses[kind] == NULL)
			replace_later(sup, kind, REPLACE_PAUSE);
		return;
	}
	house_dismiss(sup->houses[kind]);
	sup->houses[kind] = fresh;
}
