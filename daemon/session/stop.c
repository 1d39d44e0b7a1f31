#include "daemon/session/stop.h"

#include <errno.h>

#include "lib/err.h"

int
stop_ordered(struct session *s, struct stop *stop)
{
	const char *code;

	if (stop->error == 0 && gap_check(s, &code) < 0)
		stop->error = err_from_code(code);
	return stop->error < 0;
}

int
stop_look(struct session *s, struct stop *stop)
{
	int r;

	conn_push(s);
	if (s->conn.dead)
		return -ENODATA;
	if (stop_ordered(s, stop))
		return 1;
	r = dispatch_cancelled(s, &stop->cancel);
	if (r <= 0)
		return r;
	stop->by_client = true;
	stop->error = -FTD_E_cancelled;
	return 1;
}

int
stop_done(struct session *s, struct stop *stop)
{
	if (!stop->by_client)
		return 0;
	stop->by_client = false;
	return dispatch_cancel_done(s, &stop->cancel);
}

int
stop_answer(struct session *s, const struct request *rq, struct stop *stop, json_t *extra)
{
	int r = reply_error(s, rq, stop->error, NULL, extra);
	int done = stop_done(s, stop);

	return r < 0 ? r : done;
}
