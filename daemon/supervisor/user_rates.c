#include "daemon/supervisor/user_rates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/supervisor/orders.h"
#include "daemon/supervisor/sessions.h"
#include "daemon/supervisor/throttle.h"
#include "lib/num.h"
#include "lib/own.h"

/* ---- the list */

/* Where the user stands, or would. */
static size_t
place_of(const struct supervisor *sup, const char *user)
{
	size_t low = 0, high = sup->n_user_rates;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(sup->user_rates[middle].user, user) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct user_rate *
find(const struct supervisor *sup, const char *user)
{
	size_t i = place_of(sup, user);

	return i < sup->n_user_rates && strcmp(sup->user_rates[i].user, user) == 0
		   ? &sup->user_rates[i]
		   : NULL;
}

/* NULL without memory. */
static struct user_rate *
find_or_add(struct supervisor *sup, const char *user)
{
	struct user_rate *list = find(sup, user);
	size_t i = place_of(sup, user);

	if (list != NULL)
		return list;
	list = reallocarray(sup->user_rates, sup->n_user_rates + 1, sizeof(*list));
	if (list == NULL)
		return NULL;
	sup->user_rates = list;
	memmove(&list[i + 1], &list[i], (sup->n_user_rates++ - i) * sizeof(*list));
	list[i] = (struct user_rate){ .limit = NUM_UNLIMITED };
	memcpy(list[i].user, user, strlen(user) + 1);
	return &list[i];
}

/* Who has neither sessions nor a limit by name. */
static void
forget_idle(struct supervisor *sup)
{
	size_t kept = 0;

	for (size_t i = 0; i < sup->n_user_rates; i++) {
		struct user_rate *u = &sup->user_rates[i];

		if (!u->used && u->limit == NUM_UNLIMITED)
			continue;
		u->used = false;
		sup->user_rates[kept++] = *u;
	}
	sup->n_user_rates = kept;
}

void
user_rates_done(struct supervisor *sup)
{
	free(take_ptr(sup->user_rates));
	sup->n_user_rates = 0;
}

/* ---- limits */

uint64_t
user_rates_limit(const struct supervisor *sup, const char *user)
{
	const struct user_rate *u = find(sup, user);
	uint64_t limit = sup->config->user_rate;

	if (user[0] == '\0')
		return NUM_UNLIMITED;
	return u != NULL && u->limit < limit ? u->limit : limit;
}

void
user_rates_begin(struct session *s)
{
	uint64_t limit = user_rates_limit(s->sup, s->user);

	s->user_share = limit == NUM_UNLIMITED
			    ? NUM_UNLIMITED
			    : division_entry(limit, sessions_of_user(s->sup, s->user));
}

int
user_rates_set(struct supervisor *sup, const char *user, uint64_t rate)
{
	struct user_rate *u = find_or_add(sup, user);

	if (u == NULL)
		return -ENOMEM;
	u->limit = rate;
	for (uint32_t i = 0; i < sup->boards.slots; i++) {
		struct session *s = sup->slots[i];

		if (s == NULL || strcmp(s->user, user) != 0)
			continue;
		user_rates_begin(s);
		throttle_order(s);
		orders_poke(s);
	}
	return 0;
}

/* ---- shares */

static int
compare(const void *a, const void *b)
{
	const struct session *const *left = a, *const *right = b;

	return strcmp((*left)->user, (*right)->user);
}

/* The n sessions of one user. */
static void
divide(struct supervisor *sup, struct session **list, size_t n, struct division_row *rows,
       uint64_t elapsed_usec)
{
	uint64_t limit = user_rates_limit(sup, list[0]->user);
	struct user_rate *u = limit != NUM_UNLIMITED ? find_or_add(sup, list[0]->user) : NULL;

	if (limit == NUM_UNLIMITED)
		for (size_t i = 0; i < n; i++)
			list[i]->user_share = NUM_UNLIMITED;
	if (u == NULL) /* or without memory: the shares stay as they are */
		return;
	for (size_t i = 0; i < n; i++)
		rows[i] = (struct division_row){ .used = throttle_used(list[i]),
						 .share = list[i]->user_share };
	u->used = true;
	division_divide(&u->division, limit, elapsed_usec, rows, n);
	for (size_t i = 0; i < n; i++)
		list[i]->user_share = rows[i].share;
}

void
user_rates_divide(struct supervisor *sup, struct session **list, size_t n, uint64_t elapsed_usec)
{
	auto_free struct division_row *rows = calloc(n + 1, sizeof(*rows));
	size_t end;

	if (rows == NULL)
		return;
	qsort(list, n, sizeof(*list), compare);
	for (size_t i = 0; i < n; i = end) {
		for (end = i + 1; end < n && compare(&list[i], &list[end]) == 0; end++)
			;
		divide(sup, &list[i], end - i, rows, elapsed_usec);
	}
	forget_idle(sup);
}
