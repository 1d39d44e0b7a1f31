#include "daemon/supervisor/penalties.h"

#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/num.h"

static const uint64_t cost_usec[PENALTY_KINDS] = {
	[PENALTY_LEFT] = 200 * USEC_PER_MSEC,  [PENALTY_LOGIN] = 5 * USEC_PER_SEC,
	[PENALTY_PROTOCOL] = 5 * USEC_PER_SEC, [PENALTY_LATE] = 10 * USEC_PER_SEC,
	[PENALTY_CRASH] = 90 * USEC_PER_SEC,
};

static const char *const reasons[PENALTY_KINDS] = {
	[PENALTY_LEFT] = "too many connections that came to nothing",
	[PENALTY_LOGIN] = "too many failed logins",
	[PENALTY_PROTOCOL] = "too often not the protocol",
	[PENALTY_LATE] = "too many connections without a login",
	[PENALTY_CRASH] = "its process crashed",
};

/* The first record of those that the source may have. */
static size_t
set_of(const struct subnet *source)
{
	return (size_t)(subnet_hash(source) % PENALTIES_SETS) * PENALTIES_WAYS;
}

const struct penalty_record *
penalties_find(const struct penalties *p, const union addr *peer)
{
	const struct subnet source = addr_source(peer);
	const struct penalty_record *r = &p->list[set_of(&source)];

	for (int i = 0; i < PENALTIES_WAYS; i++, r++)
		if (r->until_usec != 0 && subnet_equal(&r->source, &source))
			return r;
	return NULL;
}

/* The record of the source; else the one of its set that ends first, emptied. */
static struct penalty_record *
claim(struct penalties *p, const struct subnet *source)
{
	struct penalty_record *first = &p->list[set_of(source)], *least = first;

	for (struct penalty_record *r = first; r < first + PENALTIES_WAYS; r++) {
		if (r->until_usec != 0 && subnet_equal(&r->source, source))
			return r;
		if (r->until_usec < least->until_usec)
			least = r;
	}
	*least = (struct penalty_record){ .source = *source };
	return least;
}

uint64_t
penalties_refused(const struct penalty_record *r, uint64_t longest_usec, uint64_t now_usec)
{
	uint64_t owed = r->until_usec > now_usec ? r->until_usec - now_usec : 0;
	uint64_t tolerated = PENALTIES_TOLERATED;

	if (longest_usec == 0)
		return 0;
	if (tolerated > longest_usec / 2)
		tolerated = longest_usec / 2;
	return owed > tolerated ? owed - tolerated : 0;
}

bool
penalties_charge(struct penalties *p, const union addr *peer, enum penalty why,
		 uint64_t longest_usec, uint64_t now_usec)
{
	const struct subnet source = addr_source(peer);
	struct penalty_record *r;
	bool refused;

	if (longest_usec == 0 || source.family == AF_UNSPEC)
		return false;
	r = claim(p, &source);
	refused = penalties_refused(r, longest_usec, now_usec) > 0;
	if (r->until_usec <= now_usec) {
		r->until_usec = now_usec;
		r->since_real_ns = clock_real_ns();
	}
	r->until_usec += cost_usec[why];
	if (r->until_usec - now_usec > longest_usec)
		r->until_usec = now_usec + longest_usec;
	return !refused && penalties_refused(r, longest_usec, now_usec) > 0;
}

void
penalties_restore(struct penalties *p, const struct subnet *source, int64_t since_real_ns,
		  uint64_t until_usec)
{
	struct penalty_record *r = claim(p, source);

	r->since_real_ns = since_real_ns;
	r->until_usec = until_usec;
}

static bool
is_meant(const struct subnet *source, const struct subnet *net)
{
	union addr a;

	if (addr_from_bytes(source->family, source->bytes, 0, &a) < 0)
		return false;
	if (net->family == AF_INET6 && net->bits > source->bits) /* a lone address has its /64 */
		return addr_from_bytes(net->family, net->bytes, 0, &a) == 0 &&
		       subnet_has(source, &a);
	return subnet_has(net, &a);
}

size_t
penalties_lift(struct penalties *p, const struct subnet *net, uint64_t now_usec)
{
	size_t lifted = 0;

	for (struct penalty_record *r = p->list; r < p->list + PENALTIES_SETS * PENALTIES_WAYS; r++)
		if (r->until_usec > now_usec && is_meant(&r->source, net)) {
			r->until_usec = 0;
			lifted++;
		}
	return lifted;
}

void
penalties_add(struct supervisor *sup, const union addr *peer, enum penalty why)
{
	char host[ADDR_TEXT_MAX], elapsed[NUM_TEXT_MAX];
	uint64_t now = clock_usec(), longest = sup->config->penalty;
	const struct penalty_record *r;

	if (!penalties_charge(&sup->penalties, peer, why, longest, now))
		return;
	r = penalties_find(&sup->penalties, peer);
	log_line(LOG_NOTICE, "refusing %s for %s: %s", addr_format_host(peer, host),
		 num_format_elapsed(penalties_refused(r, longest, now), elapsed), reasons[why]);
}
