/* The status port: what is said to whom, and never more than it was asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "daemon/beacon/answer.h"
#include "daemon/beacon/beacon.h"
#include "lib/clock.h"
#include "tests/unit/unit.h"

static struct board_public
some_state(void)
{
	struct board_public p = {
		.state = BOARD_READY, .sessions = 7, .sessions_max = 1024, .transfers = 3
	};

	(void)snprintf(p.version, sizeof(p.version), "9.8.7");
	return p;
}

static json_t *
ask(const char *request, size_t len, bool trusted, size_t *ret_len)
{
	struct board_public p = some_state();
	char answer[ANSWER_MAX];
	json_t *object;

	*ret_len = answer_make(&p, 90 * USEC_PER_SEC, request, len, trusted, answer);
	if (*ret_len == 0)
		return NULL;
	object = json_loadb(answer, *ret_len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(object);
	return object;
}

static void
a_trusted_asker_gets_everything_and_its_nonce(void **state)
{
	static const char request[] = "{\"nonce\":\"a\\u00e9\\n\"}";
	size_t len;
	json_t *a = ask(request, sizeof(request) - 1, true, &len);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(a, "status")), "ready");
	assert_string_equal(json_string_value(json_object_get(a, "nonce")), "a\xc3\xa9\n");
	assert_int_equal(json_integer_value(json_object_get(a, "uptime_s")), 90);
	assert_int_equal(json_integer_value(json_object_get(a, "sessions")), 7);
	assert_non_null(json_object_get(a, "bytes_out_rate"));
	json_decref(a);
}

static void
nobody_else_gets_more_than_was_asked(void **state)
{
	char request[ANSWER_REQUEST_MAX];
	size_t len, most = 0;
	json_t *a;

	(void)state;
	memset(request, ' ', sizeof(request));
	memcpy(request, "{\"nonce\":\"0123456789\"}", 22);
	for (size_t n = 0; n <= sizeof(request); n++) {
		a = ask(request, n, false, &len);
		assert_true(len <= n);
		assert_true(len <= ANSWER_MAX);
		assert_true(len >= most); /* never less for asking with more */
		most = len;
		assert_int_equal(len == 0, n < strlen("{\"status\":\"ready\"}"));
		json_decref(a);
	}
}

static void
nonsense_is_answered_without_a_nonce(void **state)
{
	static const char *const requests[] = {
		"", "x", "{", "{\"nonce\":5}", "{\"nonce\":{}}", "[[[[[[[[[[[[[[[["
	};
	char longest[200];
	size_t len;
	json_t *a;

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		a = ask(requests[i], strlen(requests[i]), true, &len);
		assert_non_null(a);
		assert_null(json_object_get(a, "nonce"));
		json_decref(a);
	}
	(void)snprintf(longest, sizeof(longest), "{\"nonce\":\"%065d\"}", 1);
	a = ask(longest, strlen(longest), true, &len);
	assert_null(json_object_get(a, "nonce"));
	json_decref(a);
}

static void
an_answer_is_not_answered(void **state)
{
	struct board_public p = some_state();
	char question[ANSWER_REQUEST_MAX], first[ANSWER_MAX], second[ANSWER_MAX];
	size_t len;

	(void)state;
	memset(question, ' ', sizeof(question));
	for (size_t n = 18; n <= sizeof(question); n++) { /* however much there was room for */
		len = answer_make(&p, 0, question, n, false, first);
		assert_true(len > 0);
		assert_int_equal(answer_make(&p, 0, first, len, true, second), 0);
	}
}

static void
a_source_is_answered_so_often_and_others_still_are(void **state)
{
	struct beacon_limiter *l = calloc(1, sizeof(*l));
	union addr one, two;
	socklen_t len;
	int answered = 0;

	(void)state;
	assert_int_equal(addr_parse("192.0.2.1", 5, &one, &len), 0);
	assert_int_equal(addr_parse("192.0.2.2", 5, &two, &len), 0);
	for (int i = 0; i < 1000; i++)
		answered += beacon_may_answer(l, &one, USEC_PER_SEC + 1);
	assert_int_equal(answered, BEACON_ANSWERS_A_SECOND);
	assert_true(beacon_may_answer(l, &two, USEC_PER_SEC + 1));
	assert_true(beacon_may_answer(l, &one, 2 * USEC_PER_SEC + 1));
	free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_trusted_asker_gets_everything_and_its_nonce),
		cmocka_unit_test(nobody_else_gets_more_than_was_asked),
		cmocka_unit_test(nonsense_is_answered_without_a_nonce),
		cmocka_unit_test(an_answer_is_not_answered),
		cmocka_unit_test(a_source_is_answered_so_often_and_others_still_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
