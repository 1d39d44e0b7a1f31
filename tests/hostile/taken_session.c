/* The session that was taken over: everything is the daemon's own up to the moment when a request
 * for "commit" has the key "attack". */
#include "daemon/session/session.h"
#include "tests/hostile/attack.h"

int __real_op_commit(struct session *s, const struct request *rq);
int __wrap_op_commit(struct session *s, const struct request *rq);

static int
inside_of(const struct session *s)
{
	for (size_t i = 0; i < s->config->n_shares; i++)
		if (s->shares[i].root >= 0)
			return s->shares[i].root;
	return -1;
}

int
__wrap_op_commit(struct session *s, const struct request *rq)
{
	struct aim a = { .connection = s->conn.fd,
			 .privilege = s->privilege,
			 .inside = inside_of(s),
			 .report = s->report,
			 .orders = s->orders,
			 .shown = s->public };

	if (json_object_get(rq->object, "attack") == NULL)
		return __real_op_commit(s, rq);
	return reply_ok(s, rq, json_pack("{s:o}", "attack", attack_run(rq->object, &a)));
}
