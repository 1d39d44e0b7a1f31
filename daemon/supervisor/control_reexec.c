#include <errno.h>
#include <fcntl.h>

#include "daemon/supervisor/carried.h"
#include "daemon/supervisor/control.h"
#include "daemon/supervisor/reexec.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"

/* Begins it and waits: a refusal is answered here, the success by the other binary. */

struct reexec_request {
	struct supervisor *sup; /* NULL: not begun */
};

static int
step(struct control_request *rq, json_t *answer)
{
	struct reexec_request *args = rq->state;
	int r;

	(void)answer;
	if (rq->ending)
		return control_refuse(rq, -FTD_E_draining, "the daemon ends");
	if (args->sup == NULL) {
		r = reexec_begin(rq->sup, rq);
		if (r == -EBUSY)
			return control_refuse(rq, -FTD_E_busy,
					      "the daemon is starting, reloading or going down");
		if (r < 0)
			return control_refuse(rq, r, "%s: %s; nothing was changed",
					      rq->sup->program, err_text(r));
		args->sup = rq->sup;
	}
	if (reexec_runs(rq->sup))
		return CONTROL_WAIT;
	return control_refuse(rq, -FTD_E_internal, "the old binary goes on: %s", reexec_failure());
}

/* Whoever asked has gone, or has the answer. */
static void
done(void *state)
{
	const struct reexec_request *args = state;

	if (args->sup != NULL)
		reexec_forget(args->sup);
}

const struct control_verb control_reexec = {
	.state_size = sizeof(struct reexec_request),
	.step = step,
	.done = done,
};

void
control_welcome(struct supervisor *sup, const struct carried_sockets *sockets)
{
	auto_close int fd = (int)sockets->asker;
	auto_json json_t *answer = control_answer_new();
	struct control_peer **place = control_place(sup->control, (uid_t)sockets->asker_uid);
	json_t *part = json_pack("{s:s, s:i, s:o, s:o}", "version", PACKAGE_VERSION, "pid",
				 (int)getpid(), "sessions", control_number(sup->sessions),
				 "generation", control_number(sup->generation));

	if (fd < 0 || place == NULL || answer == NULL || json_object_update_new(answer, part) < 0)
		return;
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (control_peer_new(sup->control, take_fd(&fd), (uid_t)sockets->asker_uid,
			     (pid_t)sockets->asker_pid, (enum control_role)sockets->asker_role,
			     place) == 0 &&
	    control_peer_tell(*place, answer) < 0)
		control_drop(*place);
}
