#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/session/forest.h"
#include "daemon/session/names.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"

struct args {
	struct message_name filename;
};

static const struct message_field fields[] = {
	{ "filename", MESSAGE_NAME, offsetof(struct args, filename), FRAME_HEADER_MAX, true },
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
	return shares_conceal(s, p, r);
}

int
op_stat(struct session *s, const struct request *rq)
{
	struct args a = { 0 };
	struct entry_stat st;
	struct place p;
	uint64_t has = 0;
	int r;

	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &a, &has);
	if (r > 0) {
		r = names_locate(s, &a.filename, rq->rights, &p);
		if (r == 0)
			r = stat_place(s, &p, &st);
		r = r < 0 ? reply_error(s, rq, r, NULL, NULL)
			  : names_reply_entry(s, rq, &p, names_leaf(&p), &st);
	}
	message_args_done(fields, ARRAY_SIZE(fields), &a);
	return r;
}
