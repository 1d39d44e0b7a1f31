#include "daemon/session/room.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <linux/magic.h>

#include "lib/clock.h"
#include "lib/err.h"

enum { TRIES = 200, STEP_NS = 5000000 };

/* While so much more is free than must be, a look is good for a while: all uploads together do not
 * write it in that time. */
#define PLENTY (UINT64_C(1) << 30)
#define GOOD_FOR (100 * USEC_PER_MSEC)

/* Whether less is free than must be. *ret_plenty: far more is. */
static int
check(const struct session *s, const struct statfs *st, bool *ret_plenty)
{
	uint64_t free, least = s->config->free_space;

	if (__builtin_mul_overflow((uint64_t)st->f_bavail, (uint64_t)st->f_bsize, &free))
		free = UINT64_MAX;
	*ret_plenty = free > least && free - least > PLENTY;
	return free < least ? -FTD_E_disk_full : 0;
}

/* Whether allocating is no more than a note: btrfs would not compress what was allocated before,
 * and in memory it takes as long as writing. */
static bool
allocates_well(const struct statfs *st)
{
	return st->f_type != BTRFS_SUPER_MAGIC && st->f_type != TMPFS_MAGIC &&
	       st->f_type != RAMFS_MAGIC;
}

static int
allocate(const struct session *s, struct staging *st, uint64_t size)
{
	struct statfs fs;
	bool plenty = false;

	if (fallocate(st->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) < 0)
		return errno == ENOSPC || errno == EDQUOT ? -errno : 0;
	st->allocated = true;
	return fstatfs(st->fd, &fs) < 0 ? -errno : check(s, &fs, &plenty);
}

/* One after the other: two that look at once could both go, where one has room. Who holds the
 * lock for longer than that is stopped, and not waited for. */
static void
lock(int dir)
{
	const struct timespec step = { 0, STEP_NS };

	for (int i = 0; i < TRIES && flock(dir, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK) /* a file system that cannot */
			return;
		(void)nanosleep(&step, NULL);
	}
}

int
room_take(const struct session *s, struct staging *st, uint64_t size)
{
	int dir = s->shares[st->share].ftd, r;
	struct statfs fs;

	if (size == UINT64_MAX || size <= SESSION_SMALL)
		return 0;
	if (fstatfs(st->fd, &fs) < 0)
		return -errno;
	if (!allocates_well(&fs))
		return 0;
	lock(dir);
	r = allocate(s, st, size);
	if (r < 0 && ftruncate(st->fd, 0) < 0) /* at once: the next one may have it */
		r = -errno;
	(void)flock(dir, LOCK_UN);
	return r;
}

int
room_check(struct session *s, const struct staging *st)
{
	uint64_t *until = &s->shares[st->share].room_until_usec, now;
	struct statfs fs;
	bool plenty = false;
	int r;

	if (st->allocated)
		return 0;
	now = clock_usec();
	if (now < *until)
		return 0;
	r = fstatfs(st->fd, &fs) < 0 ? -errno : check(s, &fs, &plenty);
	*until = r == 0 && plenty ? now + GOOD_FOR : 0;
	return r;
}

void
room_give_back(const struct staging *st, uint64_t at, uint64_t n)
{
	if (st->allocated && n > 0)
		(void)fallocate(st->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
				(off_t)n);
}
