#include "daemon/supervisor/orders.h"

#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/supervisor/throttle.h"
#include "lib/clock.h"

void
orders_poke(const struct session *s)
{
	if (s->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, s->pidfd, SIGURG, NULL, 0);
}

static struct board_orders *
page_of(const struct session *s)
{
	return board_orders_at(&s->sup->boards, s->slot);
}

void
sessions_quit(struct session *s, enum board_quit why, const char *reason, uint64_t retry_after_ms)
{
	struct board_orders *o = page_of(s);

	if (s->quit == BOARD_QUIT_KICKED || s->quit == why)
		return;
	s->quit = why;
	s->quit_usec = clock_usec();
	board_write_begin(&o->seq);
	(void)snprintf(o->reason, sizeof(o->reason), "%s", reason);
	atomic_store(&o->retry_after_ms, retry_after_ms);
	atomic_store(&o->quit, (uint32_t)why);
	board_write_end(&o->seq);
	orders_poke(s);
}

void
sessions_limit(struct session *s, uint64_t rate)
{
	s->rate_limit = page_of(s)->rate_limit = rate;
	throttle_order(s);
	orders_poke(s);
}

void
sessions_pause(struct session *s, uint64_t ordinal)
{
	s->pause = ordinal;
	if (ordinal == 0)
		s->resumed_usec = clock_usec();
	atomic_store(&page_of(s)->pause, ordinal);
	orders_poke(s);
}

bool
sessions_paused(const struct session *s)
{
	return s->pause == UINT64_MAX || (s->pause != 0 && s->pause == s->seen.transfer);
}

void
sessions_cancel(struct session *s, uint64_t ordinal)
{
	atomic_store(&page_of(s)->cancel, ordinal);
	orders_poke(s);
}
