#include "daemon/supervisor/control.h"

#include "lib/clock.h"

/* What the keepers say of the disks. One is asked when somebody wants to know it and what it said
 * last is too old; then that is not told any more, whether or not it answers. */

#define FRESH USEC_PER_SEC
#define PATIENCE USEC_PER_SEC

static void
forget(struct control_disk *d)
{
	d->free = d->total = UINT64_MAX;
	d->full_of_files = d->read_only = d->elsewhere = false;
}

static void
tell_disk(struct question *q, const struct packet_kept *k)
{
	struct control_disk *d = (struct control_disk *)q;

	d->told_usec = clock_usec();
	d->asked_usec = 0;
	if (k->error < 0)
		return;
	d->free = k->held;
	d->total = k->size;
	d->full_of_files = (k->flags & KEPT_FULL_OF_FILES) != 0;
	d->read_only = (k->flags & KEPT_READ_ONLY) != 0;
	d->elsewhere = (k->flags & KEPT_ELSEWHERE) != 0;
}

static void
begin(struct control *c)
{
	const struct config *config = c->sup->config;

	for (unsigned i = 0; i < config->n_shares; i++)
		if (config_is_first_of_root(config, i)) {
			c->disks[c->n_disks] = (struct control_disk){
				.question = { .about = KEPT_DISK, .tell = tell_disk },
				.share = i,
				.path = config->shares[i].root,
			};
			forget(&c->disks[c->n_disks++]);
		}
}

/* What is not answered stays asked: the answer tells that the disk is there again. */
static void
ask(struct control_disk *d, uint64_t now)
{
	struct packet_keeper p = { .type = KEEPER_DISK,
				   .share = d->share,
				   .deadline_usec = UINT64_MAX };

	if (d->asked_usec == 0) {
		forget(d);
		d->asked_usec = now;
	}
	if (d->question.serial == 0)
		(void)questions_ask(&d->question, &p); /* without a keeper: again next time */
}

bool
control_disks_ask(struct supervisor *sup)
{
	struct control *c = sup->control;
	uint64_t now = clock_usec();
	bool come = true;

	if (c->n_disks == 0)
		begin(c);
	for (unsigned i = 0; i < c->n_disks; i++) {
		struct control_disk *d = &c->disks[i];

		if (d->asked_usec != 0 || d->told_usec == 0 || now - d->told_usec >= FRESH)
			ask(d, now);
		if (d->asked_usec != 0 && now - d->asked_usec < PATIENCE)
			come = false;
	}
	return come;
}

unsigned
control_disks(struct supervisor *sup, const struct control_disk **ret)
{
	*ret = sup->control->disks;
	return sup->control->n_disks;
}

void
control_disks_done(struct control *c)
{
	for (unsigned i = 0; i < c->n_disks; i++)
		questions_forget(&c->disks[i].question);
	c->n_disks = 0;
}
