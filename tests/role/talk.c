#include "tests/role/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

int root = -1;

int
talk_make_root(void **state)
{
	(void)state;
	root = scratch_make();
	return root < 0;
}

int
talk_remove_root(void **state)
{
	(void)state;
	close_fd(&root);
	scratch_remove();
	return 0;
}

void
put(struct host *h, json_t *frame)
{
	assert_non_null(frame);
	assert_int_equal(wire_put(&h->wire, frame), 0);
	json_decref(frame);
}

void
put_upload(struct host *h, const char *name, const void *body, size_t len)
{
	put(h, json_pack("{s:s, s:s, s:I}", "opt", "upload", "filename", name, "filesize",
			 (json_int_t)len));
	assert_int_equal(wire_put_body(&h->wire, body, len), 0);
}

json_t *
get_any(struct host *h)
{
	json_t *frame = NULL;

	assert_int_equal(wire_get(&h->wire, &frame), 0);
	return frame;
}

json_t *
get(struct host *h)
{
	for (;;) {
		auto_json json_t *frame = get_any(h);
		const char *status = json_string_value(json_object_get(frame, "status"));

		if (status == NULL || strcmp(status, "working") != 0)
			return json_incref(frame);
	}
}

void
assert_text(const json_t *frame, const char *key, const char *value)
{
	const char *is = json_string_value(json_object_get(frame, key));

	if (is == NULL || strcmp(is, value) != 0) {
		auto_free char *text = json_dumps(frame, 0);

		fail_msg("%s is not \"%s\" in %s", key, value, text);
	}
}

void
expect_status(struct host *h, const char *status)
{
	auto_json json_t *frame = get(h);

	assert_text(frame, "status", status);
}

void
expect_code(struct host *h, const char *code)
{
	auto_json json_t *frame = get(h);

	assert_text(frame, "code", code);
}

void
expect_ping(struct host *h)
{
	put(h, json_pack("{s:s, s:s}", "opt", "ping", "id", "alive"));
	auto_json json_t *frame = get(h);

	assert_text(frame, "status", "ok");
	assert_text(frame, "id", "alive");
}

void
expect_end(struct host *h)
{
	json_t *frame;

	assert_int_equal(wire_get(&h->wire, &frame), -ENODATA);
	assert_int_equal(host_wait(h), 0);
}

void
assert_content(const char *name, const void *body, size_t len)
{
	auto_free char *is = NULL;
	size_t is_len = 0;

	assert_int_equal(io_read_file(root, name, 64 << 20, &is, &is_len), 0);
	assert_int_equal(is_len, len);
	assert_memory_equal(is, body, len);
}

void
assert_missing(const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(errno, ENOENT);
}

/* Nothing is left in .ftd/staging. */
void
assert_no_orphan(void)
{
	int fd = openat(root, ".ftd/staging", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *d = NULL;
	const struct dirent *e;

	if (fd < 0)
		return;
	d = fdopendir(fd);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		assert_true(e->d_name[0] == '.');
}

uint8_t *
random_bytes(size_t n)
{
	uint8_t *p = malloc(n);
	uint64_t x = 88172645463325252;

	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (uint8_t)x;
	}
	return p;
}
