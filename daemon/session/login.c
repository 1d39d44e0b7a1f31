/* The answer to a login that a gate has read and a verifier has checked: a session's first words.
 */
#include "daemon/session/session.h"

#include <errno.h>

#include "daemon/common/hello.h"
#include "daemon/common/packet.h"
#include "daemon/config/option.h"
#include "lib/err.h"
#include "lib/own.h"

/* What the user may do in one share or another. */
static json_t *
rights_of(const struct session *s)
{
	json_t *list = json_array();
	unsigned rights = 0, told = 0;

	for (size_t i = 0; i < s->config->n_shares; i++)
		rights |= s->view.shares[i];
	for (const struct option_word *w = option_words(OPTION_RIGHTS); w->name != NULL; w++) {
		if ((rights & ~told & w->value) == 0 || (rights & w->value) != w->value)
			continue;
		told |= w->value;
		(void)json_array_append_new(list, json_string(w->name));
	}
	return list;
}

static json_t *
limits_of(const struct session *s, const struct packet_birth *birth)
{
	json_t *limits = hello_limits(s->config, s->public);

	(void)json_object_set_new(limits, "sessions_per_user",
				  json_integer((json_int_t)s->config->sessions_per_user));
	(void)json_object_set_new(limits, "sessions_per_user_current",
				  json_integer((json_int_t)birth->user_sessions));
	return limits;
}

int
login_answer(struct session *s, const struct packet_birth *birth)
{
	auto_json json_t *id = packet_id_json(&birth->id);
	const struct request rq = { .opt = "login", .id = id };
	json_t *extra = json_pack("{s:s, s:o, s:o}", "user", s->subject.user, "rights",
				  rights_of(s), "limits", limits_of(s, birth));

	return extra != NULL ? reply_ok(s, &rq, extra) : -ENOMEM;
}

/* One that comes here comes too late. */
int
op_login(struct session *s, const struct request *rq)
{
	return reply_error(s, rq, -FTD_E_bad_request,
			   "a login comes once, before everything but hello and ping", NULL);
}
