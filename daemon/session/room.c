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
#define PLENTY (INT64_C(1) << 30)
#define GOOD_FOR (100 * USEC_PER_MSEC)

/* Bytes more than must be free, or fewer (negative). */
static int64_t
spare(const struct session *s, const struct statfs *st)
{
	uint64_t free;

	if (__builtin_mul_overflow((uint64_t)st->f_bavail, (uint64_t)st->f_bsize, &free) ||
	    free > INT64_MAX)
		free = INT64_MAX;
	return (int64_t)free - (int64_t)s->config->free_space;
}

/* Whether the room for an upload is allocated before it comes. btrfs would not compress what was;
 * in memory it takes as long as writing, and is done where room is scarce. */
static bool
is_allocated(const struct session *s, const struct statfs *st, uint64_t size)
{
	if (st->f_type == TMPFS_MAGIC || st->f_type == RAMFS_MAGIC)
		return size > INT64_MAX - PLENTY || spare(s, st) < (int64_t)(size + PLENTY);
	return st->f_type != BTRFS_SUPER_MAGIC;
}

static int
allocate(const struct session *s, struct staging *st, uint64_t size)
{
	struct statfs fs;

	if (fallocate(st->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) < 0)
		return errno == ENOSPC || errno == EDQUOT ? -errno : 0;
	st->allocated = true;
	if (fstatfs(st->fd, &fs) < 0)
		return -errno;
	return spare(s, &fs) < 0 ? -FTD_E_disk_full : 0;
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
	if (!is_allocated(s, &fs, size))
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

	if (st->allocated)
		return 0;
	now = clock_usec();
	if (now < *until)
		return 0;
	if (fstatfs(st->fd, &fs) < 0)
		return -errno;
	*until = spare(s, &fs) > PLENTY ? now + GOOD_FOR : 0;
	return spare(s, &fs) < 0 ? -FTD_E_disk_full : 0;
}

void
room_give_back(const struct staging *st, uint64_t at, uint64_t n)
{
	if (st->allocated && n > 0)
		(void)fallocate(st->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
				(off_t)n);
}
