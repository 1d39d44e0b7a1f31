/* The end of an unfinished upload that is not wanted any more. */
#include <errno.h>
#include <stdlib.h>

#include "daemon/session/resume.h"
#include "lib/err.h"
#include "lib/own.h"

struct args {
	struct message_str upload;
};

static const struct message_field fields[] = {
	{ "upload", MESSAGE_STR, offsetof(struct args, upload), PARTIAL_ID_LEN, true },
};

static int
discard(struct session *s, const struct place *place, struct partial *p, json_t **ret_extra)
{
	int r = resume_check_claim(p);

	if (r == 0)
		r = partial_lock(p);
	if (r == 0) {
		r = partial_claim(p); /* so that who writes lets go */
		partial_unlock(p);
	}
	if (r == 0)
		r = resume_alone(p, RESUME_TAKEOVER_USEC, ret_extra);
	if (r == 0)
		r = partial_lock(p);
	return r < 0 ? r : resume_remove(s, place->share, p);
}

int
op_upload_abort(struct session *s, const struct request *rq)
{
	struct partial *p = malloc(sizeof(*p));
	struct args args = { 0 };
	json_t *extra = NULL;
	uint64_t has;
	int r;

	if (p == NULL)
		return reply_error(s, rq, -ENOMEM, NULL, NULL);
	p->record = -1;
	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &args, &has);
	if (r > 0) {
		r = resume_open(s, rq->source, &args.upload, p);
		if (r == 0)
			r = discard(s, rq->source, p, &extra);
		r = r < 0 ? reply_error(s, rq, shares_conceal(rq->source, r), NULL, extra)
			  : reply_ok(s, rq, NULL);
	}
	partial_done(p);
	free(p);
	return r;
}
