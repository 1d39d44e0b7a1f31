#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/session/forest.h"
#include "daemon/session/names.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"

enum { MODE_MAX = 07777, MODE_BITS = 0777, MODE_SPECIAL = 07000 };

/* ---- mkdir */

struct mkdir_args {
	struct message_name filename;
	bool parents;
};

static const struct message_field mkdir_fields[] = {
	{ "filename", MESSAGE_NAME, offsetof(struct mkdir_args, filename), FRAME_HEADER_MAX, true },
	{ "parents", MESSAGE_BOOL, offsetof(struct mkdir_args, parents), 0, false },
};

struct made {
	struct session *s;
	const struct place *p;
};

static int
changed(void *userdata, int parent_fd)
{
	const struct made *m = userdata;

	return names_changed(m->s, m->p, parent_fd);
}

static int
make_with_parents(struct session *s, const struct place *p, struct entry_stat *ret)
{
	struct made made = { .s = s, .p = p };
	auto_close int fd = -1;
	int root = s->shares[p->share].root;

	if (root < 0)
		return -EIO;
	fd = path_make_parents(root, p->rest, shares_follow(s, p), changed, &made);
	return fd < 0 ? fd : entry_stat(fd, NULL, ret);
}

static int
make_one(struct session *s, const struct place *p, struct entry_stat *ret)
{
	auto_close int dir = -1;
	const char *leaf;
	int r;

	dir = shares_open_parent(s, p, &leaf);
	if (dir < 0)
		return dir;
	r = mkdirat(dir, leaf, 0777) < 0 ? -errno : 0;
	if (r < 0) {
		(void)entry_stat(dir, leaf, ret); /* what is in the way */
		return r;
	}
	r = names_changed(s, p, dir);
	return r < 0 ? r : entry_stat(dir, leaf, ret);
}

static int
make(struct session *s, const struct place *p, bool parents, struct entry_stat *ret)
{
	*ret = forest_virtual();
	if (p->rest[0] == '\0' || shares_above(s, p->name))
		return parents ? 0 : -EEXIST;
	return parents ? make_with_parents(s, p, ret) : make_one(s, p, ret);
}

static int
mkdir_at(struct session *s, const struct request *rq, const struct mkdir_args *a)
{
	struct entry_stat st;
	struct place p;
	json_t *keys = NULL;
	int r;

	r = names_locate(s, &a->filename, rq->rights, &p);
	if (r < 0)
		return reply_error(s, rq, r, NULL, NULL);
	r = make(s, &p, a->parents, &st);
	if (r == -EEXIST)
		keys = names_current(s, &p, &st);
	if (r < 0)
		return reply_error(s, rq, shares_conceal(s, &p, r), NULL, keys);
	return names_reply_entry(s, rq, &p, names_leaf(&p), &st);
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
	struct message_name filename;
	int64_t mtime_ns;
	uint64_t mode;
};

enum { SET_FILENAME, SET_MTIME, SET_MODE };

static const struct message_field set_fields[] = {
	[SET_FILENAME] = { "filename", MESSAGE_NAME, offsetof(struct set_args, filename),
			   FRAME_HEADER_MAX, true },
	[SET_MTIME] = { "mtime_ns", MESSAGE_INT, offsetof(struct set_args, mtime_ns), 0, false },
	[SET_MODE] = { "mode", MESSAGE_UINT, offsetof(struct set_args, mode), MODE_MAX, false },
};

/* Opens a file or directory so that its descriptor can be used to change it. */
static int
open_to_set(struct session *s, const struct place *p, struct entry_stat *ret)
{
	auto_close int fd = -1;
	int r;

	fd = shares_open(s, p, O_RDONLY);
	if (fd == -EACCES) /* what one may write but not read */
		fd = shares_open(s, p, O_WRONLY);
	if (fd < 0)
		return fd == -ENXIO ? -FTD_E_not_a_file : fd;
	r = entry_stat(fd, NULL, ret);
	if (r < 0)
		return r;
	return S_ISREG(ret->mode) || S_ISDIR(ret->mode) ? take_fd(&fd) : -FTD_E_not_a_file;
}

/* The bits above 0777 are a directory's own (its group is inherited); no file keeps them. */
static int
set_mode(int fd, const struct entry_stat *st, uint64_t mode)
{
	mode_t special = S_ISDIR(st->mode) ? st->mode & MODE_SPECIAL : 0;

	return fchmod(fd, special | ((mode_t)mode & MODE_BITS)) < 0 ? -errno : 0;
}

static int
set(struct session *s, const struct place *p, const struct set_args *a, uint64_t has,
    struct entry_stat *ret)
{
	auto_close int fd = -1;
	int r = 0;

	fd = open_to_set(s, p, ret);
	if (fd < 0)
		return fd;
	if ((has & 1U << SET_MODE) != 0)
		r = set_mode(fd, ret, a->mode);
	if (r == 0 && (has & 1U << SET_MTIME) != 0)
		r = entry_set_mtime(fd, a->mtime_ns);
	if (r == 0)
		r = names_changed(s, p, fd);
	return r < 0 ? r : entry_stat(fd, NULL, ret);
}

static int
set_at(struct session *s, const struct request *rq, const struct set_args *a, uint64_t has)
{
	struct entry_stat st;
	struct place p;
	int r;

	r = names_locate(s, &a->filename, rq->rights, &p);
	if (r < 0)
		return reply_error(s, rq, r, NULL, NULL);
	if (p.rest[0] == '\0')
		return reply_error(s, rq, -FTD_E_permission, "this is a share, not a name in one",
				   NULL);
	r = set(s, &p, a, has, &st);
	if (r < 0)
		return reply_error(s, rq, shares_conceal(s, &p, r), NULL, NULL);
	return names_reply_entry(s, rq, &p, names_leaf(&p), &st);
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
