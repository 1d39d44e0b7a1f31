#include "daemon/supervisor/bans.h"

#include <errno.h>
#include <stdbool.h>

#include "lib/clock.h"

static struct ban *
find_net(struct bans *b, const struct subnet *net)
{
	for (size_t i = 0; i < b->n; i++)
		if (subnet_equal(&b->list[i].net, net))
			return &b->list[i];
	return NULL;
}

void
bans_expire(struct bans *b, uint64_t now_usec)
{
	size_t left = 0;

	for (size_t i = 0; i < b->n; i++)
		if (b->list[i].until_usec > now_usec)
			b->list[left++] = b->list[i];
	b->n = left;
}

int
bans_add(struct bans *b, const struct subnet *net, uint64_t now_usec, uint64_t until_usec)
{
	struct ban *ban;

	bans_expire(b, now_usec);
	ban = find_net(b, net);
	if (ban == NULL && b->n == BANS_MAX)
		return -ENOSPC;
	if (ban == NULL)
		ban = &b->list[b->n++];
	*ban =
	    (struct ban){ .net = *net, .since_real_ns = clock_real_ns(), .until_usec = until_usec };
	return 0;
}

int
bans_remove(struct bans *b, const struct subnet *net, uint64_t now_usec)
{
	struct ban *ban;

	bans_expire(b, now_usec);
	ban = find_net(b, net);
	if (ban == NULL)
		return -ENOENT;
	ban->until_usec = 0;
	bans_expire(b, now_usec);
	return 0;
}

const struct ban *
bans_find(const struct bans *b, const union addr *a, uint64_t now_usec)
{
	const struct ban *last = NULL;

	for (size_t i = 0; i < b->n; i++)
		if (b->list[i].until_usec > now_usec && subnet_has(&b->list[i].net, a) &&
		    (last == NULL || b->list[i].until_usec > last->until_usec))
			last = &b->list[i];
	return last;
}
