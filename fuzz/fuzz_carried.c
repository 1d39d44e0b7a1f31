/* What one binary hands to the next: what is read is within its bounds, and is written again to the
 * same. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/supervisor/carried.h"
#include "fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct carried *c = NULL, *again = NULL;
	const char *why = NULL;
	char *text;
	size_t len;
	int r = carried_read((const char *)data, size, &c, &why);

	must(r == 0 || ((r == -EBADMSG || r == -ENOMEM) && why != NULL));
	if (r < 0)
		return 0;
	must(c->n_listen <= CONFIG_LISTENERS_MAX && c->bans.n <= BANS_MAX);
	must(c->n_sessions <= CONFIG_SESSIONS_MAX && c->n_rates <= CARRIED_RATES_MAX);
	for (size_t i = 0; i < c->n_sessions; i++)
		must(c->sessions[i].privilege >= 0 && c->sessions[i].privilege <= CARRIED_FD_MAX);
	must(carried_write(c, &text, &len) == 0);
	must(carried_read(text, len, &again, &why) == 0);
	must(memcmp(&c->sockets, &again->sockets, sizeof(c->sockets)) == 0);
	must(c->n_sessions == again->n_sessions && c->bans.n == again->bans.n);
	free(text);
	carried_free(c);
	carried_free(again);
	return 0;
}
