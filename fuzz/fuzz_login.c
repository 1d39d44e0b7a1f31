/* A login as a stranger sends it over plain text from here: what is sent on is whole, and a refusal
 * says why. */
#include <stdlib.h>
#include <string.h>

#include "daemon/gate/login.h"
#include "fuzz/fuzz.h"
#include "lib/err.h"
#include "lib/message.h"
#include "lib/own.h"

static void
check(const struct packet_login *p)
{
	must(p->method == LOGIN_PASSWORD); /* all that may go over plain text */
	must(memchr(p->user, '\0', sizeof(p->user)) != NULL);
	must(p->password_len <= sizeof(p->password));
	must(memchr(p->password, '\0', p->password_len) == NULL);
	must(p->id.kind <= PACKET_ID_TEXT && p->id.len <= sizeof(p->id.text));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct login_line line = { .loopback = true };
	auto_json json_t *object = NULL;
	char why[REQUEST_WHY_MAX];
	struct packet_login p;
	struct request rq;
	int r;

	if (message_parse((const char *)data, size, &object) < 0 || request_read(object, &rq) < 0)
		return 0;
	r = login_read(&rq, &line, &p, why);
	must(memchr(why, '\0', sizeof(why)) != NULL);
	if (r == 0)
		check(&p);
	else
		must(r == -FTD_E_bad_request || r == -FTD_E_unsupported ||
		     r == -FTD_E_tls_required || r == -FTD_E_auth_failed);
	return 0;
}
