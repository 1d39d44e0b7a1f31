/* Who may do what with a resumable upload: locks and claims. */
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "daemon/common/partial.h"
#include "lib/clock.h"
#include "lib/io.h"

/* Places in the record's file that are locked: no bytes of it need to be there. */
enum lock { LOCK_RECORD = 0, LOCK_WRITERS = 1, LOCK_CONTENT = 16 };
enum { STEP_NS = 2000000, YEAR = 366 * 24 * 3600 };
#define WAIT_USEC (5 * USEC_PER_SEC)

/* ---- locks */

static int
set_lock(int fd, short type, off_t start, off_t len)
{
	struct flock f = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	if (fcntl(fd, F_OFD_SETLK, &f) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

/* Takes a byte within usec. 0, -EBUSY, -errno. */
static int
wait_lock(int fd, off_t at, uint64_t usec)
{
	const struct timespec step = { 0, STEP_NS };
	uint64_t deadline = clock_usec() + usec;
	int r;

	for (;;) {
		r = set_lock(fd, F_WRLCK, at, 1);
		if (r != -EAGAIN)
			return r;
		if (clock_usec() >= deadline)
			return -EBUSY;
		(void)nanosleep(&step, NULL);
	}
}

int
partial_lock(struct partial *p)
{
	struct stat st;
	int r = wait_lock(p->record, LOCK_RECORD, WAIT_USEC);

	if (r < 0)
		return r;
	if (fstat(p->record, &st) < 0)
		r = -errno;
	else if (st.st_nlink == 0)
		r = -ENOENT;
	if (r < 0)
		partial_unlock(p);
	return r;
}

void
partial_unlock(struct partial *p)
{
	(void)set_lock(p->record, F_UNLCK, LOCK_RECORD, 1);
}

int
partial_join(struct partial *p)
{
	return set_lock(p->record, F_RDLCK, LOCK_WRITERS, 1);
}

/* Whether another one has a lock on the writers' byte that is in the way of this kind. */
static bool
is_in_use(const struct partial *p, short type)
{
	struct flock f = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = LOCK_WRITERS, .l_len = 1
	};

	return fcntl(p->record, F_OFD_GETLK, &f) == 0 && f.l_type != F_UNLCK;
}

bool
partial_is_written(const struct partial *p)
{
	return is_in_use(p, F_WRLCK);
}

bool
partial_is_closed(const struct partial *p)
{
	return is_in_use(p, F_RDLCK);
}

int
partial_await_writers(struct partial *p, uint64_t usec)
{
	return wait_lock(p->record, LOCK_WRITERS, usec);
}

int
partial_take_range(struct partial *p, uint64_t first, uint64_t end)
{
	const uint64_t most = INT64_MAX - LOCK_CONTENT;

	if (first >= most || end <= first)
		return 0;
	/* a length of zero: all that follows */
	return set_lock(p->record, F_WRLCK, (off_t)(LOCK_CONTENT + first),
			end >= most ? 0 : (off_t)(end - first));
}

/* ---- claims */

int
partial_read_claim(const struct partial *p, uint64_t *ret)
{
	ssize_t n = io_pread_full(p->record, ret, sizeof(*ret), RECORD_CLAIM_AT);

	return n < 0 ? (int)n : n == (ssize_t)sizeof(*ret) ? 0 : -EBADMSG;
}

static uint64_t
now_seconds(void)
{
	return (uint64_t)clock_real_ns() / NSEC_PER_SEC & UINT32_MAX;
}

bool
partial_is_older(uint64_t claim, uint64_t usec)
{
	uint64_t age = now_seconds() - (claim >> 32), least = usec / USEC_PER_SEC;

	return age <= INT64_MAX && age >= least && age - least < YEAR;
}

int
partial_claim(struct partial *p)
{
	uint32_t any;

	if (getrandom(&any, sizeof(any), 0) != (ssize_t)sizeof(any))
		return -EIO;
	p->claim = now_seconds() << 32 | any;
	return io_pwrite_full(p->record, &p->claim, sizeof(p->claim), RECORD_CLAIM_AT);
}
