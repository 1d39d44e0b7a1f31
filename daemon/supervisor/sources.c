#include "daemon/supervisor/sources.h"

#include <stdlib.h>

enum { BUCKETS = 4096 };

static struct source *table[BUCKETS];

/* FNV-1a (Fowler, Noll, Vo) over the network's bytes; the number of sources that an attacker can
 * hold is bounded by the waiting room, so a chain cannot grow long. */
static struct source **
bucket_of(const struct subnet *key)
{
	uint32_t h = 2166136261U;

	for (size_t i = 0; i < sizeof(key->bytes); i++)
		h = (h ^ key->bytes[i]) * 16777619U;
	return &table[h % BUCKETS];
}

struct source *
source_hold(const union addr *peer)
{
	const struct subnet key = addr_source(peer);
	struct source **bucket = bucket_of(&key);
	struct source *s;

	for (s = *bucket; s != NULL && !subnet_equal(&s->key, &key); s = s->next)
		;
	if (s == NULL) {
		s = calloc(1, sizeof(*s));
		if (s == NULL)
			return NULL;
		s->key = key;
		s->next = *bucket;
		*bucket = s;
	}
	s->holders++;
	return s;
}

void
source_release(struct source *s)
{
	struct source **at;

	if (--s->holders > 0)
		return;
	for (at = bucket_of(&s->key); *at != s; at = &(*at)->next)
		;
	*at = s->next;
	free(s);
}
