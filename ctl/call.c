#include "ctl/call.h"

#include <errno.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/own.h"

int
call_open(struct wire *w, const char *socket, uint64_t timeout_usec)
{
	return wire_connect_unix(w, socket, timeout_usec);
}

static int
join_text(json_t *whole, const char *key, const json_t *part)
{
	json_t *text = json_sprintf("%s%s", json_string_value(json_object_get(whole, key)),
				    json_string_value(part));

	return json_object_set_new(whole, key, text) < 0 ? -ENOMEM : 0;
}

/* One key of a frame into what came before. */
static int
join_key(json_t *whole, const char *key, json_t *value)
{
	json_t *before = json_object_get(whole, key);

	if (strcmp(key, "more") == 0)
		return 0;
	if (json_is_array(before) && json_is_array(value))
		return json_array_extend(before, value) < 0 ? -ENOMEM : 0;
	if (strcmp(key, "text") == 0 && json_is_string(before) && json_is_string(value))
		return join_text(whole, key, value);
	return json_object_set(whole, key, value) < 0 ? -ENOMEM : 0;
}

static int
join(json_t *whole, json_t *frame)
{
	const char *key;
	json_t *value;
	int r;

	json_object_foreach (frame, key, value) {
		r = join_key(whole, key, value);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The next frame; the time limit is that of the whole answer, not of one byte of it. */
static int
next_frame(struct wire *w, uint64_t deadline_usec, json_t **ret)
{
	uint64_t now = clock_usec();

	if (deadline_usec != 0 && now >= deadline_usec)
		return -ETIMEDOUT;
	w->timeout_usec = deadline_usec == 0 ? 0 : deadline_usec - now;
	return wire_get(w, ret);
}

int
call_ask(struct wire *w, json_t *request, uint64_t timeout_usec, json_t **ret)
{
	auto_json json_t *whole = json_object();
	uint64_t deadline = timeout_usec == 0 ? 0 : clock_usec() + timeout_usec;
	bool more = true;
	int r;

	if (whole == NULL)
		return -ENOMEM;
	r = wire_put(w, request);
	while (r >= 0 && more) {
		auto_json json_t *frame = NULL;

		r = next_frame(w, deadline, &frame);
		if (r >= 0)
			r = join(whole, frame);
		more = json_is_true(json_object_get(frame, "more"));
	}
	if (r < 0)
		return r;
	*ret = take_ptr(whole);
	return 0;
}
