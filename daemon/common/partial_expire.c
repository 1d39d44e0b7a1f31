/* What nobody has gone on with. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/common/partial.h"
#include "daemon/common/reserved.h"
#include "lib/clock.h"
#include "lib/own.h"

#define RECEIPT_USEC (10 * 60 * USEC_PER_SEC)

struct expiry {
	int root, dir;
	int64_t now_ns;
	uint64_t keep_usec;
	partial_release release;
	size_t *removed;
};

/* Since something was written to it. A clock that went back makes it young. */
static uint64_t
age_usec(int fd, int64_t now)
{
	struct stat st;
	int64_t then;

	if (fstat(fd, &st) < 0)
		return 0;
	then = (int64_t)st.st_mtim.tv_sec * (int64_t)NSEC_PER_SEC + st.st_mtim.tv_nsec;
	return now > then ? (uint64_t)(now - then) / NSEC_PER_USEC : 0;
}

/* Under its lock. */
static int
remove_old(const struct expiry *e, struct partial *p)
{
	bool is_receipt = partial_load(p) == 0 && p->state.phase == RECORD_DONE;
	uint64_t keep = is_receipt ? RECEIPT_USEC : e->keep_usec;
	int r;

	if (age_usec(p->record, e->now_ns) < keep)
		return 0;
	r = partial_await_writers(p, 0);
	if (r == 0 && !is_receipt)
		(*e->removed)++;
	if (r == 0)
		r = partial_remove(p, e->root);
	/* with the content gone, what was reserved for it is nobody's */
	if (r == 0 && e->release != NULL)
		(void)e->release(e->root, &p->id);
	return r;
}

static int
consider(const struct expiry *e, const struct staged_id *id)
{
	struct partial p;
	int r;

	partial_init(&p, e->dir, id);
	r = partial_open(&p);
	if (r == -EBADMSG)
		r = 0; /* a record that cannot be read goes when it is old, too */
	if (r == 0)
		r = partial_lock(&p);
	if (r == 0) {
		r = remove_old(e, &p);
		partial_unlock(&p);
	}
	partial_done(&p);
	/* in use, gone meanwhile, or of another uid, whose sessions expire it */
	return r == -EBUSY || r == -ENOENT || r == -EACCES || r == -EPERM ? 0 : r;
}

int
partial_expire(int root, int64_t now_ns, uint64_t keep_usec, partial_release release,
	       size_t *removed)
{
	auto_close int fd = reserved_open(root, RESERVED_UPLOADS);
	struct expiry e = { root, fd, now_ns, keep_usec, release, removed };
	auto_dir DIR *dir = NULL;
	struct staged_id id;
	int r, error = 0;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	dir = fdopendir(path_open(fd, "", O_RDONLY | O_DIRECTORY, 0, false));
	if (dir == NULL)
		return -errno;
	while ((r = partial_next(dir, &id)) > 0) {
		r = consider(&e, &id);
		error = error < 0 ? error : r; /* the others are none the worse for it */
	}
	return r < 0 ? r : error;
}
