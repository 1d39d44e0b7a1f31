#include <errno.h>
#include <string.h>

#include "daemon/supervisor/control.h"
#include "daemon/supervisor/sessions.h"
#include "daemon/supervisor/users.h"
#include "lib/own.h"

/* ---- list-users: in the order of the names, rows made as the peer reads ---- */

struct list {
	char last[USER_NAME_MAX + 1]; /* the name told last: a reload may come in between */
};

static json_t *
user_row(const struct supervisor *sup, const struct users_entry *u)
{
	return json_pack("{s:s, s:b, s:b, s:i, s:b, s:s?, s:o}", "user", u->name, "disabled",
			 (int)u->disabled, "password", (int)u->password, "keys", (int)u->keys,
			 "certificate", (int)u->certificate, "account",
			 u->account[0] != '\0' ? u->account : NULL, "sessions",
			 control_number(sessions_of_user(sup, u->name)));
}

static int
list_users_step(struct control_request *rq, json_t *answer)
{
	struct list *list = rq->state;
	const struct users_entry *u = users_after(rq->sup, list->last);
	json_t *rows = json_array();
	int r = control_set(answer, "users", rows);

	for (; r == 0 && u != NULL && json_array_size(rows) < CONTROL_USERS_PER_FRAME;
	     u = users_after(rq->sup, list->last)) {
		r = json_array_append_new(rows, user_row(rq->sup, u)) < 0 ? -ENOMEM : 0;
		memcpy(list->last, u->name, sizeof(list->last));
	}
	if (r < 0)
		return r;
	return u != NULL ? CONTROL_MORE : CONTROL_DONE;
}

const struct control_verb control_list_users = { .state_size = sizeof(struct list),
						 .step = list_users_step };
