#include "daemon/common/verdict.h"

#include <stdio.h>

struct packet_verdict
verdict_make(const char *code, const char *message, uint64_t retry_after_ms)
{
	struct packet_verdict v = { .retry_after_ms = retry_after_ms,
				    .limit = UINT64_MAX,
				    .current = UINT64_MAX };

	(void)snprintf(v.code, sizeof(v.code), "%s", code);
	(void)snprintf(v.message, sizeof(v.message), "%s", message);
	return v;
}

json_t *
verdict_answer(const struct packet_verdict *v)
{
	json_t *a = json_pack("{s:s, s:s, s:s, s:b}", "status", "error", "code", v->code, "message",
			      v->message, "close", 1);

	if (a == NULL)
		return NULL;
	if (v->retry_after_ms > 0)
		(void)json_object_set_new(a, "retry_after_ms",
					  json_integer((json_int_t)v->retry_after_ms));
	if (v->limit != UINT64_MAX)
		(void)json_object_set_new(a, "limit", json_integer((json_int_t)v->limit));
	if (v->current != UINT64_MAX)
		(void)json_object_set_new(a, "current", json_integer((json_int_t)v->current));
	return a;
}
