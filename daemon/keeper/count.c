#include "daemon/keeper/count.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <syslog.h>
#include <unistd.h>

#include "daemon/common/reserved.h"
#include "daemon/common/rolelog.h"
#include "daemon/common/walk.h"
#include "daemon/keeper/ledgers.h"
#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"

#define DAY (24 * 60 * 60 * USEC_PER_SEC)
#define UNSURE_AFTER (60 * 60 * USEC_PER_SEC) /* new users make no more work than that */
#define RETRY_FIRST (5 * USEC_PER_SEC)
enum { STOP_EVERY = 256, OWNERS_MAX = 1 << 16 };

/* ---- one count */

struct owner {
	char user[USER_NAME_MAX + 1];
	uint64_t changes; /* of the ledger, before */
	uint64_t bytes;
};

struct count {
	int root;
	count_stop stop;
	void *owners; /* tsearch(3) of struct owner */
	unsigned n_owners;
	uint64_t moves; /* before */
	bool partial;   /* some directory could not be read: what is there still counts */
	bool changed;   /* some ledger was, meanwhile */
};

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct owner *)a)->user, ((const struct owner *)b)->user);
}

/* NULL without memory. */
static struct owner *
owner_of(struct count *c, const char *user)
{
	struct owner key = { .changes = 0 }, *owner;
	struct owner **at;

	memcpy(key.user, user, strlen(user) + 1);
	at = tfind(&key, &c->owners, compare);
	if (at != NULL)
		return *at;
	owner = c->n_owners < OWNERS_MAX ? malloc(sizeof(*owner)) : NULL;
	if (owner == NULL)
		return NULL;
	*owner = key;
	if (tsearch(owner, &c->owners, compare) == NULL) {
		free(owner);
		return NULL;
	}
	c->n_owners++;
	return owner;
}

static int
note_before(void *userdata, struct ledger *l)
{
	struct count *c = userdata;
	struct owner *owner = owner_of(c, l->user);
	int r = ledger_reclaim(l);

	if (owner == NULL)
		return -ENOMEM;
	owner->changes = l->image.header.changes;
	return r;
}

/* How many directories were renamed. */
static int
read_moves(struct count *c, uint64_t *ret)
{
	struct ledger l;
	int r;

	ledger_init(&l, c->root, LEDGER_NOBODY, 0);
	r = ledgers_lock(&l);
	if (r == 0) {
		*ret = l.image.header.moves;
		ledger_unlock(&l);
	}
	ledger_done(&l);
	return r;
}

static int
count_file(struct count *c, const struct walk_item *item)
{
	auto_close int fd = path_open(item->dir, item->leaf, O_RDONLY, 0, false);
	char user[USER_NAME_MAX + 1];
	struct owner *owner;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) /* gone, or nobody's */
		return 0;
	n = fgetxattr(fd, LEDGER_OWNER, user, sizeof(user) - 1);
	if (n <= 0 || !ledger_name_is_valid(user, (size_t)n))
		return 0;
	user[n] = '\0';
	owner = owner_of(c, user);
	if (owner == NULL)
		return -ENOMEM;
	if (__builtin_add_overflow(owner->bytes, (uint64_t)st.st_size, &owner->bytes) ||
	    owner->bytes > INT64_MAX)
		owner->bytes = INT64_MAX;
	return 0;
}

static int
count_files(struct count *c)
{
	struct walk *w = NULL;
	struct walk_item item;
	int fd = path_open(c->root, "", O_RDONLY | O_DIRECTORY, 0, false), r;

	if (fd < 0)
		return fd;
	r = walk_new(fd, WALK_RECURSIVE, &w);
	for (uint64_t n = 0; r >= 0; n++) {
		r = n % STOP_EVERY == 0 && c->stop() ? -ECANCELED : walk_next(w, &item);
		if (r <= 0)
			break;
		if (item.error < 0)
			c->partial = true;
		else if (item.type == DT_REG)
			r = count_file(c, &item);
	}
	walk_free(w);
	return r;
}

static int
correct(struct count *c, const struct owner *owner, struct ledger *l)
{
	struct ledger_header *h = &l->image.header;
	uint64_t used = owner->bytes;
	int r = ledger_reclaim(l);

	if (r < 0)
		return r;
	if (h->changes != owner->changes) {
		c->changed = true;
		return 0;
	}
	if (c->partial && used < h->used)
		used = h->used;
	if (used != h->used)
		rolelog(LOG_NOTICE,
			"keeper: %s has %" PRIu64 " bytes and not %" PRIu64
			", the quota file is corrected",
			owner->user, used, h->used);
	h->used = used;
	h->flags = 0;
	h->counted_ns = clock_real_ns();
	return ledger_update(l);
}

static int
correct_ledger(struct count *c, const struct owner *owner)
{
	struct ledger l;
	int r;

	ledger_init(&l, c->root, owner->user, 0);
	r = ledgers_lock(&l);
	if (r == 0) {
		r = correct(c, owner, &l);
		ledger_unlock(&l);
	}
	ledger_done(&l);
	return r;
}

struct correction {
	struct count *count;
	int result;
};

static void
correct_node(const void *node, VISIT which, void *closure)
{
	struct correction *x = closure;

	if ((which == postorder || which == leaf) && x->result == 0)
		x->result = correct_ledger(x->count, *(const struct owner *const *)node);
}

static int
correct_all(struct count *c)
{
	struct correction x = { .count = c };
	uint64_t moves;
	int r = read_moves(c, &moves);

	if (r < 0)
		return r;
	if (moves != c->moves) {
		c->changed = true;
		return 0;
	}
	twalk_r(c->owners, correct_node, &x);
	return x.result;
}

static int
forget_request(int root)
{
	auto_close int dir = reserved_open(root, RESERVED_QUOTA);

	if (dir < 0)
		return dir;
	return unlinkat(dir, LEDGER_ASKED, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int
count_share(int root, count_stop stop)
{
	struct count c = { .root = root, .stop = stop };
	int r = read_moves(&c, &c.moves);

	if (r == 0)
		r = forget_request(root);
	if (r == 0)
		r = ledgers_each(root, note_before, &c);
	if (r == 0)
		r = count_files(&c);
	if (r == 0)
		r = correct_all(&c);
	tdestroy(c.owners, free);
	return r < 0 ? r : c.changed;
}

/* ---- when */

static struct {
	uint64_t due;   /* CLOCK_MONOTONIC; 0: at once */
	uint64_t last;  /* when it was counted, 0: not yet */
	uint64_t retry; /* how long to wait after a count that was in vain */
} plan;

bool
count_wanted(const struct config_share *share)
{
	return share->quota != NUM_UNLIMITED;
}

static bool
is_asked(int root)
{
	auto_close int fd =
	    path_open(root, PATH_RESERVED "/" RESERVED_QUOTA "/" LEDGER_ASKED, O_PATH, 0, false);

	return fd >= 0;
}

static void
plan_next(const char *root, int r)
{
	uint64_t now = clock_usec();

	if (r == 0) {
		plan.last = now;
		plan.due = now + DAY;
		plan.retry = 0;
		return;
	}
	if (r < 0 && r != -ECANCELED)
		rolelog(LOG_WARNING, "keeper: cannot count the files of %s, trying again: %s", root,
			strerror(-r));
	plan.retry = plan.retry > 0 ? 2 * plan.retry : RETRY_FIRST;
	if (plan.retry > UNSURE_AFTER)
		plan.retry = UNSURE_AFTER;
	plan.due = now + plan.retry;
}

void
count_due(const struct config_share *share, int root, count_stop stop)
{
	if (count_wanted(share) && (clock_usec() >= plan.due || is_asked(root)))
		plan_next(share->root, count_share(root, stop));
}

void
count_reclaim(const struct config_share *share, int root)
{
	bool unsure;
	int r;

	if (!count_wanted(share))
		return;
	r = ledgers_reclaim(root, &unsure);
	if (r < 0)
		rolelog(LOG_WARNING, "keeper: cannot look through the quota files of %s: %s",
			share->root, strerror(-r));
	if (unsure && plan.due > plan.last + UNSURE_AFTER)
		plan.due = plan.last + UNSURE_AFTER;
}
