#include "daemon/session/session.h"

#include <errno.h>
#include <string.h>

enum { READ_TRIES = 100 };

bool
gap_kicked(const struct session *s)
{
	bool unknown = s->privilege < 0 && s->orders->process.pid == 0;

	return unknown ||
	       atomic_load_explicit(&s->orders->quit, memory_order_relaxed) == BOARD_QUIT_KICKED;
}

int
gap_check(struct session *s, const char **ret_code)
{
	uint64_t cancel = atomic_load_explicit(&s->orders->cancel, memory_order_relaxed);

	if (!gap_kicked(s) && (cancel == 0 || cancel != s->report->transfer))
		return 0;
	*ret_code = "cancelled";
	return -ECANCELED;
}

const char *
gap_reason(const struct session *s, char *buf)
{
	const struct board_orders *o = s->orders;
	uint_fast32_t before, after;

	for (int i = 0; i < READ_TRIES; i++) {
		before = atomic_load_explicit(&o->seq, memory_order_acquire);
		memcpy(buf, o->reason, BOARD_TEXT_MAX);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&o->seq, memory_order_relaxed);
		if (before == after && (before & 1) == 0)
			break;
	}
	buf[BOARD_TEXT_MAX - 1] = '\0';
	return buf;
}
