/* A resumable upload gets its name, and its record the receipt. */
#include <errno.h>

#include "daemon/session/resume.h"
#include "lib/err.h"
#include "lib/own.h"

/* For the client that did not hear it. */
static void
keep_receipt(struct partial *p, const json_t *receipt)
{
	struct record_state *state = &p->state;
	size_t n =
	    json_dumpb(receipt, state->receipt.text, sizeof(state->receipt.text), JSON_COMPACT);

	if (n > sizeof(state->receipt.text))
		return;
	state->done = true;
	state->receipt.len = (unsigned)n;
	(void)partial_store(p);
}

static int
publish(struct session *s, struct upload *u)
{
	struct publish *p = &u->publish;
	int r = upload_finish(s, u);

	if (r < 0)
		return r;
	report_state(s, BOARD_SYNCING);
	(void)beat_begin(s, u->rq, "syncing");
	publish_all(s, p, 1, &r);
	beat_end(s);
	report_state(s, BOARD_WORKING);
	report_upload_end(s, p, r < 0 ? err_code(r) : "ok", r < 0 ? err_text(r) : NULL);
	if (r == 0)
		return 0;
	if (p->current != NULL)
		u->extra = json_pack("{s:o}", "current", take_ptr(p->current));
	return shares_told(p->rights, r);
}

int
resume_publish(struct session *s, struct upload *u, struct partial *p)
{
	int r = publish(s, u);

	if (r < 0)
		return r;
	u->extra = publish_receipt(s, &u->publish);
	if (u->extra == NULL)
		return -ENOMEM;
	keep_receipt(p, u->extra);
	return 0;
}
