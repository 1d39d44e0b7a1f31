#include "daemon/session/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <syslog.h>
#include <unistd.h>

#include "daemon/common/rolelog.h"
#include "lib/own.h"

enum { TRIES = 16 };

/* What has a name now. */
struct name {
	int dir;
	const char *leaf;
	bool there, directory;
	bool counts;                  /* to user */
	char user[USER_NAME_MAX + 1]; /* whose ledger's lock stands for it */
	uint64_t device, inode, size;
};

/* A change of one or two names, with the ledgers locked that it concerns. */
struct change {
	struct session *s;
	unsigned share;
	const char *user; /* who publishes; NULL: nobody does */
	struct name names[2];
	size_t n_names;
	struct ledger
	    *ledgers[2]; /* in the order of their names, so that nobody waits in a circle */
	size_t n_ledgers;
	struct ledger others[2]; /* those that are not the session's own */
};

/* ---- looking */

static void
look_at_owner(struct name *n, int fd)
{
	char user[USER_NAME_MAX + 1];
	ssize_t len = fgetxattr(fd, LEDGER_OWNER, user, sizeof(user) - 1);

	if (len <= 0 || !ledger_name_is_valid(user, (size_t)len))
		return;
	memcpy(n->user, user, (size_t)len);
	n->user[len] = '\0';
	n->counts = true;
}

/* Links and what cannot be read are nobody's. */
static int
look(struct name *n)
{
	auto_close int fd = -1;
	struct entry_stat st;
	int r;

	*n = (struct name){ .dir = n->dir, .leaf = n->leaf, .user = LEDGER_NOBODY };
	r = entry_stat(n->dir, n->leaf, &st);
	if (r == 0 && S_ISREG(st.mode)) {
		fd = path_open(n->dir, n->leaf, O_RDONLY, 0, false);
		if (fd >= 0)
			r = entry_stat(fd, NULL, &st);
	}
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	n->there = true;
	n->directory = S_ISDIR(st.mode);
	n->device = st.device;
	n->inode = st.inode;
	n->size = st.size;
	if (fd >= 0 && S_ISREG(st.mode))
		look_at_owner(n, fd);
	return 0;
}

static bool
is_same(const struct name *a, const struct name *b)
{
	return a->there == b->there && a->device == b->device && a->inode == b->inode;
}

/* ---- locking */

static int
lock(struct change *c, const char *user)
{
	struct ledger *own = quota_ledger(c->s, c->share), *l = &c->others[c->n_ledgers];
	int r;

	if (own == NULL)
		return -ENOMEM;
	if (strcmp(own->user, user) == 0)
		l = own;
	else
		ledger_init(l, own->root, user, own->session);
	r = quota_lock(c->s, c->share, l);
	if (r < 0 && l != own)
		ledger_done(l);
	if (r == 0)
		c->ledgers[c->n_ledgers++] = l;
	return r;
}

static void
end(struct change *c)
{
	for (size_t i = 0; i < c->n_ledgers; i++) {
		ledger_unlock(c->ledgers[i]);
		if (c->ledgers[i] == &c->others[i])
			ledger_done(c->ledgers[i]);
	}
	c->n_ledgers = 0;
}

static int
lock_all(struct change *c)
{
	const char *a = c->user != NULL ? c->user : c->names[0].user;
	const char *b = a;
	int order, r;

	if (c->n_names > 0)
		b = c->names[c->n_names - 1].user;
	order = strcmp(a, b);
	r = lock(c, order <= 0 ? a : b);
	if (r == 0 && order != 0)
		r = lock(c, order <= 0 ? b : a);
	if (r < 0)
		end(c);
	return r;
}

/* 1: the names still are what the ledgers were chosen for. */
static int
look_again(struct change *c)
{
	struct name was;
	int r;

	for (size_t i = 0; i < c->n_names; i++) {
		was = c->names[i];
		r = look(&c->names[i]);
		if (r < 0)
			return r;
		if (!is_same(&was, &c->names[i]))
			return 0;
	}
	return 1;
}

static int
begin(struct change *c)
{
	int r = 0;

	for (size_t i = 0; i < c->n_names && r == 0; i++)
		r = look(&c->names[i]);
	for (int i = 0; i < TRIES && r == 0; i++) {
		r = lock_all(c);
		if (r < 0)
			return r;
		r = look_again(c);
		if (r == 1)
			return 0;
		end(c);
	}
	return r < 0 ? r : -EBUSY;
}

static struct ledger *
ledger_of(const struct change *c, const char *user)
{
	for (size_t i = 0; i < c->n_ledgers; i++)
		if (strcmp(c->ledgers[i]->user, user) == 0)
			return c->ledgers[i];
	return NULL;
}

/* ---- accounts */

/* The record counts, or is void. */
static void
close_record(struct change *c, struct ledger *l, const struct staged_id *id, bool counts)
{
	int r = counts ? ledger_settle(l, id) : ledger_drop(l, id);

	if (r == 0)
		return;
	rolelog(LOG_ERR, "share /%s: cannot write the quota file of %s, it is counted anew: %s",
		c->s->config->shares[c->share].path, l->user, strerror(-r));
	(void)ledger_ask_count(l->root);
}

/* A ledger that was lost meanwhile does not know the reservation. */
static int
change_own(struct change *c, struct ledger *l, const struct ledger_record *r)
{
	struct ledger_record again;
	int e = ledger_change(l, r);

	if (e != -ESTALE)
		return e;
	e = ledger_reserve(l, c->s->config->shares[c->share].quota, r->bytes, r->bytes, &r->id,
			   r->elsewhere, &again);
	return e < 0 ? e : ledger_change(l, r);
}

/* ---- publishing */

static int
publish(struct change *c, struct staging *st, uint64_t size, enum claim how, char *leaf, int dir)
{
	const struct name *target = &c->names[0];
	bool replaces = c->n_names > 0 && target->there;
	struct ledger *own = ledger_of(c, c->user), *their = NULL;
	struct ledger_record mine = st->hold, theirs;
	int r;

	mine.state = LEDGER_PUBLISHING;
	mine.bytes = size;
	theirs = mine;
	if (replaces && target->counts && strcmp(target->user, c->user) == 0)
		mine.credit = target->size;
	else if (replaces && target->counts)
		their = ledger_of(c, target->user);
	r = change_own(c, own, &mine);
	if (r < 0)
		return r;
	if (their != NULL) {
		theirs.bytes = 0;
		theirs.credit = target->size;
		r = ledger_note(their, &theirs);
		if (r < 0)
			return r;
	}
	r = claim_name(how == CLAIM_REPLACE && !replaces ? CLAIM_FREE : how, st->dir, st->name, dir,
		       leaf);
	if (r == 0) {
		close_record(c, own, &st->id, true);
		st->hold.state = LEDGER_FREE;
	} else {
		(void)ledger_change(own, &st->hold);
	}
	if (their != NULL)
		close_record(c, their, &st->id, r == 0);
	return r;
}

int
quota_publish(struct session *s, struct staging *st, uint64_t size, enum claim how, int dir,
	      char *leaf)
{
	int r = -EEXIST;

	if (st->hold.state == LEDGER_FREE)
		return claim_name(how, st->dir, st->name, dir, leaf);
	for (int i = 0; i < TRIES && r == -EEXIST; i++) {
		struct change c = { .s = s,
				    .share = st->share,
				    .user = quota_ledger(s, st->share)->user,
				    .names = { { .dir = dir, .leaf = leaf } },
				    .n_names = how == CLAIM_REPLACE };

		r = begin(&c);
		if (r < 0)
			return r;
		r = publish(&c, st, size, how, leaf, dir);
		end(&c);
		if (how != CLAIM_REPLACE)
			break;
	}
	return r;
}

/* ---- other changes */

/* Notes that the file of the name goes, if it counts. 1: noted. */
static int
note_removal(struct change *c, const struct name *n, struct staged_id *ret_id)
{
	struct ledger_record r = { .state = LEDGER_REMOVING, .credit = n->size };
	int e;

	if (!n->there || !n->counts)
		return 0;
	r.id = (struct staged_id){ .session = c->s->staging_id, .number = ++c->s->staged };
	e = ledger_note(ledger_of(c, n->user), &r);
	*ret_id = r.id;
	return e < 0 ? e : 1;
}

int
quota_unlink(struct session *s, unsigned share, int dir, const char *leaf)
{
	struct change c = {
		.s = s, .share = share, .names = { { .dir = dir, .leaf = leaf } }, .n_names = 1
	};
	struct staged_id id;
	int r, noted;

	if (!quota_applies(s, share))
		return unlinkat(dir, leaf, 0) < 0 ? -errno : 0;
	r = begin(&c);
	if (r < 0)
		return r;
	noted = note_removal(&c, &c.names[0], &id);
	r = noted < 0 ? noted : unlinkat(dir, leaf, 0) < 0 ? -errno : 0;
	if (noted > 0)
		close_record(&c, ledger_of(&c, c.names[0].user), &id, r == 0);
	end(&c);
	return r;
}

/* A count that is under way may see what moves twice, or not at all. */
static int
note_move(struct change *c, const struct name *from)
{
	struct ledger *l = ledger_of(c, from->user);

	if (from->counts)
		l->image.header.changes++;
	else if (from->directory)
		l->image.header.moves++;
	else
		return 0;
	return ledger_update(l);
}

static int
move(struct change *c, enum claim how, char *leaf)
{
	const struct name *from = &c->names[0], *to = &c->names[1];
	bool replaces = c->n_names == 2 && to->there;
	struct staged_id id;
	int r, noted = 0;

	r = note_move(c, from);
	if (r == 0 && replaces && !is_same(from, to))
		r = noted = note_removal(c, to, &id);
	if (r < 0)
		return r;
	r = claim_name(how, from->dir, from->leaf, to->dir, leaf);
	if (noted > 0)
		close_record(c, ledger_of(c, to->user), &id, r == 0);
	return r;
}

int
quota_rename(struct session *s, unsigned share, enum claim how, int from_dir, const char *from,
	     int dir, char *leaf)
{
	struct change c = { .s = s,
			    .share = share,
			    .names = { { .dir = from_dir, .leaf = from },
				       { .dir = dir, .leaf = leaf } } };
	bool looks = how == CLAIM_REPLACE;
	int r = 0;

	if (!quota_applies(s, share))
		return claim_name(how, from_dir, from, dir, leaf);
	for (int i = 0; i < TRIES; i++) {
		c.n_names = looks ? 2 : 1;
		r = begin(&c);
		if (r < 0)
			return r;
		if (looks && !c.names[1].there)
			how = CLAIM_FREE;
		r = move(&c, how, leaf);
		end(&c);
		if (!looks || how == CLAIM_REPLACE || r != -EEXIST)
			return r;
		how = CLAIM_REPLACE;
	}
	return r;
}
