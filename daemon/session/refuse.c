#include "daemon/session/refuse.h"

#include <errno.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"

enum { WHOLE_MAX = 64 << 20, WHOLE_SECONDS = 10 };

/* A whole body: up to the limits. 1: beyond them. */
static int
drop_whole(struct session *s, struct refuse_rest *rest)
{
	uint64_t n = rest->bytes < WHOLE_MAX ? rest->bytes : WHOLE_MAX;
	int r;

	s->conn.deadline = clock_usec() + WHOLE_SECONDS * USEC_PER_SEC;
	r = conn_skip(s, n);
	s->conn.deadline = 0;
	if (r == -ETIME)
		return 1;
	rest->bytes -= n;
	return r < 0 ? r : rest->bytes > 0;
}

/* Pieces end with the trailer, which a client that has read the answer sends at once. */
static int
drop_pieces(struct session *s, struct refuse_rest *rest)
{
	struct request piece;
	int r;

	for (;;) {
		auto_json json_t *object = NULL;

		r = conn_skip(s, rest->bytes);
		if (r < 0 || !rest->more)
			return r;
		r = dispatch_header(s, false, &object, &piece);
		if (r == -FTD_E_bad_frame || r == -FTD_E_bad_request)
			return 1;
		if (r < 0)
			return r;
		rest->bytes = piece.body;
		rest->more = piece.more;
	}
}

int
refuse_drop(struct session *s, struct refuse_rest *rest)
{
	return rest->more ? drop_pieces(s, rest) : drop_whole(s, rest);
}

int
refuse(struct session *s, const struct request *rq, struct refuse_rest *rest, int r,
       const char *message, json_t *extra)
{
	auto_json json_t *own = extra != NULL ? extra : json_object();
	int told = 0, dropped;

	if (!rest->more && rest->bytes > WHOLE_MAX &&
	    json_object_set_new(own, "close", json_true()) < 0)
		return -ENOMEM;
	if (s->hello)
		told = reply_error(s, rq, r, message, take_ptr(own));
	if (told < 0)
		return told;
	dropped = refuse_drop(s, rest);
	if (dropped < 0 || s->hello)
		return dropped;
	told = reply_error(s, rq, r, message, take_ptr(own));
	return told < 0 ? told : dropped;
}
