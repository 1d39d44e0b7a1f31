#include "daemon/session/session.h"

#include <errno.h>

#include "lib/err.h"
#include "lib/own.h"

/* Completes the answer and queues it, behind the answers of uploads that still wait. */
static int
put(struct session *s, const struct request *rq, json_t *answer)
{
	int r;

	if (rq->id != NULL && json_object_set(answer, "id", rq->id) < 0)
		return -ENOMEM;
	if (group_pending(s)) {
		r = group_flush(s);
		if (r < 0)
			return r;
	}
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

int
reply_error(struct session *s, const struct request *rq, int r, const char *message, json_t *extra)
{
	auto_json json_t *answer = reply_error_object(r, message, extra);

	return answer != NULL ? put(s, rq, answer) : -ENOMEM;
}
