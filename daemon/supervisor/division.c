#include "daemon/supervisor/division.h"

#include <math.h>

#include "lib/clock.h"

/* How far carry may go, in seconds of the limit; and how much of it is settled by one division. */
#define CARRY_UNDER 0.25
#define CARRY_OVER 0.5
#define CARRY_SETTLED 0.5

/* Who used so much of its share would have used more. */
#define HUNGRY 0.9
/* The others may grow by so much until the next division, and this much of it is set aside. */
#define GROWTH 1.5
#define ASIDE 1.05

enum { ROUNDS = 16 }; /* each settles those who need less than an equal part; few are enough */

uint64_t
division_entry(uint64_t total, size_t n)
{
	uint64_t part = total / (n > DIVISION_FEWEST ? n : DIVISION_FEWEST);

	return part > DIVISION_LEAST ? part : DIVISION_LEAST;
}

static double
between(double least, double x, double most)
{
	x = x < most ? x : most;
	return x > least ? x : least;
}

/* What may be given away a second until the next division. */
static double
budget(struct division *d, uint64_t total, double seconds, double used)
{
	double limit = (double)total;

	if (d->total != 0 && d->total != total) /* what was used was measured by another limit */
		d->carry = 0;
	else
		d->carry = between(-CARRY_OVER * limit, d->carry + limit * seconds - used,
				   CARRY_UNDER * limit);
	d->total = total;
	return between(0, limit + d->carry * CARRY_SETTLED / seconds, INFINITY);
}

static double
need_of(const struct division_row *row, double seconds)
{
	double rate = (double)row->used / seconds;

	return rate >= HUNGRY * (double)row->share ? INFINITY : rate * ASIDE;
}

/* The part of each who needs more than that, when the others get what they need. */
static double
equal_part(const struct division_row *rows, size_t n, double sum)
{
	double part = 0, left, needs;
	size_t others;

	for (int round = 0; round < ROUNDS; round++) {
		needs = 0;
		others = 0;
		for (size_t i = 0; i < n; i++) {
			if (rows[i].used == 0)
				continue;
			if (rows[i].need <= part)
				needs += rows[i].need;
			else
				others++;
		}
		left = between(0, sum - needs, sum);
		if (others == 0 || left / (double)others <= part)
			break;
		part = left / (double)others;
	}
	return part;
}

static uint64_t
share_of(const struct division_row *row, double part, double seconds, uint64_t entry)
{
	double rate = part;

	if (row->used == 0)
		return entry;
	if (row->need <= part)
		rate = (double)row->used / seconds * GROWTH + (double)entry;
	return (uint64_t)between(DIVISION_LEAST, rate, (double)(INT64_MAX / 2));
}

void
division_divide(struct division *d, uint64_t total, uint64_t elapsed_usec,
		struct division_row *rows, size_t n)
{
	double seconds = (double)(elapsed_usec > 0 ? elapsed_usec : 1) / (double)USEC_PER_SEC;
	uint64_t entry = division_entry(total, n);
	double used = 0, part;

	for (size_t i = 0; i < n; i++) {
		rows[i].need = need_of(&rows[i], seconds);
		used += (double)rows[i].used;
	}
	part = equal_part(rows, n, budget(d, total, seconds, used));
	for (size_t i = 0; i < n; i++)
		rows[i].share = share_of(&rows[i], part, seconds, entry);
}
