#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "daemon/session/names.h"
#include "daemon/session/quota.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"

struct args {
	struct message_str if_exists;
};

static const struct message_field fields[] = {
	{ "if_exists", MESSAGE_STR, offsetof(struct args, if_exists), 16, false },
};

struct renaming {
	struct session *s;
	const struct request *rq;
	const struct place *from, *to;
	int from_dir, to_dir;
	enum publish_how how;
	char leaf[PATH_COMPONENT_MAX + 1]; /* what it is called in the end */
	struct entry_stat st;              /* of the result, or of what is in the way */
	const char *why;                   /* of a refusal, in words; may stay NULL */
};

static int
refuse_because(struct renaming *n, int error, const char *why)
{
	n->why = why;
	return error;
}

static bool
is_inside(const char *name, const char *directory)
{
	size_t len = strlen(directory);

	return strncmp(name, directory, len) == 0 && name[len] == '/';
}

static int
check(struct renaming *n, const struct args *a)
{
	if (claim_how(&a->if_exists, PUBLISH_FAIL, &n->how) < 0)
		return refuse_because(n, -FTD_E_bad_request,
				      "if_exists must be replace, fail or keep_both");
	if (n->from->share != n->to->share)
		return refuse_because(n, -FTD_E_unsupported,
				      "these are two shares: copy the file, then remove it");
	if (is_inside(n->to->name, n->from->name))
		return refuse_because(n, -FTD_E_bad_request,
				      "a directory cannot be moved into itself");
	return 0;
}

static int
open_both(struct renaming *n, const char **ret_from)
{
	const char *leaf;

	n->from_dir = names_open_parent(n->s, n->from, ret_from);
	if (n->from_dir < 0)
		return n->from_dir;
	n->to_dir = names_open_parent(n->s, n->to, &leaf);
	if (n->to_dir < 0)
		return n->to_dir;
	(void)snprintf(n->leaf, sizeof(n->leaf), "%s", leaf);
	return 0;
}

static int
take(struct renaming *n, enum claim how, const char *from)
{
	return quota_rename(n->s, n->from->share, how, n->from_dir, from, n->to_dir, n->leaf);
}

static int
replace(struct renaming *n, const char *from)
{
	int r = take(n, CLAIM_REPLACE, from);

	return r == -EEXIST ? -ENOTEMPTY : r; /* XFS says so of a directory that is not empty */
}

/* Replacing takes the right to; without it the name must be free. */
static int
take_name(struct renaming *n, const char *from)
{
	bool may_replace = shares_authorise(n->to, RIGHT_REPLACE) == 0;
	int r = -EEXIST;

	if (n->how == PUBLISH_REPLACE && may_replace)
		r = replace(n, from);
	/* who may not list is not told that a name is taken */
	if (n->how == PUBLISH_KEEP_BOTH || (claim_is_taken(r) && !names_may_list(n->to)))
		return take(n, CLAIM_NUMBERED, from);
	return n->how == PUBLISH_REPLACE && may_replace ? r : take(n, CLAIM_FREE, from);
}

/* What the client is told of a failed rename. */
static int
explain(struct renaming *n, int r)
{
	if (r == -EXDEV)
		return refuse_because(n, -FTD_E_unsupported,
				      "these are two file systems: copy the file, then remove it");
	if (r == -EINVAL)
		return refuse_because(n, -FTD_E_bad_request,
				      "a directory cannot be moved into itself");
	if (r == -EEXIST && n->how == PUBLISH_REPLACE && shares_authorise(n->to, RIGHT_REPLACE) < 0)
		return -FTD_E_permission;
	return shares_conceal(n->to, r);
}

static int
change(struct renaming *n, const char *from)
{
	int r;

	r = take_name(n, from);
	if (r < 0) {
		if (r == -EEXIST)
			(void)entry_stat(n->to_dir, n->leaf, &n->st);
		return explain(n, r);
	}
	r = names_changed(n->s, n->rq, n->to, n->to_dir);
	if (r == 0)
		r = names_changed(n->s, n->rq, n->from, n->from_dir);
	return r < 0 ? r : entry_stat(n->to_dir, n->leaf, &n->st);
}

static int
rename_at(struct renaming *n, const struct args *a)
{
	json_t *keys = NULL;
	const char *from;
	int r;

	r = check(n, a);
	if (r == 0)
		r = open_both(n, &from);
	if (r == 0)
		r = change(n, from);
	if (r == 0)
		return names_reply_entry(n->s, n->rq, n->to, n->leaf, &n->st);
	if (r == -EEXIST)
		keys = names_current(n->to, &n->st);
	return reply_error(n->s, n->rq, r, n->why, keys);
}

int
op_rename(struct session *s, const struct request *rq)
{
	struct renaming n = {
		.s = s,
		.rq = rq,
		.from = rq->source,
		.to = rq->target,
		.from_dir = -1,
		.to_dir = -1,
	};
	struct args a = { 0 };
	uint64_t has = 0;
	int r;

	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &a, &has);
	if (r > 0)
		r = rename_at(&n, &a);
	close_fd(&n.from_dir);
	close_fd(&n.to_dir);
	message_args_done(fields, ARRAY_SIZE(fields), &a);
	return r;
}
