#include "daemon/session/intake.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/session/resume.h"
#include "lib/clock.h"
#include "lib/err.h"

#define CHECKPOINT_USEC (5 * USEC_PER_SEC)

/* Under the lock, with what is to be held: in one checkpoint. */
static int
store(struct intake *k)
{
	struct record_state *state = &k->p->state;
	int r;

	state->parts += k->counted == 0;
	state->received += k->t->received - k->counted;
	state->phase = RECORD_OPEN;
	r = partial_store(k->p);
	if (r == 0)
		k->counted = k->t->received;
	return r;
}

int
intake_save(struct intake *k)
{
	uint64_t end = k->t->base + k->t->size;
	int r = 0;

	k->due_usec = clock_usec() + CHECKPOINT_USEC;
	if (end == k->saved)
		return 0;
	if (fdatasync(k->t->fd) < 0)
		return -errno;
	for (unsigned i = 0; i < k->n_sums; i++)
		partial_set_sum(k->p, k->sums[i].block, k->sums[i].sum);
	k->n_sums = 0;
	r = partial_lock(k->p);
	if (r < 0)
		return r == -ENOENT ? -FTD_E_upload_unknown : r;
	r = partial_load(k->p);
	if (r == 0)
		r = record_add(&k->p->state.ranges, k->saved, end);
	if (r == 0)
		r = store(k);
	partial_unlock(k->p);
	if (r == 0)
		k->saved = end;
	return r == -ENOBUFS ? -FTD_E_bad_request : r;
}

int
intake_void(struct intake *k)
{
	int r = partial_lock(k->p);

	if (r < 0)
		return r;
	r = partial_load(k->p);
	if (r == 0)
		r = record_drop(&k->p->state.ranges, k->t->base, k->t->base + k->t->size);
	if (r == -ENOBUFS) { /* rather too much than too little */
		k->p->state.ranges.n = 0;
		r = 0;
	}
	if (r == 0)
		r = store(k);
	partial_unlock(k->p);
	return r;
}

static int
look(void *userdata)
{
	struct intake *k = userdata;

	return resume_check_claim(k->p);
}

static void
end_block(struct intake *k)
{
	struct digest_value v;

	digest_final(k->block, &v);
	if (k->n_sums < INTAKE_SUMS) {
		k->sums[k->n_sums].block = (k->block_at - 1) / DIGEST_BLOCK;
		memcpy(k->sums[k->n_sums].sum, v.bytes, RECORD_SUM);
		k->n_sums++;
	}
	(void)digest_reset(k->block, DIGEST_XXH3);
}

static void
follow_blocks(struct intake *k, uint64_t at, const uint8_t *data, uint64_t n)
{
	while (n > 0) {
		uint64_t step = DIGEST_BLOCK - at % DIGEST_BLOCK;

		step = step < n ? step : n;
		if (at % DIGEST_BLOCK == 0) {
			(void)digest_reset(k->block, DIGEST_XXH3);
			k->block_at = at;
		}
		if (data == NULL || k->block_at != at) {
			k->block_at = UINT64_MAX;
		} else {
			digest_update(k->block, data, (size_t)step);
			k->block_at += step;
			if (k->block_at % DIGEST_BLOCK == 0 || k->block_at == k->p->head.size)
				end_block(k);
		}
		data = data != NULL ? data + step : NULL;
		at += step;
		n -= step;
	}
}

/* Of a part that is to be verified nothing counts before it is. */
static int
stored(void *userdata, uint64_t at, const uint8_t *data, uint64_t n)
{
	struct intake *k = userdata;

	follow_blocks(k, at, data, n);
	if (k->late)
		return 0;
	if (at + n - k->saved < INTAKE_CHECKPOINT && clock_usec() < k->due_usec)
		return 0;
	return intake_save(k);
}

int
intake_begin(struct intake *k, struct partial *p, struct transfer *t, bool late)
{
	k->p = p;
	k->t = t;
	k->late = late;
	k->watch = (struct transfer_watch){ look, stored, k };
	k->saved = t->base;
	k->block_at = UINT64_MAX;
	k->due_usec = clock_usec() + CHECKPOINT_USEC;
	t->watch = &k->watch;
	return digest_new(DIGEST_XXH3, &k->block);
}

void
intake_done(struct intake *k)
{
	(void)digest_free(k->block);
}
