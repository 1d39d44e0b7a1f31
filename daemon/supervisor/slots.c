#include "daemon/supervisor/slots.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/supervisor/pumps.h"
#include "daemon/supervisor/sessions.h"
#include "daemon/supervisor/throttle.h"
#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"

enum { BUCKETS = 4096 };

static struct session *numbers[BUCKETS], *pids[BUCKETS];
static uint32_t *free_slots; /* a stack */
static uint32_t n_free_slots;

/* --- finding */

struct session *
sessions_at(const struct supervisor *sup, uint32_t slot)
{
	return slot < sup->boards.slots ? sup->slots[slot] : NULL;
}

struct session *
sessions_find(const struct supervisor *sup, uint64_t number)
{
	struct session *s = numbers[number % BUCKETS];

	(void)sup;
	while (s != NULL && s->number != number)
		s = s->priv->by_number;
	return s;
}

struct session *
sessions_of_pid(const struct supervisor *sup, pid_t pid)
{
	struct session *s = pids[(unsigned)pid % BUCKETS];

	(void)sup;
	while (s != NULL && s->pid != pid)
		s = s->priv->by_pid;
	return s;
}

static void
number_add(struct session *s)
{
	s->priv->by_number = numbers[s->number % BUCKETS];
	numbers[s->number % BUCKETS] = s;
}

static void
pid_add(struct session *s, pid_t pid)
{
	s->pid = pid;
	s->priv->by_pid = pids[(unsigned)s->pid % BUCKETS];
	pids[(unsigned)s->pid % BUCKETS] = s;
}

void
slots_set_pid(struct session *s, pid_t pid)
{
	struct board_process *process = &board_orders_at(&s->sup->boards, s->slot)->process;

	process->born_usec = clock_boot_usec();
	process->pid = pid;
	pid_add(s, pid);
}

static void
forget(struct session *s)
{
	struct session **at;

	for (at = &numbers[s->number % BUCKETS]; *at != NULL; at = &(*at)->priv->by_number)
		if (*at == s) {
			*at = s->priv->by_number;
			break;
		}
	if (s->pid == 0)
		return;
	for (at = &pids[(unsigned)s->pid % BUCKETS]; *at != NULL; at = &(*at)->priv->by_pid)
		if (*at == s) {
			*at = s->priv->by_pid;
			break;
		}
}

/* --- slots */

/* All but those of a former supervisor, the first on top. */
static void
find_free_slots(const struct supervisor *sup)
{
	uint32_t n = sup->boards.slots, written = boards_next_written(&sup->boards, 0), at = n;

	for (uint32_t i = 0; i < n; i++) {
		if (i < written || board_orders_at(&sup->boards, i)->session == 0)
			free_slots[--at] = i;
		if (i == written)
			written = boards_next_written(&sup->boards, i + 1);
	}
	n_free_slots = n - at;
	memmove(free_slots, free_slots + at, n_free_slots * sizeof(*free_slots));
}

int
slots_start(struct supervisor *sup)
{
	uint32_t n = sup->boards.slots;

	sup->slots = calloc(n, sizeof(struct session *));
	free_slots = calloc(n, sizeof(uint32_t));
	if (sup->slots == NULL || free_slots == NULL)
		return -ENOMEM;
	find_free_slots(sup);
	return 0;
}

void
slots_release(struct supervisor *sup, uint32_t slot)
{
	memset(board_orders_at(&sup->boards, slot), 0, BOARD_PAGE);
	memset(board_report_at(&sup->boards, slot), 0, BOARD_PAGE);
	free_slots[n_free_slots++] = slot;
}

void
slots_free(struct session *s)
{
	struct supervisor *sup = s->sup;
	bool kept = pumps_session_gone(s);

	forget(s);
	(void)sd_event_source_disable_unref(s->priv->child);
	close_fd(&s->priv->privilege);
	close_fd(&s->priv->connection);
	close_fd(&s->pidfd);
	if (s->priv->source != NULL) {
		s->priv->source->sessions--;
		source_release(s->priv->source);
	}
	sup->slots[s->slot] = NULL;
	if (!kept)
		slots_release(sup, s->slot);
	sup->sessions--;
	free(s->priv);
	free(s);
	control_changed(sup);
}

void
slots_stop(struct supervisor *sup)
{
	for (uint32_t i = 0; sup->slots != NULL && i < sup->boards.slots; i++)
		if (sup->slots[i] != NULL)
			slots_free(sup->slots[i]);
	free(sup->slots);
	free(free_slots);
	sup->slots = NULL;
	free_slots = NULL;
	n_free_slots = 0;
}

void
slots_write_orders(const struct session *s)
{
	const struct config *c = s->sup->config;
	struct board_orders *o = board_orders_at(&s->sup->boards, s->slot);

	board_write_begin(&o->seq);
	o->slot = s->slot;
	o->session = s->number;
	o->peer = s->peer;
	o->tls = s->tls;
	(void)snprintf(o->user, sizeof(o->user), "%s", s->user);
	o->started_real_ns = s->started_real_ns;
	o->started_usec = s->started_usec;
	o->generation = s->generation;
	o->rate_limit = s->rate_limit;
	atomic_store(&o->watched_usec, clock_usec());
	atomic_store(&o->idle_timeout, c->idle_timeout);
	atomic_store(&o->stall_timeout, c->stall_timeout);
	atomic_store(&o->log_level, (uint32_t)c->log_level);
	throttle_order(s);
	board_write_end(&o->seq);
}

/* In the slot, which is no longer free. NULL without memory. */
static struct session *
session_new(struct supervisor *sup, uint32_t slot, uint64_t number, const union addr *peer,
	    const char *user)
{
	struct session *s = calloc(1, sizeof(*s));
	struct session_private *p = calloc(1, sizeof(*p));

	if (s == NULL || p == NULL) {
		free(s);
		free(p);
		return NULL;
	}
	*p = (struct session_private){ .privilege = -1,
				       .connection = -1,
				       .source = source_hold(peer) };
	*s = (struct session){
		.sup = sup,
		.slot = slot,
		.number = number,
		.pidfd = -1,
		.peer = *peer,
		.rate_limit = NUM_UNLIMITED,
		.priv = p,
	};
	(void)snprintf(s->user, sizeof(s->user), "%s", user);
	if (p->source != NULL)
		p->source->sessions++;
	sup->slots[slot] = s;
	sup->sessions++;
	number_add(s);
	return s;
}

struct session *
slots_claim(struct supervisor *sup, uint64_t number, const union addr *peer, uint32_t tls,
	    const char *user)
{
	uint32_t slot;
	struct session *s;

	if (n_free_slots == 0)
		return NULL;
	slot = free_slots[n_free_slots - 1];
	s = session_new(sup, slot, number, peer, user);
	if (s == NULL)
		return NULL;
	n_free_slots--;
	s->generation = sup->generation;
	s->tls = tls;
	s->started_real_ns = clock_real_ns();
	s->started_usec = clock_usec();
	board_orders_at(&sup->boards, slot)->process.asked_usec = clock_boot_usec();
	throttle_begin(s);
	slots_write_orders(s);
	return s;
}

struct session *
slots_adopt(struct supervisor *sup, uint32_t slot, const struct board_orders *orders)
{
	struct session *s = session_new(sup, slot, orders->session, &orders->peer, orders->user);

	if (s == NULL)
		return NULL;
	pid_add(s, orders->process.pid);
	s->adopted = true;
	s->generation = orders->generation;
	s->tls = orders->tls;
	s->started_real_ns = orders->started_real_ns;
	s->started_usec = orders->started_usec;
	s->transfer_ordinal = orders->transfer;
	s->transfer_id = orders->transfer_id;
	s->rate_limit = orders->rate_limit;
	s->pause = atomic_load(&orders->pause);
	s->quit = (enum board_quit)atomic_load(&orders->quit);
	s->quit_usec = clock_usec();
	throttle_begin(s);
	slots_write_orders(s);
	return s;
}
