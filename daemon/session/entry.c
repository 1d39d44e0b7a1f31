#include "daemon/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/clock.h"
#include "lib/own.h"

/* Saturates: file systems know times beyond what 64 bits of nanoseconds hold (the year 2262). */
static int64_t
time_ns(const struct statx_timestamp *t)
{
	int64_t ns;

	if (__builtin_mul_overflow(t->tv_sec, (int64_t)NSEC_PER_SEC, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)t->tv_nsec, &ns))
		return t->tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

int
entry_stat(int dir, const char *leaf, struct entry_stat *ret)
{
	int flags = AT_SYMLINK_NOFOLLOW | (leaf == NULL ? AT_EMPTY_PATH : 0);
	struct statx st;

	if (statx(dir, leaf == NULL ? "" : leaf, flags, STATX_BASIC_STATS | STATX_BTIME, &st) < 0)
		return -errno;
	*ret = (struct entry_stat){
		.mode = st.stx_mode,
		.size = st.stx_size,
		.mtime_ns = time_ns(&st.stx_mtime),
		.inode = st.stx_ino,
		.device = makedev(st.stx_dev_major, st.stx_dev_minor),
		.birth_ns = (st.stx_mask & STATX_BTIME) != 0 ? time_ns(&st.stx_btime) : 0,
	};
	return 0;
}

int
entry_set_mtime(int fd, int64_t mtime_ns)
{
	int64_t second = (int64_t)NSEC_PER_SEC, rest = mtime_ns % second;
	const struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		/* before 1970 the seconds count down and the nanoseconds still up */
		{ .tv_sec = mtime_ns / second - (rest < 0),
		  .tv_nsec = (long)(rest < 0 ? rest + second : rest) },
	};

	return futimens(fd, times) < 0 ? -errno : 0;
}

const char *
entry_etag(const struct entry_stat *st, char *buf)
{
	(void)snprintf(buf, ENTRY_ETAG_MAX, "%" PRIx64 "-%" PRIx64 "-%" PRIx64 "-%" PRIx64,
		       st->size, (uint64_t)st->mtime_ns, st->inode, (uint64_t)st->birth_ns);
	return buf;
}

static const char *
type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "dir";
	case S_IFLNK:
		return "link";
	default:
		return "other";
	}
}

json_t *
entry_json(const char *name, size_t name_len, const struct entry_stat *st)
{
	auto_json json_t *o = json_object();
	char etag[ENTRY_ETAG_MAX];
	uint64_t size = S_ISREG(st->mode) ? st->size : 0;

	if (message_set_name(o, "name", name, name_len) < 0 ||
	    json_object_set_new(o, "type", json_string(type_name(st->mode))) < 0 ||
	    json_object_set_new(o, "filesize", json_integer((json_int_t)size)) < 0 ||
	    json_object_set_new(o, "mtime_ns", json_integer(st->mtime_ns)) < 0 ||
	    json_object_set_new(o, "mode", json_integer(st->mode & 0777)) < 0 ||
	    json_object_set_new(o, "etag", json_string(entry_etag(st, etag))) < 0)
		return NULL;
	return take_ptr(o);
}
