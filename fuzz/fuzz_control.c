/* The control socket: a peer that may do everything and says anything, to a daemon without
 * sessions. Behind a NUL is what a keeper that was taken over answers. */
#include <errno.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "tests/unit/fake_supervisor.h"

enum { STEPS_MAX = 10000 };

/* The next packet of a keeper to the question that was asked last, perhaps long ago. */
static bool
answer_question(const uint8_t **data, size_t *size)
{
	struct packet_kept kept = { .type = KEPT_END };
	size_t n = *size < sizeof(kept) ? *size : sizeof(kept);

	if (n == 0)
		return false;
	memcpy(&kept, *data, n);
	kept.serial = fake.asked.serial;
	questions_take(&fake.sup, &kept);
	*data += n;
	*size -= n;
	return true;
}

/* The input as the header of a frame: a refusal that says why, or a request that ends. */
static void
serve(struct control_request *rq, const uint8_t *data, size_t size, const uint8_t *packets,
      size_t packets_size)
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
		r = control_step(rq, answer);
		must(r <= CONTROL_WAIT && r != -ENOMEM);
		json_decref(answer);
		if (r == CONTROL_DONE || (r == CONTROL_WAIT && rq->ending))
			break;
		rq->ending = r == CONTROL_WAIT && !answer_question(&packets, &packets_size);
	}
	control_end(rq);
	must(rq->command == NULL && rq->object == NULL && rq->state == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control control = { .sup = &fake.sup };
	struct control_request rq = { .sup = &fake.sup, .role = CONTROL_ADMIN };

	size_t header = strnlen((const char *)data, size), rest = header < size ? header + 1 : size;

	if (header == 0 || header > FRAME_HEADER_MAX)
		return 0;
	fake_start(4);
	fake.sup.control = &control;
	fake_transfer(fake_session(1, "192.0.2.7"), "a/b", 100, 50, 10);
	(void)fake_session(2, "2001:db8::1");
	serve(&rq, data, header, data + rest, size - rest);
	control_disks_done(&control);
	fake_stop();
	return 0;
}
