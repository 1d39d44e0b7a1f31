#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/session/atrest.h"
#include "daemon/session/content.h"
#include "daemon/session/forest.h"
#include "daemon/session/names.h"
#include "lib/frame.h"
#include "lib/own.h"

struct args {
	struct message_str digest;
};

static const struct message_field fields[] = {
	{ "digest", MESSAGE_STR, offsetof(struct args, digest), DIGEST_TEXT_MAX, false },
};

/* What the storage has there; links are not followed. */
static int
look(struct session *s, const struct place *p, struct entry_stat *ret)
{
	auto_close int fd = -1;
	const char *leaf = NULL;

	fd = p->rest[0] == '\0' ? shares_open(s, p, O_RDONLY | O_DIRECTORY)
				: shares_open_parent(s, p, &leaf);
	return fd < 0 ? fd : entry_stat(fd, leaf, ret);
}

/* Beneath a name where shares are is a directory, whatever the storage has there. */
static int
stat_place(struct session *s, const struct place *p, struct entry_stat *ret)
{
	bool above = shares_above(s, p->name);
	int r = -ENOENT;

	if (p->share != PLACE_VIRTUAL)
		r = look(s, p, ret);
	if (above && (r < 0 || !S_ISDIR(ret->mode))) {
		*ret = forest_virtual();
		r = 0;
	}
	return shares_conceal(p, r);
}

/* For who may read it. 0 or -ENOMEM. */
static int
tell_digest(struct session *s, const struct place *p, const struct entry_stat *st,
	    enum digest_algorithm algorithm, json_t *entry)
{
	auto_close int dir = -1;
	const char *leaf;

	if (!S_ISREG(st->mode) || (p->rights & RIGHT_READ) == 0)
		return 0;
	dir = shares_open_parent(s, p, &leaf);
	return dir < 0 ? 0 : atrest_tell(s, p->share, dir, leaf, st, algorithm, entry);
}

static int
stat_at(struct session *s, const struct request *rq, const struct args *a)
{
	const struct place *p = rq->source;
	const char *leaf = names_leaf(p);
	enum digest_algorithm algorithm;
	auto_json json_t *entry = NULL;
	struct entry_stat st;
	int r;

	r = content_algorithm(&a->digest, &algorithm);
	if (r == 0)
		r = stat_place(s, p, &st);
	if (r < 0)
		return reply_error(s, rq, r, NULL, NULL);
	entry = entry_json(leaf, strlen(leaf), &st);
	if (entry == NULL)
		return -ENOMEM;
	if (a->digest.data != NULL && tell_digest(s, p, &st, algorithm, entry) < 0)
		return -ENOMEM;
	return reply_ok(s, rq, take_ptr(entry));
}

int
op_stat(struct session *s, const struct request *rq)
{
	struct args a = { 0 };
	uint64_t has;
	int r;

	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &a, &has);
	if (r > 0)
		r = stat_at(s, rq, &a);
	message_args_done(fields, ARRAY_SIZE(fields), &a);
	return r;
}
