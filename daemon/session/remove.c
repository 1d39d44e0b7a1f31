#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/session/names.h"
#include "daemon/session/quota.h"
#include "daemon/session/stop.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"

enum { LOOK_EVERY = 64 }; /* entries between two looks at orders and cancel */

struct args {
	bool recursive;
};

static const struct message_field fields[] = {
	{ "recursive", MESSAGE_BOOL, offsetof(struct args, recursive), 0, false },
};

struct removing {
	struct session *s;
	const struct request *rq;
	unsigned share;
	struct stop stop;
	json_t *keys; /* owned: what goes with a refusal */
};

/* Why a directory is not empty: names of the daemon's own are no client's fault and pass. */
static int
why_not_empty(int dir, const char *leaf)
{
	struct walk *w = NULL;
	struct walk_item item;
	int fd, r;

	fd = path_open(dir, leaf, O_RDONLY | O_DIRECTORY, 0, false);
	if (fd < 0 || walk_new(fd, 0, &w) < 0)
		return -FTD_E_not_empty;
	r = walk_next(w, &item);
	walk_free(w);
	return r == 0 ? -FTD_E_busy : -FTD_E_not_empty;
}

static int
remove_directory(int dir, const char *leaf)
{
	if (unlinkat(dir, leaf, AT_REMOVEDIR) == 0)
		return 0;
	if (errno == ENOTEMPTY || errno == EEXIST)
		return why_not_empty(dir, leaf);
	return -errno;
}

/* ---- a tree */

/* Directories go when they are left, or at once where they cannot be looked into: they may be
 * empty. */
static int
remove_item(const struct removing *m, const struct walk_item *item)
{
	int r;

	if (item->type != DT_DIR)
		r = quota_unlink(m->s, m->share, item->dir, item->leaf);
	else if (item->leaving || item->error < 0)
		r = remove_directory(item->dir, item->leaf);
	else
		return 0;
	if (r == -ENOENT) /* somebody else was faster */
		return 0;
	return r < 0 && item->error < 0 ? item->error : r;
}

/* The first that cannot be removed ends it, and is named. */
static int
stopped_at(struct removing *m, const struct walk_item *item, int error)
{
	m->keys = json_object();
	if (m->keys == NULL || message_set_name(m->keys, "name", item->path, item->path_len) < 0)
		return -ENOMEM;
	return error;
}

/* 0, or the refusal; a conn_* failure goes to *ret_end. */
static int
empty(struct removing *m, struct walk *w, int *ret_end)
{
	struct walk_item item;
	int r;

	for (uint64_t n = 0;; n++) {
		r = n % LOOK_EVERY == 0 ? stop_look(m->s, &m->stop) : 0;
		if (r < 0)
			*ret_end = r;
		if (r != 0)
			return r < 0 ? r : m->stop.error;
		report_heartbeat(m->s);
		r = walk_next(w, &item);
		if (r <= 0)
			return r;
		r = item.path_len > 0 ? remove_item(m, &item) : item.error;
		if (r < 0)
			return stopped_at(m, &item, r);
	}
}

static int
remove_tree(struct removing *m, int dir, const char *leaf, int *ret_end)
{
	struct walk *w = NULL;
	int fd, r;

	fd = path_open(dir, leaf, O_RDONLY | O_DIRECTORY, 0, false);
	if (fd == -EACCES) /* it may be empty */
		return remove_directory(dir, leaf) == 0 ? 0 : -EACCES;
	if (fd < 0)
		return fd;
	r = walk_new(fd, WALK_RECURSIVE | WALK_POST, &w);
	if (r < 0)
		return r;
	(void)beat_begin(m->s, m->rq, "waiting");
	r = empty(m, w, ret_end);
	beat_end(m->s);
	walk_free(w);
	return r < 0 ? r : remove_directory(dir, leaf);
}

/* ---- the request */

static int
remove_at(struct removing *m, const struct place *p, bool recursive, struct entry_stat *st,
	  int *ret_end)
{
	auto_close int dir = -1;
	const char *leaf;
	int r;

	dir = names_open_parent(m->s, p, &leaf);
	if (dir < 0)
		return dir;
	m->share = p->share;
	r = entry_stat(dir, leaf, st);
	if (r < 0)
		return r;
	if (!S_ISDIR(st->mode))
		r = quota_unlink(m->s, m->share, dir, leaf);
	else if (recursive)
		r = remove_tree(m, dir, leaf, ret_end);
	else
		r = remove_directory(dir, leaf);
	if (r == 0)
		return names_changed(m->s, m->rq, p, dir);
	if (recursive) /* part of it may be gone even so */
		(void)names_changed(m->s, m->rq, p, dir);
	return r;
}

static int
start(struct removing *m, const struct args *a)
{
	const struct place *p = m->rq->source;
	struct entry_stat st;
	int end = 0, r;

	r = shares_conceal(p, remove_at(m, p, a->recursive, &st, &end));
	if (end < 0)
		return end;
	if (m->stop.error < 0)
		return stop_answer(m->s, m->rq, &m->stop, NULL);
	if (r < 0)
		return reply_error(m->s, m->rq, r, NULL,
				   names_may_list(p) ? take_ptr(m->keys) : NULL);
	return names_reply_entry(m->s, m->rq, p, names_leaf(p), &st);
}

int
op_remove(struct session *s, const struct request *rq)
{
	struct removing m = { .s = s, .rq = rq };
	struct args a = { 0 };
	uint64_t has = 0;
	int r;

	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &a, &has);
	if (r > 0)
		r = start(&m, &a);
	json_decref(m.keys);
	message_args_done(fields, ARRAY_SIZE(fields), &a);
	return r;
}
