/* What one binary hands to the next: what is read is within its bounds, and is written again to the
 * same. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/common/board.h"
#include "daemon/supervisor/carried.h"
#include "fuzz/fuzz.h"
#include "lib/message.h"
#include "lib/own.h"

static void
read_and_write(const char *data, size_t size)
{
	struct carried *c = NULL, *again = NULL;
	const char *why = NULL;
	char *text;
	size_t len;
	int r = carried_read(data, size, &c, &why);

	must(r == 0 || ((r == -EBADMSG || r == -ENOMEM) && why != NULL));
	if (r < 0)
		return;
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
}

/* The versions of today, whatever the corpus has. */
static void
read_as_of_today(const char *data, size_t size)
{
	auto_json json_t *o = NULL;
	auto_free char *text = NULL;

	if (message_parse(data, size, &o) < 0)
		return;
	(void)json_object_set_new(o, "version", json_integer(CARRIED_VERSION));
	(void)json_object_set_new(o, "boards", json_integer(BOARD_VERSION));
	text = json_dumps(o, JSON_COMPACT);
	if (text != NULL)
		read_and_write(text, strlen(text));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_and_write((const char *)data, size);
	read_as_of_today((const char *)data, size);
	return 0;
}
