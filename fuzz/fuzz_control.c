/* The control socket: a peer that may do everything and says anything, to a daemon without
 * sessions. */
#include <errno.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "tests/unit/fake_supervisor.h"

enum { STEPS_MAX = 10000 };

/* The input as the header of a frame: a refusal that says why, or a request that ends. */
static void
serve(struct control_request *rq, const uint8_t *data, size_t size)
{
	json_t *answer = control_answer_new();
	int r = control_begin(rq, (const char *)data, size, answer);

	must(answer != NULL && r <= 0);
	must((rq->command != NULL) == (r == 0));
	must(r == 0 || rq->message[0] != '\0');
	json_decref(answer);
	for (int i = 0; r >= 0 && rq->command != NULL; i++) {
		must(i < STEPS_MAX);
		answer = control_answer_new();
		rq->ending = i > 0;
		r = control_step(rq, answer);
		must(r <= CONTROL_WAIT && r != -ENOMEM);
		json_decref(answer);
		if (r == CONTROL_DONE || (r == CONTROL_WAIT && i > 0))
			break;
	}
	control_end(rq);
	must(rq->command == NULL && rq->object == NULL && rq->state == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control control = { .sup = &fake.sup };
	struct control_request rq = { .sup = &fake.sup, .role = CONTROL_ADMIN };

	if (size == 0 || size > FRAME_HEADER_MAX)
		return 0;
	fake_start(4);
	fake.sup.control = &control;
	fake_transfer(fake_session(1, "192.0.2.7"), "a/b", 100, 50, 10);
	(void)fake_session(2, "2001:db8::1");
	serve(&rq, data, size);
	fake_stop();
	return 0;
}
