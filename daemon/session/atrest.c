#include "daemon/session/atrest.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "daemon/session/atrest_record.h"
#include "daemon/session/atrest_table.h"
#include "lib/clock.h"
#include "lib/own.h"

#define ATTRIBUTE "user.ftd.xxh3"
#define SETTLED_NSEC (2 * (int64_t)NSEC_PER_SEC) /* the coarsest clock of a file system */

static int
load_attribute(int fd, struct atrest_record *ret)
{
	uint8_t data[ATREST_RECORD];
	ssize_t n = fgetxattr(fd, ATTRIBUTE, data, sizeof(data));

	return n < 0 ? -errno : atrest_decode(data, (size_t)n, ret);
}

static bool
is_of(const struct atrest_record *r, const struct entry_stat *st)
{
	return r->size == st->size && r->mtime_ns == st->mtime_ns;
}

/* What is noted of the file as it is. */
static bool
load(struct session *s, unsigned share, int fd, const struct entry_stat *st,
     struct atrest_record *ret)
{
	struct atrest_record r;

	if (st->size < ATREST_MIN)
		return false;
	if ((load_attribute(fd, &r) < 0 || !is_of(&r, st)) &&
	    (atrest_table_load(s, share, st, &r) < 0 || !is_of(&r, st)))
		return false;
	*ret = r;
	return true;
}

/* An attribute that cannot be replaced goes: it is about another content. */
static void
store(struct session *s, unsigned share, int fd, const struct entry_stat *st,
      struct atrest_record *r)
{
	uint8_t data[ATREST_RECORD];

	r->size = st->size;
	r->mtime_ns = st->mtime_ns;
	atrest_encode(r, data);
	if (fsetxattr(fd, ATTRIBUTE, data, sizeof(data), 0) == 0)
		return;
	if (errno == EOPNOTSUPP || errno == EACCES || errno == EPERM)
		(void)atrest_table_store(s, share, st, r);
	else
		(void)fremovexattr(fd, ATTRIBUTE);
}

bool
atrest_get(struct session *s, unsigned share, int fd, const struct entry_stat *st,
	   enum digest_algorithm a, struct digest_value *ret)
{
	struct atrest_record r;

	if (!load(s, share, fd, st, &r))
		return false;
	return atrest_find(&r, a, ret) || atrest_find(&r, DIGEST_XXH3, ret) ||
	       atrest_find(&r, DIGEST_BLOCKS, ret);
}

void
atrest_put(struct session *s, unsigned share, int fd, const struct entry_stat *st,
	   const struct digest_value *v)
{
	struct atrest_record r = { .has_xxh3 = false };

	if (st->size < ATREST_MIN)
		return;
	atrest_note(&r, v);
	store(s, share, fd, st, &r);
}

void
atrest_add(struct session *s, unsigned share, int fd, const struct entry_stat *st,
	   const struct digest_value *v)
{
	struct atrest_record r = { .has_xxh3 = false };

	if (st->size < ATREST_MIN)
		return;
	(void)load(s, share, fd, st, &r);
	atrest_note(&r, v);
	store(s, share, fd, st, &r);
}

bool
atrest_is_settled(const struct entry_stat *st)
{
	int64_t now = clock_real_ns();

	return st->mtime_ns < now - SETTLED_NSEC || st->mtime_ns > now + SETTLED_NSEC;
}

void
atrest_carry(struct session *s, unsigned share, int from, const struct entry_stat *from_st,
	     unsigned to_share, int to, const struct entry_stat *to_st)
{
	struct atrest_record r;

	if (!load(s, share, from, from_st, &r)) {
		/* what fits by chance is about another content */
		if (!load(s, to_share, to, to_st, &r))
			return;
		r.has_xxh3 = r.has_blocks = false;
	}
	store(s, to_share, to, to_st, &r);
}

int
atrest_tell(struct session *s, unsigned share, int dir, const char *leaf,
	    const struct entry_stat *st, enum digest_algorithm a, json_t *entry)
{
	auto_close int fd = -1;
	char text[DIGEST_TEXT_MAX];
	struct entry_stat now;
	struct digest_value v;

	if (!S_ISREG(st->mode) || st->size < ATREST_MIN)
		return 0;
	fd = path_open(dir, leaf, O_RDONLY, 0, false);
	/* another one may have the name by now: the digest is of the entry */
	if (fd < 0 || entry_stat(fd, NULL, &now) < 0 || now.inode != st->inode ||
	    !atrest_get(s, share, fd, st, a, &v) || v.algorithm != a)
		return 0;
	return json_object_set_new(entry, "digest", json_string(digest_format(&v, text))) < 0
		   ? -ENOMEM
		   : 0;
}
