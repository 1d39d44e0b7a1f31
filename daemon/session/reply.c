#include "daemon/session/session.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "daemon/common/rolelog.h"
#include "lib/err.h"
#include "lib/own.h"

/* Completes the answer and queues it, behind the answers of uploads that still wait. What was said
 * with "close" is the last. */
static int
put(struct session *s, const struct request *rq, json_t *answer)
{
	if (s->said_last)
		return 0;
	int r;

	if (rq->id != NULL && json_object_set(answer, "id", rq->id) < 0)
		return -ENOMEM;
	if (group_pending(s)) {
		r = group_flush(s);
		if (r < 0)
			return r;
	}
	s->said_last = json_is_true(json_object_get(answer, "close"));
	return conn_put(s, answer);
}

static int
put_ok(struct session *s, const struct request *rq, json_t *extra, bool more)
{
	auto_json json_t *answer = extra != NULL ? extra : json_object();

	if (json_object_set_new(answer, "status", json_string("ok")) < 0)
		return -ENOMEM;
	if (more && json_object_set_new(answer, "more", json_true()) < 0)
		return -ENOMEM;
	return put(s, rq, answer);
}

int
reply_ok(struct session *s, const struct request *rq, json_t *extra)
{
	return put_ok(s, rq, extra, false);
}

int
reply_more(struct session *s, const struct request *rq, json_t *extra)
{
	return put_ok(s, rq, extra, true);
}

int
reply_continue(struct session *s, const struct request *rq)
{
	auto_json json_t *answer = json_pack("{s:s}", "status", "continue");

	return answer != NULL ? put(s, rq, answer) : -ENOMEM;
}

int
reply_working(struct session *s, const struct request *rq, const char *phase)
{
	auto_json json_t *answer =
	    json_pack("{s:s, s:s, s:b}", "status", "working", "phase", phase, "more", 1);

	return answer != NULL ? put(s, rq, answer) : -ENOMEM;
}

json_t *
reply_error_object(int r, const char *message, json_t *extra)
{
	auto_json json_t *answer = extra != NULL ? extra : json_object();
	const char *code = err_code(r);

	if (message == NULL) /* one sentence for a code, whatever the kernel called it */
		message = err_text(err_from_code(code));
	if (json_object_set_new(answer, "status", json_string("error")) < 0 ||
	    json_object_set_new(answer, "code", json_string(code)) < 0 ||
	    json_object_set_new(answer, "message", json_string(message)) < 0)
		return NULL;
	return take_ptr(answer);
}

/* The machine's doing and no client's. */
static bool
is_of_the_world(int r)
{
	static const char *const codes[] = { "busy", "disk_full", "internal", "io_error",
					     "quota_exceeded" };

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (r > -FTD_E_BASE && strcmp(err_code(r), codes[i]) == 0)
			return true;
	return false;
}

/* The record of a transfer tells more than this. */
static void
tell_log(const struct session *s, const struct request *rq, int r)
{
	if (s->recorded || s->report->transfer != 0 || rq->opt == NULL || !is_of_the_world(r))
		return;
	rolelog(LOG_ERR, "%s: %s, %s: /%s", rq->opt, err_code(r), err_text(r),
		rq->source != NULL ? rq->source->name : "");
}

int
reply_last(struct session *s, const struct request *rq, int r, const char *message,
	   uint64_t retry_after_ms)
{
	json_t *extra = json_pack("{s:b}", "close", 1);
	auto_json json_t *answer = NULL;

	if (retry_after_ms > 0 && retry_after_ms <= INT64_MAX)
		(void)json_object_set_new(extra, "retry_after_ms",
					  json_integer((json_int_t)retry_after_ms));
	answer = reply_error_object(r, message[0] != '\0' ? message : NULL, extra);
	return answer != NULL ? put(s, rq, answer) : -ENOMEM;
}

int
reply_error(struct session *s, const struct request *rq, int r, const char *message, json_t *extra)
{
	auto_json json_t *answer = reply_error_object(r, message, extra);
	char reason[BOARD_TEXT_MAX];

	if (r == -FTD_E_cancelled && gap_kicked(s)) /* with the reason, and for good */
		return reply_last(s, rq, r, gap_reason(s, reason),
				  atomic_load(&s->orders->retry_after_ms));
	tell_log(s, rq, r);
	return answer != NULL ? put(s, rq, answer) : -ENOMEM;
}
