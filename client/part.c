#include "client/part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/digest.h"
#include "lib/own.h"
#include "lib/text.h"

enum { KEEP_MAX = 9999, OPEN_TRIES = 8, NAME_SHOWN_MAX = 200 };

/* A name that would get too long is cut, and told apart by a digest of the whole. */
static void
name_of(const char *leaf, char dst[PATH_COMPONENT_MAX + 1])
{
	uint8_t digest[16];
	char hex[2 * sizeof(digest) + 1];
	size_t len = strlen(leaf);

	if (len <= NAME_SHOWN_MAX) {
		(void)snprintf(dst, PATH_COMPONENT_MAX + 1, ".ft-%s.part", leaf);
		return;
	}
	digest_block(leaf, len, digest);
	(void)snprintf(dst, PATH_COMPONENT_MAX + 1, ".ft-%.*s~%.16s.part", NAME_SHOWN_MAX, leaf,
		       text_hex(hex, digest, sizeof(digest)));
}

/* Whether name still is the file that fd is: another ft may have published it before we had the
 * lock. */
static bool
still_there(int dir, const char *name, const struct stat *st)
{
	struct stat now;

	return fstatat(dir, name, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == st->st_ino &&
	       now.st_dev == st->st_dev;
}

/* 1: opened; 0: it was gone again, try once more; -errno. */
static int
open_once(struct part *p)
{
	auto_close int fd = -1;
	struct stat st;

	fd = path_open(p->dir, p->name, O_RDWR | O_CREAT, 0600, false);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!still_there(p->dir, p->name, &st))
		return 0;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1)
		return -EPERM;
	p->fd = take_fd(&fd);
	return 1;
}

int
part_open(int dir, const char *leaf, struct part *ret)
{
	struct part p = { .dir = dir, .fd = -1 };
	int r = 0;

	name_of(leaf, p.name);
	for (int i = 0; r == 0 && i < OPEN_TRIES; i++)
		r = open_once(&p);
	if (r <= 0)
		return r < 0 ? r : -EBUSY;
	*ret = p;
	return 0;
}

bool
part_is_there(int dir, const char *leaf)
{
	char name[PATH_COMPONENT_MAX + 1];
	struct stat st;

	name_of(leaf, name);
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int64_t
part_held(const struct part *p)
{
	struct stat st;

	return fstat(p->fd, &st) < 0 ? -errno : (int64_t)st.st_size;
}

mode_t
part_mode(uint64_t mode)
{
	mode_t mask = umask(077);

	(void)umask(mask);
	return (mode_t)mode & 0777 & ~mask;
}

int
part_set_mtime(int fd, int64_t mtime_ns)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	int64_t ns = mtime_ns % (int64_t)NSEC_PER_SEC;

	times[1].tv_sec = (time_t)(mtime_ns / (int64_t)NSEC_PER_SEC);
	if (ns < 0) {
		ns += (int64_t)NSEC_PER_SEC;
		times[1].tv_sec--;
	}
	times[1].tv_nsec = (long)ns;
	return futimens(fd, times) < 0 ? -errno : 0;
}

/* "name (2).ext": the end of the name keeps telling what the file is. */
static int
numbered(const char *leaf, unsigned i, char dst[PATH_COMPONENT_MAX + 1])
{
	const char *dot = strrchr(leaf, '.');
	size_t stem = dot != NULL && dot != leaf ? (size_t)(dot - leaf) : strlen(leaf);
	int n;

	n = snprintf(dst, PATH_COMPONENT_MAX + 1, "%.*s (%u)%s", (int)stem, leaf, i, leaf + stem);
	return n > PATH_COMPONENT_MAX ? -ENAMETOOLONG : 0;
}

/* Takes the name only if it is free: -EEXIST. */
static int
claim(struct part *p, const char *leaf)
{
	if (renameat2(p->dir, p->name, p->dir, leaf, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	/* a file system that cannot (NFS) can do it in two steps */
	if (linkat(p->dir, p->name, p->dir, leaf, 0) < 0)
		return -errno;
	return unlinkat(p->dir, p->name, 0) < 0 ? -errno : 0;
}

static int
keep_both(struct part *p, char *leaf)
{
	char other[PATH_COMPONENT_MAX + 1];
	int r = claim(p, leaf);

	for (unsigned i = 2; r == -EEXIST && i <= KEEP_MAX; i++) {
		r = numbered(leaf, i, other);
		if (r < 0)
			return r;
		r = claim(p, other);
		if (r == 0)
			memcpy(leaf, other, sizeof(other));
	}
	return r;
}

int
part_publish(struct part *p, char *leaf, const struct part_facts *facts, enum if_exists how)
{
	int r = 0;

	if (facts->has_mode && fchmod(p->fd, part_mode(facts->mode)) < 0)
		return -errno;
	if (facts->has_mtime)
		r = part_set_mtime(p->fd, facts->mtime_ns);
	if (r < 0)
		return r;
	if (how == IF_EXISTS_KEEP_BOTH)
		r = keep_both(p, leaf);
	else if (how == IF_EXISTS_FAIL || how == IF_EXISTS_SKIP)
		r = claim(p, leaf);
	else
		r = renameat(p->dir, p->name, p->dir, leaf) < 0 ? -errno : 0;
	p->published = r == 0;
	return r;
}

void
part_done(struct part *p)
{
	if (p->fd >= 0 && !p->published && part_held(p) == 0)
		(void)unlinkat(p->dir, p->name, 0);
	close_fd(&p->fd);
}
