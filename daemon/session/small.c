/* Operations of a few lines. */
#include "daemon/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "daemon/common/hello.h"
#include "daemon/session/quota.h"
#include "lib/err.h"
#include "lib/own.h"

enum { TOUCHED_BITS = 32, TOUCHED_REST = 31 };

/* For requests without keys of their own. */
static int
decode_nothing(struct session *s, const struct request *rq)
{
	uint64_t has;

	return dispatch_decode(s, rq, NULL, 0, NULL, &has);
}

int
op_hello(struct session *s, const struct request *rq)
{
	static const struct message_field fields[] = {
		{ "client", MESSAGE_STR, 0, 256, false },
	};
	struct message_str client = { 0 };
	json_t *answer;
	uint64_t has;
	int r;

	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &client, &has);
	if (r <= 0)
		return r;
	r = hello_answer(rq->object, s->config, s->public, s->number, &answer);
	if (r < 0) {
		r = reply_error(s, rq, r, NULL, json_pack("{s:b}", "close", 1));
		return r < 0 ? r : 1;
	}
	s->hello = true;
	return reply_ok(s, rq, answer);
}

int
op_ping(struct session *s, const struct request *rq)
{
	int r = decode_nothing(s, rq);

	return r > 0 ? reply_ok(s, rq, NULL) : r;
}

/* What it could have ended has been answered. */
int
op_cancel(struct session *s, const struct request *rq)
{
	return op_ping(s, rq);
}

int
op_quit(struct session *s, const struct request *rq)
{
	int r = decode_nothing(s, rq);

	if (r <= 0)
		return r;
	r = reply_ok(s, rq, NULL);
	return r < 0 ? r : 1;
}

/* ---- commit */

static bool
is_touched(const struct session *s, unsigned share)
{
	return (s->touched & 1U << (share < TOUCHED_REST ? share : TOUCHED_REST)) != 0;
}

static int
sync_share(const struct session_share *share)
{
	auto_close int fd = path_open(share->root, "", O_RDONLY | O_DIRECTORY, 0, false);

	if (fd < 0)
		return fd;
	return syncfs(fd) < 0 ? -errno : 0;
}

int
op_commit(struct session *s, const struct request *rq)
{
	int r = decode_nothing(s, rq);

	if (r <= 0)
		return r;
	report_state(s, BOARD_SYNCING);
	(void)beat_begin(s, rq, "syncing");
	r = 0;
	for (unsigned i = 0; i < s->config->n_shares && r == 0; i++)
		if (is_touched(s, i) && s->shares[i].root >= 0 &&
		    s->config->shares[i].durability != CONFIG_DURABILITY_FULL)
			r = sync_share(&s->shares[i]);
	beat_end(s);
	report_state(s, BOARD_WORKING);
	if (r < 0)
		return reply_error(s, rq, r, NULL, NULL);
	r = reply_ok(s, rq, json_pack("{s:I}", "count", (json_int_t)s->written));
	s->touched = 0;
	s->written = 0;
	return r;
}

/* ---- space */

/* The share of the name, or the first one there is for a name above all shares. */
static unsigned
share_of(const struct session *s, const struct place *p)
{
	unsigned share = p->share;

	for (unsigned i = 0; share == PLACE_VIRTUAL && i < s->config->n_shares; i++)
		if (s->view.shares[i] != 0)
			share = i;
	return share;
}

/* Of the file system; in a share with a quota, of the user. */
static int
space(struct session *s, unsigned share, json_t **ret)
{
	uint64_t room, total, used, reserved, quota = s->config->shares[share].quota;
	int r;

	r = shares_space(s, share, &room, &total);
	if (r < 0)
		return r;
	if (!quota_applies(s, share)) {
		*ret = json_pack("{s:I, s:I, s:n}", "free", (json_int_t)room, "used",
				 (json_int_t)(total - room), "quota");
		return *ret != NULL ? 0 : -ENOMEM;
	}
	r = quota_usage(s, share, &used, &reserved);
	if (r < 0)
		return r;
	reserved += used;
	if (reserved > quota || quota - reserved < room)
		room = reserved < quota ? quota - reserved : 0;
	*ret = json_pack("{s:I, s:I, s:I}", "free", (json_int_t)room, "used", (json_int_t)used,
			 "quota", (json_int_t)quota);
	return *ret != NULL ? 0 : -ENOMEM;
}

int
op_space(struct session *s, const struct request *rq)
{
	json_t *answer = NULL;
	int r = decode_nothing(s, rq);

	if (r <= 0)
		return r;
	r = space(s, share_of(s, rq->source), &answer);
	if (r < 0)
		return reply_error(s, rq, r, NULL, NULL);
	return reply_ok(s, rq, answer);
}
