#include "daemon/supervisor/questions.h"

#include "daemon/supervisor/helpers.h"

/* At most one for each peer of the control socket, and one for each disk. */
static struct question *questions;

int
questions_ask(struct question *q, struct packet_keeper *packet)
{
	static uint64_t serial;
	int r;

	q->serial = 0;
	q->answered = false;
	q->told = 0;
	packet->serial = ++serial;
	r = helpers_ask_keeper(packet);
	if (r < 0)
		return r;
	q->serial = serial;
	q->share = packet->share;
	q->next = questions;
	questions = q;
	return 0;
}

void
questions_forget(struct question *q)
{
	struct question **at = &questions;

	while (*at != NULL && *at != q)
		at = &(*at)->next;
	if (*at != NULL)
		*at = q->next;
	q->serial = 0;
}

static void
end(struct question *q, const struct packet_kept *kept)
{
	questions_forget(q);
	q->answered = true;
	q->error = kept->error < 0 ? kept->error : 0;
	q->more = (kept->flags & KEPT_MORE) != 0;
	q->last[0] = kept->id[0];
	q->last[1] = kept->id[1];
}

void
questions_take(struct supervisor *sup, struct packet_kept *kept)
{
	struct question *q = questions;

	while (q != NULL && q->serial != kept->serial)
		q = q->next;
	if (q == NULL) /* it was forgotten meanwhile */
		return;
	kept->user[sizeof(kept->user) - 1] = '\0';
	if (kept->name_len > sizeof(kept->name))
		kept->name_len = sizeof(kept->name);
	if (kept->type == KEPT_END) {
		end(q, kept);
		control_changed(sup);
	} else if (kept->type == (uint32_t)q->about && q->told < KEEPER_PAGE) {
		q->told++;
		q->tell(q, kept);
	}
}

void
questions_lost(struct supervisor *sup, unsigned share)
{
	struct question *q = questions, *next;

	for (; q != NULL; q = next) {
		next = q->next;
		if (q->share == share)
			questions_forget(q);
	}
	control_changed(sup);
}
