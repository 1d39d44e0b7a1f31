/* A datagram to the status port: the answer is JSON, bounded, and never longer than it may be. */
#include <string.h>

#include <jansson.h>

#include "daemon/beacon/answer.h"
#include "fuzz/fuzz.h"
#include "lib/clock.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct board_public state = { .state = BOARD_READY, .version = "1.2.3", .sessions = 5 };
	char answer[ANSWER_MAX];
	json_t *object;
	size_t n;

	if (size > ANSWER_REQUEST_MAX)
		return 0;
	for (int trusted = 0; trusted < 2; trusted++) {
		n = answer_make(&state, USEC_PER_SEC, data, size, trusted != 0, answer);
		must(n <= ANSWER_MAX && (trusted || n <= size));
		if (n == 0)
			continue;
		object = json_loadb(answer, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
		must(json_is_object(object) && json_object_get(object, "status") != NULL);
		json_decref(object);
	}
	return 0;
}
