#include "daemon/common/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "lib/err.h"
#include "lib/own.h"

static int
find(const struct ledger *l, const struct staged_id *id, size_t *ret)
{
	for (size_t i = 0; i < l->image.n; i++) {
		const struct ledger_record *r = &l->image.records[i];

		if (r->state == LEDGER_FREE || r->id.session != id->session ||
		    r->id.number != id->number)
			continue;
		*ret = i;
		return 0;
	}
	return -ESTALE;
}

bool
ledger_names(const struct ledger *l, const struct staged_id *id)
{
	size_t index;

	return find(l, id, &index) == 0;
}

static int
clear(struct ledger *l, size_t index)
{
	const struct ledger_record none = { .state = LEDGER_FREE };
	int r = ledger_put(l, index, &none);

	(void)ledger_lock_entry(l->fd, F_UNLCK, ledger_place(index));
	return r;
}

/* The new header says that the record is in it, so that it counts once wherever this ends. */
static int
take_over(struct ledger *l, size_t index)
{
	struct ledger_header *h = &l->image.header;
	int r;

	h->done = (uint32_t)index + 1;
	h->changes++;
	r = ledger_update(l);
	if (r == 0)
		r = clear(l, index);
	h->done = 0;
	return r < 0 ? r : ledger_update(l);
}

static int
settle(struct ledger *l, size_t index)
{
	const struct ledger_record *r = &l->image.records[index];
	struct ledger_header *h = &l->image.header;
	uint64_t sum = h->used + r->bytes;

	if (sum < r->credit || sum - r->credit > INT64_MAX)
		h->flags |= LEDGER_UNSURE;
	h->used = sum > r->credit ? sum - r->credit : 0;
	if (h->used > INT64_MAX)
		h->used = INT64_MAX;
	return take_over(l, index);
}

/* ---- what the dead have left */

/* Whether another open file holds the record. */
static bool
is_held(const struct ledger *l, size_t index)
{
	struct flock f = { .l_type = F_WRLCK,
			   .l_whence = SEEK_SET,
			   .l_start = ledger_place(index),
			   .l_len = LEDGER_ENTRY };

	return fcntl(l->fd, F_OFD_GETLK, &f) < 0 || f.l_type != F_UNLCK;
}

/* It was not published after all. What is kept has its reservation again. */
static int
take_back(struct ledger *l, size_t index)
{
	struct ledger_record r = l->image.records[index];
	int kept = staged_is_kept(l->root, &r.id);

	if (kept <= 0)
		return kept < 0 ? kept : clear(l, index);
	r.state = LEDGER_RESERVED;
	r.credit = 0;
	return ledger_put(l, index, &r);
}

static int
resolve(struct ledger *l, size_t index)
{
	const struct ledger_record *r = &l->image.records[index];
	int waits;

	switch (r->state) {
	case LEDGER_RESERVED:
		waits = staged_is_kept(l->root, &r->id);
		if (waits < 0)
			return waits;
		return waits ? 0 : clear(l, index);
	case LEDGER_PUBLISHING:
		waits = staged_exists(l->root, &r->id, r->elsewhere);
		if (waits < 0)
			return waits;
		return waits ? take_back(l, index) : settle(l, index);
	case LEDGER_REMOVING:
		l->image.header.flags |= LEDGER_UNSURE;
		(void)ledger_ask_count(l->root);
		return take_over(l, index);
	case LEDGER_FREE:
	case LEDGER_STATES:
		break;
	}
	return 0;
}

int
ledger_reclaim(struct ledger *l)
{
	int r = 0;

	for (size_t i = 0; i < l->image.n && r == 0; i++) {
		const struct ledger_record *record = &l->image.records[i];

		if (record->state != LEDGER_FREE && record->id.session != l->session &&
		    !is_held(l, i))
			r = resolve(l, i);
	}
	return r;
}

/* ---- reservations */

int
ledger_left(const struct ledger *l, uint64_t limit, uint64_t *ret)
{
	uint64_t taken = l->image.header.used + ledger_reserved(&l->image);

	if (l->image.header.flags & LEDGER_UNKNOWN)
		return -FTD_E_busy;
	*ret = limit > taken ? limit - taken : 0;
	return 0;
}

/* Between least and want bytes of what is left, when the dead have been heard if need be. */
static int
grant(struct ledger *l, uint64_t limit, uint64_t least, uint64_t want, uint64_t *ret)
{
	uint64_t left;
	int r = ledger_left(l, limit, &left);

	if (r == 0 && left < least) {
		r = ledger_reclaim(l);
		if (r == 0)
			r = ledger_left(l, limit, &left);
	}
	if (r < 0)
		return r;
	if (left < least)
		return -FTD_E_quota_exceeded;
	*ret = want < left ? want : left;
	return 0;
}

/* A free record; one more at the end where there is none. The place of one that another session
 * brought to its end is locked as long as the one lives that had reserved it. */
static int
free_record(struct ledger *l, size_t *ret)
{
	struct ledger_record *more;

	for (size_t i = 0; i < l->image.n; i++)
		if (l->image.records[i].state == LEDGER_FREE && !is_held(l, i)) {
			*ret = i;
			return 0;
		}
	if (l->image.n == LEDGER_RECORDS_MAX)
		return -FTD_E_busy;
	more = reallocarray(l->image.records, l->image.n + 1, sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	l->image.records = more;
	l->image.records[l->image.n] = (struct ledger_record){ .state = LEDGER_FREE };
	*ret = l->image.n++;
	return 0;
}

int
ledger_note(struct ledger *l, const struct ledger_record *r)
{
	size_t index;
	int e = free_record(l, &index);

	return e < 0 ? e : ledger_put(l, index, r);
}

int
ledger_reserve(struct ledger *l, uint64_t limit, uint64_t least, uint64_t want,
	       const struct staged_id *id, bool elsewhere, struct ledger_record *ret)
{
	struct ledger_record record = { .state = LEDGER_RESERVED,
					.elsewhere = elsewhere,
					.id = *id };
	size_t index;
	int r;

	r = grant(l, limit, least, want, &record.bytes);
	if (r == 0)
		r = free_record(l, &index);
	if (r == 0)
		r = ledger_lock_entry(l->fd, F_WRLCK, ledger_place(index));
	if (r < 0)
		return r;
	r = ledger_put(l, index, &record);
	if (r < 0)
		(void)ledger_lock_entry(l->fd, F_UNLCK, ledger_place(index));
	else
		*ret = record;
	return r;
}

int
ledger_extend(struct ledger *l, uint64_t limit, uint64_t least, uint64_t want,
	      struct ledger_record *r)
{
	struct ledger_record record = *r;
	uint64_t more;
	int e;

	e = grant(l, limit, least, want, &more);
	if (e < 0)
		return e;
	record.bytes += more;
	e = ledger_change(l, &record);
	if (e == 0)
		*r = record;
	return e;
}

int
ledger_find(const struct ledger *l, const struct staged_id *id, struct ledger_record *ret)
{
	size_t index;
	int r = find(l, id, &index);

	if (r == 0)
		*ret = l->image.records[index];
	return r;
}

int
ledger_change(struct ledger *l, const struct ledger_record *r)
{
	size_t index;
	int e = find(l, &r->id, &index);

	return e < 0 ? e : ledger_put(l, index, r);
}

int
ledger_settle(struct ledger *l, const struct staged_id *id)
{
	size_t index;
	int r = find(l, id, &index);

	if (r == 0 && l->image.records[index].credit > l->image.header.used)
		r = ledger_reclaim(l); /* what is to go may not have come yet */
	return r < 0 ? r : settle(l, index);
}

int
ledger_drop(struct ledger *l, const struct staged_id *id)
{
	size_t index;
	int r = find(l, id, &index);

	return r < 0 ? r : clear(l, index);
}
