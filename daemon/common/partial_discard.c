/* The end of one that is not wanted any more. */
#include <errno.h>

#include "daemon/common/partial.h"

/* Void from here on for all who write, who see it at their next look. */
static int
make_void(struct partial *p)
{
	int r = partial_lock(p);

	if (r == 0) {
		r = partial_load(p);
		if (r == 0)
			r = p->state.phase == RECORD_DONE ? -ENOENT : partial_claim(p);
		partial_unlock(p);
	}
	return r;
}

int
partial_discard(struct partial *p, int root, uint64_t usec)
{
	int r = make_void(p);

	if (r == 0)
		r = partial_await_writers(p, usec);
	if (r == 0)
		r = partial_lock(p);
	return r == 0 ? partial_remove(p, root) : r;
}
