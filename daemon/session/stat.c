#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/session/forest.h"
#include "daemon/session/names.h"
#include "lib/own.h"

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

int
op_stat(struct session *s, const struct request *rq)
{
	struct entry_stat st;
	uint64_t has;
	int r;

	r = dispatch_decode(s, rq, NULL, 0, NULL, &has);
	if (r <= 0)
		return r;
	r = stat_place(s, rq->source, &st);
	return r < 0 ? reply_error(s, rq, r, NULL, NULL)
		     : names_reply_entry(s, rq, rq->source, names_leaf(rq->source), &st);
}
