/* An upload of one request that can be resumed where it is cut. */
#include <errno.h>
#include <stdlib.h>

#include "daemon/session/intake.h"
#include "daemon/session/resume.h"
#include "lib/err.h"
#include "lib/own.h"

struct keep {
	struct partial p;
	struct intake intake;
};

/* Others may look at it now, and take it over. */
static int
open_intake(struct upload *u, struct keep *k)
{
	int r = partial_take_range(&k->p, 0, INT64_MAX);

	if (r == 0)
		r = partial_join(&k->p);
	partial_unlock(&k->p);
	u->transfer.fd = u->publish.staging.fd;
	u->transfer.staging = &u->publish.staging;
	return r < 0 ? r : intake_begin(&k->intake, &k->p, &u->transfer, false);
}

static int
begin(struct session *s, struct upload *u, struct keep *k)
{
	int r;

	report_transfer_begin(s, "upload", true, u->place->name, u->transfer.expected);
	r = resume_begin(s, u, &k->p);
	if (r == 0)
		report_resumable(s, &k->p.id, u->transfer.expected);
	return r == 0 ? open_intake(u, k) : r;
}

static int
publish(struct session *s, struct upload *u, struct keep *k)
{
	int r = resume_alone(&k->p, 0, &u->extra);

	return r == 0 ? resume_publish(s, u, &k->p) : r;
}

/* The client does not want what came, whenever it came. */
static void
drop(struct session *s, struct upload *u, struct keep *k)
{
	if (partial_lock(&k->p) == 0 && resume_check_claim(&k->p) == 0)
		(void)resume_remove(s, u->place->share, &k->p);
}

/* Takes the content and publishes it. 0; 1: refused, see transfer.error; or conn_*. */
static int
carry_out(struct session *s, struct upload *u, struct keep *k)
{
	struct transfer *t = &u->transfer;
	int r, saved = 0;

	r = u->args.expect ? reply_continue(s, u->rq) : 0;
	t->rest = u->body;
	if (r == 0)
		r = transfer_receive(s, u->rq, t);
	if (r == 1 && t->voided)
		drop(s, u, k);
	else
		saved = intake_save(&k->intake); /* what arrived counts, however it ended */
	if (r != 0)
		return r;
	t->error = saved < 0 ? saved : publish(s, u, k);
	return t->error < 0;
}

int
resume_keep(struct session *s, struct upload *u)
{
	struct keep *k = calloc(1, sizeof(*k));
	int r;

	if (k == NULL) {
		u->transfer.error = -ENOMEM;
		return 1;
	}
	k->p.record = -1;
	r = begin(s, u, k);
	if (r == 1)
		report_transfer_end(s, "ok", "unchanged");
	else if (r < 0)
		u->transfer.error = r;
	r = r == 0 ? carry_out(s, u, k) : r < 0;
	staging_leave(&u->publish.staging);
	partial_done(&k->p);
	intake_done(&k->intake);
	free(k);
	return r;
}
