#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/session/atrest.h"
#include "daemon/session/clone.h"
#include "daemon/session/content.h"
#include "daemon/session/names.h"
#include "daemon/session/quota.h"
#include "daemon/session/stop.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"

struct args {
	struct message_str if_exists;
};

static const struct message_field fields[] = {
	{ "if_exists", MESSAGE_STR, offsetof(struct args, if_exists), 16, false },
};

struct copying {
	struct session *s;
	const struct request *rq;
	const struct place *to;
	int fd; /* the file to copy */
	struct entry_stat st;
	struct publish publish;
	struct clone clone;
	struct stop stop;
	int end;         /* conn_* failure: the client is gone */
	const char *why; /* of a refusal, in words; may stay NULL */
};

/* ---- the content */

/* Whether to go on at this gap. 0, or the refusal; a conn_* failure goes to c->end. */
static int
look(void *userdata)
{
	struct copying *c = userdata;
	int r;

	report_transfer_progress(c->s, c->clone.done);
	r = pace_work(c->s, c->rq, &c->stop, "waiting");
	if (r < 0)
		c->end = r;
	return r > 0 ? c->stop.error : r;
}

/* The copy is what its digest says, or is found to be damaged as the original would be. */
static int
carry_digest(struct copying *c)
{
	struct staging *to = &c->publish.staging;
	struct entry_stat st;
	int r = entry_stat(to->fd, NULL, &st);

	if (r == 0)
		atrest_carry(c->s, c->rq->source->share, c->fd, &c->st, to->share, to->fd, &st);
	return r;
}

static int
copy_content(struct copying *c)
{
	int r;

	c->clone = (struct clone){ .s = c->s,
				   .from = c->fd,
				   .to = c->publish.staging.fd,
				   .share = c->to->share,
				   .size = c->st.size,
				   .look = look,
				   .userdata = c };
	r = clone_content(&c->clone);
	if (r == 0)
		r = content_unchanged(c->fd, &c->st);
	if (r == 0)
		r = carry_digest(c);
	return r < 0 ? r : staging_restrict(c->s, &c->publish.staging, c->st.mode & 0777);
}

/* ---- the request */

static int
refuse_because(struct copying *c, int error, const char *why)
{
	c->why = why;
	return error;
}

static int
open_source(struct copying *c)
{
	c->fd = names_open_file(c->s, c->rq->source, &c->st);
	if (c->fd < 0)
		return c->fd;
	if (c->st.size > c->s->config->file_size)
		return -FTD_E_file_too_large;
	return 0;
}

/* Not to be found out after the work: publishing takes the name, or refuses, once more. */
static int
check_free(struct copying *c)
{
	struct publish *p = &c->publish;
	struct entry_stat st;

	if (p->how != PUBLISH_FAIL || !names_may_list(c->to) ||
	    entry_stat(p->target_dir, p->leaf, &st) < 0)
		return 0;
	p->current = entry_json(p->leaf, strlen(p->leaf), &st);
	return -FTD_E_exists;
}

/* Opens the directory and makes the file that becomes the copy. */
static int
open_target(struct copying *c, const struct args *a)
{
	struct publish *p = &c->publish;
	const char *leaf;
	int r;

	if (claim_how(&a->if_exists, PUBLISH_FAIL, &p->how) < 0)
		return refuse_because(c, -FTD_E_bad_request,
				      "if_exists must be replace, fail or keep_both");
	p->target_dir = names_open_parent(c->s, c->to, &leaf);
	if (p->target_dir < 0)
		return p->target_dir;
	(void)snprintf(p->leaf, sizeof(p->leaf), "%s", leaf);
	r = check_free(c);
	if (r < 0)
		return r;
	p->rights = c->to->rights;
	p->name = strdup(c->to->name);
	if (p->name == NULL)
		return -ENOMEM;
	p->size = c->st.size;
	r = staging_place(c->s, c->to, p->target_dir, c->st.mode & 0777, &p->staging);
	return r == 0 ? quota_reserve(c->s, &p->staging, c->st.size) : r;
}

static int
copy_and_publish(struct copying *c)
{
	int r;

	report_transfer_begin(c->s, "copy", false, c->to->name, c->st.size);
	report_state(c->s, BOARD_WORKING);
	(void)beat_begin(c->s, c->rq, "waiting");
	r = copy_content(c);
	if (r == 0)
		publish_all(c->s, &c->publish, 1, &r);
	beat_end(c->s);
	content_report_end(c->s, c->end, r, NULL);
	return r;
}

static int
copy(struct copying *c, const struct args *a)
{
	json_t *keys = NULL;
	int r;

	r = open_source(c);
	if (r == 0)
		r = open_target(c, a);
	if (r == 0)
		r = shares_conceal(c->to, copy_and_publish(c));
	if (c->end < 0)
		return c->end;
	if (c->stop.error < 0)
		return stop_answer(c->s, c->rq, &c->stop, NULL);
	if (r == 0)
		return names_reply_entry(c->s, c->rq, c->to, c->publish.leaf, &c->publish.st);
	if (r == -FTD_E_quota_exceeded)
		keys = quota_refusal(c->s, c->to->share);
	else if (c->publish.current != NULL)
		keys = json_pack("{s:O}", "current", c->publish.current);
	return reply_error(c->s, c->rq, r, c->why, keys);
}

int
op_copy(struct session *s, const struct request *rq)
{
	struct copying c = { .s = s, .rq = rq, .to = rq->target, .fd = -1 };
	struct args a = { 0 };
	uint64_t has = 0;
	int r;

	publish_init(&c.publish);
	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &a, &has);
	if (r > 0)
		r = copy(&c, &a);
	publish_done(s, &c.publish);
	close_fd(&c.fd);
	message_args_done(fields, ARRAY_SIZE(fields), &a);
	return r;
}
