#include "daemon/supervisor/chatter.h"

#include "lib/clock.h"

bool
chatter_allows(struct chatter *c, pid_t pid, uint32_t cost, uint64_t now_usec, uint64_t *ret_unsaid)
{
	uint64_t second = now_usec / USEC_PER_SEC;
	struct chatter_place *p = &c->place[(unsigned)pid % CHATTER_PLACES];

	*ret_unsaid = 0;
	if (p->second != second) {
		p->second = second;
		p->said = 0;
	}
	if (p->said + cost > CHATTER_A_SECOND) {
		p->unsaid++;
		return false;
	}
	p->said += cost;
	*ret_unsaid = p->unsaid;
	p->unsaid = 0;
	return true;
}
