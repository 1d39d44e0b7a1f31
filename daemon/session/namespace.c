#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/session/atrest.h"
#include "daemon/session/forest.h"
#include "daemon/session/names.h"
#include "daemon/session/quota.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"

enum { MODE_MAX = 07777, MODE_BITS = 0777, MODE_SPECIAL = 07000 };

/* ---- mkdir */

struct mkdir_args {
	bool parents;
};

static const struct message_field mkdir_fields[] = {
	{ "parents", MESSAGE_BOOL, offsetof(struct mkdir_args, parents), 0, false },
};

struct making {
	struct session *s;
	const struct request *rq;
	const struct place *place;
	struct entry_stat st; /* of the directory, or of what is in the way */
};

static int
may_make(void *userdata, const char *rest)
{
	const struct making *m = userdata;

	return (shares_rights(m->s, m->place->share, rest) & RIGHT_MKDIR) != 0 ? 0
									       : -FTD_E_permission;
}

static int
changed(void *userdata, int parent_fd)
{
	const struct making *m = userdata;

	return names_changed(m->s, m->rq, m->place, parent_fd);
}

static int
make_with_parents(struct making *m)
{
	const struct place *p = m->place;
	const struct path_maker maker = { .may = may_make, .made = changed, .userdata = m };
	auto_close int fd = -1;
	int root = shares_root(m->s, p->share);

	if (root < 0)
		return root;
	fd = path_make_parents(root, p->rest, shares_follow(m->s, p), &maker);
	return fd < 0 ? fd : entry_stat(fd, NULL, &m->st);
}

static int
make_one(struct making *m)
{
	auto_close int dir = -1;
	const char *leaf;
	int r;

	dir = shares_open_parent(m->s, m->place, &leaf);
	if (dir < 0)
		return dir;
	r = mkdirat(dir, leaf, 0777) < 0 ? -errno : changed(m, dir);
	if (r == 0)
		return entry_stat(dir, leaf, &m->st);
	(void)entry_stat(dir, leaf, &m->st);
	return r;
}

/* Who may not list is told nothing of what is there already: the directory is there afterwards. */
static int
make(struct making *m, bool parents)
{
	const struct place *p = m->place;

	parents = parents || !names_may_list(p);
	m->st = forest_virtual();
	if (p->rest[0] == '\0' || shares_above(m->s, p->name))
		return parents ? 0 : -EEXIST;
	return parents ? make_with_parents(m) : make_one(m);
}

static int
mkdir_at(struct session *s, const struct request *rq, const struct mkdir_args *a)
{
	struct making m = { .s = s, .rq = rq, .place = rq->source };
	json_t *keys = NULL;
	int r;

	r = make(&m, a->parents);
	if (r == -EEXIST)
		keys = names_current(m.place, &m.st);
	if (r < 0)
		return reply_error(s, rq, shares_conceal(m.place, r), NULL, keys);
	return names_reply_entry(s, rq, m.place, names_leaf(m.place), &m.st);
}

int
op_mkdir(struct session *s, const struct request *rq)
{
	struct mkdir_args a = { 0 };
	uint64_t has = 0;
	int r;

	r = dispatch_decode(s, rq, mkdir_fields, ARRAY_SIZE(mkdir_fields), &a, &has);
	if (r > 0)
		r = mkdir_at(s, rq, &a);
	message_args_done(mkdir_fields, ARRAY_SIZE(mkdir_fields), &a);
	return r;
}

/* ---- set */

struct set_args {
	int64_t mtime_ns;
	uint64_t mode;
};

enum { SET_MTIME, SET_MODE };

static const struct message_field set_fields[] = {
	[SET_MTIME] = { "mtime_ns", MESSAGE_INT, offsetof(struct set_args, mtime_ns), 0, false },
	[SET_MODE] = { "mode", MESSAGE_UINT, offsetof(struct set_args, mode), MODE_MAX, false },
};

/* Opens a file or directory so that its descriptor can be used to change it. */
static int
open_to_set(struct session *s, const struct place *p, struct entry_stat *ret)
{
	auto_close int fd = -1, writable = -1;
	int r;

	fd = shares_open(s, p, O_RDONLY);
	if (fd == -EACCES) { /* a file that one may write but not read */
		writable = shares_open(s, p, O_WRONLY);
		fd = writable < 0 ? fd : take_fd(&writable);
	}
	if (fd < 0)
		return fd == -ENXIO ? -FTD_E_not_a_file : fd;
	r = entry_stat(fd, NULL, ret);
	if (r < 0)
		return r;
	return S_ISREG(ret->mode) || S_ISDIR(ret->mode) ? take_fd(&fd) : -FTD_E_not_a_file;
}

/* The bits above 0777 are a directory's own (its group is inherited); no file keeps them. */
static int
set_mode(const struct session *s, const struct place *p, int fd, const struct entry_stat *st,
	 uint64_t mode)
{
	mode_t special = S_ISDIR(st->mode) ? st->mode & MODE_SPECIAL : 0;
	mode_t wanted = (st->mode & S_IFMT) | special | ((mode_t)mode & MODE_BITS);

	return fchmod(fd, quota_mode(s, p->share, wanted) & ALLPERMS) < 0 ? -errno : 0;
}

/* What is known of its content still is. */
static int
set_mtime(struct session *s, const struct place *p, int fd, int64_t mtime_ns)
{
	struct entry_stat was, is;
	int r = entry_stat(fd, NULL, &was);

	if (r == 0)
		r = entry_set_mtime(fd, mtime_ns);
	if (r == 0)
		r = entry_stat(fd, NULL, &is);
	if (r == 0 && S_ISREG(is.mode))
		atrest_carry(s, p->share, fd, &was, p->share, fd, &is);
	return r;
}

static int
set(struct session *s, const struct request *rq, const struct place *p, const struct set_args *a,
    uint64_t has, struct entry_stat *ret)
{
	auto_close int fd = -1;
	int r = 0;

	fd = open_to_set(s, p, ret);
	if (fd < 0)
		return fd;
	if ((has & 1U << SET_MODE) != 0)
		r = set_mode(s, p, fd, ret, a->mode);
	if (r == 0 && (has & 1U << SET_MTIME) != 0)
		r = set_mtime(s, p, fd, a->mtime_ns);
	if (r == 0)
		r = names_changed(s, rq, p, fd);
	return r < 0 ? r : entry_stat(fd, NULL, ret);
}

static int
set_at(struct session *s, const struct request *rq, const struct set_args *a, uint64_t has)
{
	const struct place *p = rq->source;
	struct entry_stat st;
	int r;

	r = set(s, rq, p, a, has, &st);
	if (r < 0)
		return reply_error(s, rq, shares_conceal(p, r), NULL, NULL);
	return names_reply_entry(s, rq, p, names_leaf(p), &st);
}

int
op_set(struct session *s, const struct request *rq)
{
	struct set_args a = { 0 };
	uint64_t has = 0;
	int r;

	r = dispatch_decode(s, rq, set_fields, ARRAY_SIZE(set_fields), &a, &has);
	if (r > 0)
		r = set_at(s, rq, &a, has);
	message_args_done(set_fields, ARRAY_SIZE(set_fields), &a);
	return r;
}
