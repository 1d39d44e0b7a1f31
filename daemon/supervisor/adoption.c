#include "daemon/supervisor/adoption.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/supervisor/carried.h"
#include "daemon/supervisor/helpers.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/kin.h"
#include "daemon/supervisor/orders.h"
#include "daemon/supervisor/pumps.h"
#include "daemon/supervisor/reports.h"
#include "daemon/supervisor/sessions.h"
#include "daemon/supervisor/slots.h"
#include "lib/clock.h"
#include "lib/own.h"

/* A session that the former supervisor did not know yet ends by itself as soon as it sees that it
 * is gone; nobody else writes to its page before. */
#define UNBORN_TIME (10 * USEC_PER_SEC)
#define KILL_TIME (2 * USEC_PER_SEC)

/* A used slot of which it is not certain whose its process is. */
struct aside {
	struct aside *next;
	uint32_t slot;
	int pidfd;          /* -1: there is none */
	uint64_t heartbeat; /* as it was; a page that still changes is that of a living session */
	uint64_t until_usec;
};

static struct aside *asides;
static uint32_t adopted; /* at most so many are left */

/* --- the end */

static void
ended(struct session *s)
{
	struct supervisor *sup = s->sup;

	sessions_refresh(s);
	journal_catch_up(s);
	reports_add(&sup->retired, &s->seen);
	if (s->seen.ended == 0) {
		log_line(LOG_WARNING,
			 "s%llu ended without a word while it had no supervisor, or was killed",
			 (unsigned long long)s->number);
		sup->retired.failed += s->seen.transfer != 0;
		helpers_sweep();
	}
	adopted--;
	slots_free(s);
}

static int
on_end(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	(void)source;
	(void)fd;
	(void)events;
	ended(userdata);
	return 0;
}

/* --- taking back */

/* What it has moved before was another's to divide. */
static void
catch_up(struct session *s)
{
	sessions_refresh(s);
	s->moved = s->seen.bytes_in + s->seen.bytes_out;
}

/* The slot's session, whose process the descriptor is; -1: it has ended. */
static void
take_back(struct supervisor *sup, const struct board_orders *orders, int process)
{
	auto_close int pidfd = process;
	bool lives = pidfd >= 0;
	struct session *s = slots_adopt(sup, orders->slot, orders);

	if (s == NULL) {
		log_line(LOG_ERR, "no memory to take back s%llu: it goes on alone",
			 (unsigned long long)orders->session);
		return;
	}
	adopted++;
	sup->retired.sessions++;
	s->pidfd = take_fd(&pidfd);
	(void)pumps_adopt(sup, orders, s);
	if (!lives ||
	    sd_event_add_io(sup->event, &s->priv->child, s->pidfd, EPOLLIN, on_end, s) < 0) {
		ended(s);
		return;
	}
	catch_up(s);
	orders_poke(s);
}

static void
set_aside(struct supervisor *sup, uint32_t slot, int process, uint64_t time_usec)
{
	const struct board_report *page = board_report_at(&sup->boards, slot);
	auto_close int pidfd = process;
	struct aside *a = calloc(1, sizeof(*a));

	if (a == NULL) /* the slot stays out of use */
		return;
	*a = (struct aside){ .next = asides,
			     .slot = slot,
			     .pidfd = take_fd(&pidfd),
			     .heartbeat = atomic_load(&page->heartbeat_usec),
			     .until_usec = time_usec };
	asides = a;
}

/* Nothing has changed for it. */
static void
keep_child(struct supervisor *sup, const struct board_orders *orders, const struct carried *carried)
{
	struct session *s = slots_adopt(sup, orders->slot, orders);

	if (s == NULL) {
		log_line(LOG_ERR, "no memory to keep s%llu: it goes on alone",
			 (unsigned long long)orders->session);
		return;
	}
	s->adopted = false;
	s->priv->privilege = carried_privilege(carried, s->number);
	(void)fcntl(s->priv->privilege, F_SETFD, FD_CLOEXEC);
	(void)pumps_adopt(sup, orders, s);
	if (sessions_watch(s) == 0)
		catch_up(s);
}

static void
consider(struct supervisor *sup, uint32_t slot, const struct carried *carried)
{
	struct board_orders orders;
	int r = board_read_orders(&sup->boards, slot, &orders), pidfd;
	enum kin kin;

	if (r == -ENOENT)
		return;
	if (r < 0 || sessions_find(sup, orders.session) != NULL) {
		slots_release(sup, slot);
		return;
	}
	ids_pass(&sup->ids, orders.session);
	ids_pass(&sup->ids, orders.transfer_id);
	if (orders.process.asked_usec == 0) { /* only its pump had not ended */
		if (!pumps_adopt(sup, &orders, NULL))
			slots_release(sup, slot);
		return;
	}
	if (carried != NULL && kin_is_child(orders.process.pid)) {
		keep_child(sup, &orders, carried);
		return;
	}
	kin = kin_find(&orders.process, &pidfd);
	if (orders.process.pid == 0)
		set_aside(sup, slot, -1, clock_usec() + UNBORN_TIME);
	else if (kin == KIN_UNKNOWN)
		set_aside(sup, slot, pidfd, UINT64_MAX);
	else
		take_back(sup, &orders, pidfd);
}

void
adoption_start(struct supervisor *sup, const struct carried *carried)
{
	const struct boards *b = &sup->boards;

	for (uint32_t i = boards_next_written(b, 0); i < b->slots;
	     i = boards_next_written(b, i + 1))
		consider(sup, i, carried);
	if (adopted > 0)
		log_line(LOG_NOTICE,
			 "took back %u sessions of the daemon that ran before: they finish what "
			 "they serve",
			 (unsigned)adopted);
}

/* --- time */

/* Whether it is certain now. */
static bool
settle(struct supervisor *sup, struct aside *a)
{
	const struct board_report *page = board_report_at(&sup->boards, a->slot);
	bool gone = a->pidfd >= 0 && kin_ended(a->pidfd);
	bool alive = a->pidfd >= 0 && atomic_load(&page->heartbeat_usec) != a->heartbeat;
	struct board_orders orders;

	if (!gone && !alive && clock_usec() < a->until_usec)
		return false;
	if ((gone || alive) && board_read_orders(&sup->boards, a->slot, &orders) == 0)
		take_back(sup, &orders, gone ? -1 : take_fd(&a->pidfd));
	else
		slots_release(sup, a->slot);
	return true;
}

static void
settle_all(struct supervisor *sup)
{
	struct aside **at = &asides, *a;

	while ((a = *at) != NULL) {
		if (!settle(sup, a)) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		close_fd(&a->pidfd);
		free(a);
	}
}

void
adoption_tick(struct supervisor *sup)
{
	settle_all(sup);
	for (uint32_t i = 0; adopted > 0 && i < sup->boards.slots; i++)
		if (sup->slots[i] != NULL && sup->slots[i]->adopted)
			journal_catch_up(sup->slots[i]);
}

void
adoption_stop(struct supervisor *sup)
{
	uint64_t until = clock_usec() + KILL_TIME;
	struct aside *a;

	for (uint32_t i = 0; adopted > 0 && i < sup->boards.slots; i++)
		if (sup->slots[i] != NULL && sup->slots[i]->adopted)
			kin_wait(sup->slots[i]->pidfd, until);
	if (sup->admission != NULL) {
		pumps_kill(sup);
		pumps_wait(sup, until);
	}
	while ((a = asides) != NULL) {
		asides = a->next;
		close_fd(&a->pidfd);
		free(a);
	}
}
