/* What a client reads from a session: downloads, trees, lists, digests. */
#include "daemon/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/digest.h"
#include "lib/io.h"
#include "lib/own.h"
#include "tests/role/nobody.h"
#include "tests/role/talk.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

/* ---- what is on the disk */

static void
make_file(const char *name, const void *content, size_t len)
{
	auto_close int fd = openat(root, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_write_full(fd, content, len), 0);
}

static void
make_sparse(const char *name, off_t size)
{
	auto_close int fd = openat(root, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
}

static void
cut(const char *name, off_t size)
{
	auto_close int fd = openat(root, name, O_WRONLY | O_CLOEXEC);

	assert_int_equal(ftruncate(fd, size), 0);
}

static void
make_dir(const char *name)
{
	assert_int_equal(mkdirat(root, name, 0755), 0);
}

static void
make_socket(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", scratch_path(), name);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
}

/* ---- a download */

struct got {
	json_t *first, *last; /* owned; the same where it came in one frame */
	uint8_t *bytes;       /* with the holes as zeros; owned */
	size_t len, sent;     /* all, without holes */
	unsigned frames;
};

static void
got_done(struct got *g)
{
	json_decref(g->first);
	json_decref(g->last);
	free(g->bytes);
	*g = (struct got){ 0 };
}

static size_t
number(const json_t *frame, const char *key)
{
	return (size_t)json_integer_value(json_object_get(frame, key));
}

static bool
has_more(const json_t *frame)
{
	return json_is_true(json_object_get(frame, "more"));
}

/* Reads the body that follows the frame behind what g has. keep: the bytes are wanted. */
static void
get_body(struct host *h, const json_t *frame, struct got *g, bool keep)
{
	static uint8_t scratch[64 << 10];
	size_t n = number(frame, "body"), hole = number(frame, "hole");

	if (keep) {
		g->bytes = realloc(g->bytes, g->len + n + hole + 1);
		assert_non_null(g->bytes);
		memset(g->bytes + g->len + n, 0, hole);
	}
	g->sent += n;
	for (int r; n > 0; n -= (size_t)r) {
		r = wire_get_body(&h->wire, keep ? g->bytes + g->len : scratch,
				  keep || n < sizeof(scratch) ? n : sizeof(scratch));
		assert_true(r > 0);
		g->len += (size_t)r;
	}
	g->len += hole;
}

/* The frames of an answer from *first on, which is taken over. */
static void
get_rest(struct host *h, json_t *first, struct got *g, bool keep)
{
	json_t *frame = first;

	*g = (struct got){ .first = json_incref(first), .frames = 1 };
	for (;;) {
		get_body(h, frame, g, keep);
		if (!has_more(frame))
			break;
		json_decref(frame);
		frame = get(h);
		g->frames++;
	}
	g->last = frame;
}

static void
get_whole(struct host *h, struct got *g)
{
	get_rest(h, get(h), g, true);
}

static const char *
digest_of(enum digest_algorithm a, const void *bytes, size_t len, char *text)
{
	struct digest *d = NULL;
	struct digest_value v;

	assert_int_equal(digest_new(a, &d), 0);
	digest_update(d, bytes, len);
	digest_final(d, &v);
	digest_free(d);
	return digest_format(&v, text);
}

static void
put_download(struct host *h, const char *name)
{
	put(h, json_pack("{s:s, s:s, s:i}", "opt", "download", "filename", name, "id", 1));
}

static void
files_of_every_size_come_whole(void **state)
{
	static const size_t sizes[] = { 0, 1, 65536, 65537, 256 << 10, 1 << 20, 5000000 };
	auto_free uint8_t *body = random_bytes(5000000);
	char name[32], text[DIGEST_TEXT_MAX];
	struct host h;
	struct got g;

	(void)state;
	host_start(&h, HOST_SANDBOX, "", "");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		(void)snprintf(name, sizeof(name), "/f%zu", sizes[i]);
		make_file(name + 1, body, sizes[i]);
		put_download(&h, name);
		get_whole(&h, &g);
		assert_int_equal(g.len, sizes[i]);
		assert_memory_equal(g.bytes, body, g.len);
		assert_text(g.first, "name", name + 1);
		assert_text(g.first, "type", "file");
		assert_int_equal(number(g.first, "filesize"), sizes[i]);
		assert_int_equal(number(g.last, "id"), 1);
		assert_text(g.last, "digest", digest_of(DIGEST_XXH3, body, sizes[i], text));
		assert_int_equal(g.frames == 1, sizes[i] <= 65536);
		got_done(&g);
	}
	expect_ping(&h);
	assert_int_equal(h.report->downloads, ARRAY_SIZE(sizes));
	assert_int_equal(h.report->bytes_out,
			 1 + 65536 + 65537 + (256 << 10) + (1 << 20) + 5000000);
	assert_int_equal(h.report->transfer, 0);
	host_end(&h);
}

static void
a_part_comes_with_its_own_digest(void **state)
{
	auto_free uint8_t *body = random_bytes(5000000);
	char text[DIGEST_TEXT_MAX];
	struct host h;
	struct got g;

	(void)state;
	make_file("f", body, 5000000);
	host_start(&h, 0, "", "");
	put(&h, json_pack("{s:s, s:s, s:i, s:i, s:s}", "opt", "download", "filename", "f", "offset",
			  4000000, "length", 500000, "digest", "sha256"));
	get_whole(&h, &g);
	assert_int_equal(g.len, 500000);
	assert_memory_equal(g.bytes, body + 4000000, g.len);
	assert_int_equal(number(g.first, "filesize"), 5000000);
	assert_text(g.last, "digest", digest_of(DIGEST_SHA256, body + 4000000, 500000, text));
	got_done(&g);
	put(&h, json_pack("{s:s, s:s, s:i, s:I, s:s}", "opt", "download", "filename", "f", "offset",
			  4990000, "length", INT64_MAX, "digest", "blocks"));
	get_whole(&h, &g);
	assert_int_equal(g.len, 10000);
	assert_text(g.last, "digest", digest_of(DIGEST_BLOCKS, body + 4990000, 10000, text));
	got_done(&g);
	put(&h,
	    json_pack("{s:s, s:s, s:i}", "opt", "download", "filename", "f", "offset", 5000000));
	get_whole(&h, &g);
	assert_int_equal(g.len, 0);
	got_done(&g);
	put(&h,
	    json_pack("{s:s, s:s, s:i}", "opt", "download", "filename", "f", "offset", 5000001));
	expect_code(&h, "size_mismatch");
	put(&h, json_pack("{s:s, s:s, s:s}", "opt", "download", "filename", "f", "digest", "md5"));
	expect_code(&h, "unsupported");
	host_end(&h);
}

static void
if_match_tells_what_is_there_now(void **state)
{
	struct host h;
	struct got g;
	json_t *frame, *current;
	char etag[ENTRY_ETAG_MAX];

	(void)state;
	make_file("f", "old", 3);
	host_start(&h, 0, "", "");
	put_download(&h, "/f");
	get_whole(&h, &g);
	(void)snprintf(etag, sizeof(etag), "%s",
		       json_string_value(json_object_get(g.first, "etag")));
	got_done(&g);
	put(&h,
	    json_pack("{s:s, s:s, s:s}", "opt", "download", "filename", "/f", "if_match", etag));
	get_whole(&h, &g);
	assert_int_equal(g.len, 3);
	got_done(&g);
	make_file("f", "newer", 5);
	put(&h,
	    json_pack("{s:s, s:s, s:s}", "opt", "download", "filename", "/f", "if_match", etag));
	frame = get(&h);
	assert_text(frame, "code", "changed");
	current = json_object_get(frame, "current");
	assert_int_equal(number(current, "filesize"), 5);
	json_decref(frame);
	host_end(&h);
}

static void
only_files_are_opened(void **state)
{
	struct host h;

	(void)state;
	make_dir("dir");
	make_socket("socket");
	assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
	assert_int_equal(symlinkat("/etc/passwd", root, "link"), 0);
	make_file("secret", "x", 1);
	assert_int_equal(fchmodat(root, "secret", 0, 0), 0);
	host_start(&h, 0, "", "");
	put_download(&h, "/dir");
	expect_code(&h, "not_a_file");
	put_download(&h, "/socket");
	expect_code(&h, "not_a_file");
	put_download(&h, "/fifo");
	expect_code(&h, "not_a_file");
	put_download(&h, "/link");
	expect_code(&h, "link_refused");
	put_download(&h, "/none");
	expect_code(&h, "not_found");
	put_download(&h, "/secret/x");
	expect_code(&h, "not_a_directory");
	put_download(&h, "/secret");
	expect_code(&h, "permission");
	put_download(&h, "/../etc/passwd");
	expect_code(&h, "bad_name");
	put_download(&h, "/");
	expect_code(&h, "not_a_file");
	expect_ping(&h);
	host_end(&h);
}

static void
links_inside_may_be_followed_where_allowed(void **state)
{
	struct host h;
	struct got g;

	(void)state;
	make_file("f", "abc", 3);
	assert_int_equal(symlinkat("f", root, "inside"), 0);
	assert_int_equal(symlinkat("/etc/passwd", root, "outside"), 0);
	host_start(&h, HOST_SANDBOX, "links = \"inside\";", "");
	put_download(&h, "/inside");
	get_whole(&h, &g);
	assert_int_equal(g.len, 3);
	got_done(&g);
	put_download(&h, "/outside");
	expect_code(&h, "link_refused");
	host_end(&h);
}

static void
holes_are_told_to_those_who_ask(void **state)
{
	auto_free uint8_t *body = random_bytes(100000);
	const size_t size = (64 << 20) + 100000;
	auto_free uint8_t *whole = calloc(1, size);
	char text[DIGEST_TEXT_MAX];
	struct host h;
	struct got g;

	(void)state;
	make_sparse("s", (off_t)size);
	auto_close int fd = openat(root, "s", O_WRONLY | O_CLOEXEC);

	assert_int_equal(io_pwrite_full(fd, body, 100000, 10 << 20), 0);
	assert_int_equal(io_pwrite_full(fd, body, 100000, 64 << 20), 0);
	memcpy(whole + (10 << 20), body, 100000);
	memcpy(whole + (64 << 20), body, 100000);
	host_start(&h, 0, "", "");
	for (int holes = 0; holes < 2; holes++) {
		put(&h, json_pack("{s:s, s:s, s:b}", "opt", "download", "filename", "s", "holes",
				  holes));
		get_whole(&h, &g);
		assert_int_equal(g.len, size);
		assert_memory_equal(g.bytes, whole, size);
		assert_text(g.last, "digest", digest_of(DIGEST_XXH3, whole, size, text));
		assert_true(holes ? g.sent < 1000000 : g.sent == size);
		got_done(&g);
	}
	host_end(&h);
}

/* A client that has read the first frame only; the session is stuck in the body. */
static json_t *
begin_large(struct host *h, const char *name)
{
	make_sparse(name, 64 << 20);
	put_download(h, name);
	return get(h);
}

static void
a_file_that_shrinks_ends_as_changed(void **state)
{
	struct host h;
	struct got g;

	(void)state;
	host_start(&h, HOST_SMALL_BUFFERS, "", "");
	json_t *first = begin_large(&h, "f");

	cut("f", 0);
	get_rest(&h, first, &g, false);
	assert_text(g.last, "status", "error");
	assert_text(g.last, "code", "changed");
	got_done(&g);
	expect_ping(&h);
	assert_int_equal(h.report->failed, 1);
	assert_int_equal(h.report->downloads, 0);
	host_end(&h);
}

static void
a_file_that_is_written_meanwhile_ends_as_changed(void **state)
{
	struct host h;
	struct got g;

	(void)state;
	host_start(&h, HOST_SMALL_BUFFERS, "", "");
	json_t *first = begin_large(&h, "f");
	auto_close int fd = openat(root, "f", O_WRONLY | O_CLOEXEC);

	assert_int_equal(io_pwrite_full(fd, "x", 1, 63 << 20), 0);
	get_rest(&h, first, &g, false);
	assert_text(g.last, "code", "changed");
	assert_int_equal(g.len, 64 << 20);
	got_done(&g);
	expect_ping(&h);
	host_end(&h);
}

static void
the_client_cancels(void **state)
{
	struct host h;
	struct got g;

	(void)state;
	host_start(&h, HOST_SMALL_BUFFERS, "", "");
	json_t *first = begin_large(&h, "f");

	put(&h, json_pack("{s:s, s:i}", "opt", "cancel", "id", 2));
	assert_int_equal(wire_flush(&h.wire), 0);
	get_rest(&h, first, &g, false);
	assert_text(g.last, "code", "cancelled");
	assert_int_equal(number(g.last, "id"), 1);
	assert_true(g.len < 64 << 20);
	got_done(&g);
	auto_json json_t *answer = get(&h);

	assert_text(answer, "status", "ok");
	assert_int_equal(number(answer, "id"), 2);
	expect_ping(&h);
	host_end(&h);
}

static void
a_cancel_behind_another_request_is_harmless(void **state)
{
	struct host h;
	struct got g;

	(void)state;
	make_sparse("f", 10 << 20);
	host_start(&h, 0, "", "");
	put_download(&h, "/f");
	put(&h, json_pack("{s:s, s:i}", "opt", "ping", "id", 2));
	put(&h, json_pack("{s:s, s:i}", "opt", "cancel", "id", 3));
	get_whole(&h, &g);
	assert_text(g.last, "status", "ok");
	got_done(&g);
	for (size_t id = 2; id <= 3; id++) {
		auto_json json_t *frame = get(&h);

		assert_int_equal(number(frame, "id"), id);
		assert_text(frame, "status", "ok");
	}
	host_end(&h);
}

static void
the_administrator_cancels(void **state)
{
	struct host h;
	struct got g;

	(void)state;
	host_start(&h, HOST_SMALL_BUFFERS, "", "");
	json_t *first = begin_large(&h, "f");

	assert_int_equal(h.report->transfer, 1);
	assert_int_equal(h.report->state, BOARD_SENDING);
	assert_int_equal(h.report->size, 64 << 20);
	host_cancel(&h, 1);
	get_rest(&h, first, &g, false);
	assert_text(g.last, "code", "cancelled");
	assert_int_equal(g.len, 1 << 20); /* the piece that was announced, to its end */
	got_done(&g);
	expect_ping(&h);
	host_end(&h);
}

static void
a_kicked_client_hears_why(void **state)
{
	struct host h;
	struct got g;

	(void)state;
	host_start(&h, HOST_SMALL_BUFFERS, "", "");
	json_t *first = begin_large(&h, "f");

	host_quit(&h, BOARD_QUIT_KICKED, "lunch");
	get_rest(&h, first, &g, false);
	assert_text(g.last, "code", "cancelled");
	assert_text(g.last, "message", "lunch");
	got_done(&g);
	assert_int_equal(host_wait(&h), 0);
	host_end(&h);
}

/* ---- lists */

/* All entries of an answer; its last frame goes to *ret_last where that is wanted. */
static json_t *
get_entries(struct host *h, json_t **ret_last)
{
	json_t *all = json_array(), *frame;
	bool more;

	do {
		frame = get(h);
		assert_text(frame, "status", "ok");
		assert_int_equal(json_array_extend(all, json_object_get(frame, "entries")), 0);
		more = has_more(frame);
		if (!more && ret_last != NULL)
			*ret_last = json_incref(frame);
		json_decref(frame);
	} while (more);
	return all;
}

static json_t *
find(json_t *entries, const char *name)
{
	json_t *found = NULL, *entry;
	size_t i;

	json_array_foreach (entries, i, entry) {
		const char *is = json_string_value(json_object_get(entry, "name"));

		if (is == NULL || strcmp(is, name) != 0)
			continue;
		if (found != NULL)
			fail_msg("%s is there twice", name);
		found = entry;
	}
	return found;
}

static size_t
index_of(json_t *entries, const char *name)
{
	json_t *entry;
	size_t i;

	json_array_foreach (entries, i, entry) {
		const char *is = json_string_value(json_object_get(entry, "name"));

		if (is != NULL && strcmp(is, name) == 0)
			return i;
	}
	fail_msg("%s is not there", name);
	return 0;
}

static json_t *
list(struct host *h, const char *name, bool recursive)
{
	put(h,
	    json_pack("{s:s, s:s, s:b}", "opt", "list", "filename", name, "recursive", recursive));
	return get_entries(h, NULL);
}

static void
a_list_has_every_kind_of_name(void **state)
{
	struct host h;

	(void)state;
	make_dir("dir");
	make_file("file", "abc", 3);
	make_file("\xff\xfe\n", "", 0);
	make_file("quote\"back\\\001", "", 0);
	assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
	assert_int_equal(symlinkat("/etc/passwd", root, "link"), 0);
	host_start(&h, HOST_SANDBOX, "", "");
	auto_json json_t *entries = list(&h, "/", false);

	assert_int_equal(json_array_size(entries), 6);
	assert_text(find(entries, "dir"), "type", "dir");
	assert_text(find(entries, "link"), "type", "link");
	assert_text(find(entries, "fifo"), "type", "other");
	assert_text(find(entries, "file"), "type", "file");
	assert_int_equal(number(find(entries, "file"), "filesize"), 3);
	assert_int_equal(number(find(entries, "dir"), "filesize"), 0);
	assert_int_equal(number(find(entries, "dir"), "mode"), 0755);
	assert_non_null(find(entries, "quote\"back\\\001"));
	put(&h, json_pack("{s:s, s:s}", "opt", "stat", "filename_hex", "fffe0a"));
	auto_json json_t *stat = get(&h);

	assert_text(stat, "name_hex", "fffe0a");
	put(&h, json_pack("{s:s, s:s}", "opt", "list", "filename", "/file"));
	expect_code(&h, "not_a_directory");
	put(&h, json_pack("{s:s, s:s}", "opt", "list", "filename", "/none"));
	expect_code(&h, "not_found");
	put(&h, json_pack("{s:s, s:s}", "opt", "list", "filename", "/link"));
	expect_code(&h, "link_refused");
	host_end(&h);
}

static void
an_unreadable_directory_is_told(void **state)
{
	struct host h;

	(void)state;
	make_dir("open");
	make_file("open/x", "", 0);
	make_dir("closed");
	make_file("closed/x", "", 0);
	assert_int_equal(fchmodat(root, "closed", 0, 0), 0);
	host_start(&h, 0, "", "");
	auto_json json_t *entries = list(&h, "/", true);

	assert_int_equal(json_array_size(entries), 3);
	assert_text(find(entries, "closed"), "code", "permission");
	assert_text(find(entries, "closed"), "type", "dir");
	assert_non_null(find(entries, "open/x"));
	put(&h, json_pack("{s:s, s:s}", "opt", "list", "filename", "/closed"));
	expect_code(&h, "permission");
	host_end(&h);
	assert_int_equal(fchmodat(root, "closed", 0755, 0), 0);
}

static size_t
resident_kib(pid_t pid)
{
	char path[64], line[128];
	size_t kib = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmHWM: %zu", &kib) == 1)
			break;
	(void)fclose(f);
	return kib;
}

enum { MANY = 200000, LINKS = 50000 };

/* n names that begin so, of few files: making and removing files is slow, and not what is tested.
 */
static void
make_many(const char *prefix, unsigned n)
{
	char name[128], file[128] = "";

	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "%s%06u", prefix, i);
		if (i % LINKS == 0) {
			make_file(name, "", 0);
			(void)snprintf(file, sizeof(file), "%s", name);
		} else {
			assert_int_equal(linkat(root, file, root, name, 0), 0);
		}
	}
}

static void
mark(uint8_t *seen, const json_t *entries)
{
	json_t *entry;
	unsigned n;
	size_t i;

	json_array_foreach (entries, i, entry) {
		assert_int_equal(
		    sscanf(json_string_value(json_object_get(entry, "name")), "report-%u", &n), 1);
		assert_true(n < MANY);
		seen[n]++;
	}
}

static void
assert_each_once(const uint8_t *seen)
{
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(seen[i], 1);
}

/* What the list may add to the session's memory. A sanitizer keeps what was freed. */
#ifdef WITH_SANITIZERS
enum { MANY_KIB = 256 << 10 };
#else
enum { MANY_KIB = 4 << 10 };
#endif

static void
many_names_come_whole_in_little_memory(void **state)
{
	auto_free uint8_t *seen = calloc(1, MANY);
	struct host h;
	size_t before;
	bool more;

	(void)state;
	make_dir("many");
	make_many("many/report-", MANY);
	host_start(&h, 0, "", "");
	expect_ping(&h);
	before = resident_kib(h.pid);
	put(&h, json_pack("{s:s, s:s}", "opt", "list", "filename", "/many"));
	do {
		auto_json json_t *frame = get(&h);

		mark(seen, json_object_get(frame, "entries"));
		more = has_more(frame);
	} while (more);
	assert_each_once(seen);
	assert_true(resident_kib(h.pid) < before + MANY_KIB);

	/* the same by pages */
	auto_free char *after = NULL;
	unsigned requests = 0;

	memset(seen, 0, MANY);
	do {
		auto_json json_t *last = NULL;
		json_t *rq = json_pack("{s:s, s:s, s:i, s:s*}", "opt", "list", "filename", "/many",
				       "limit", 33333, "after", after);

		put(&h, rq);
		auto_json json_t *entries = get_entries(&h, &last);

		assert_true(json_array_size(entries) <= 33333);
		mark(seen, entries);
		free(after);
		after = json_string_value(json_object_get(last, "after")) != NULL
			    ? strdup(json_string_value(json_object_get(last, "after")))
			    : NULL;
		requests++;
	} while (after != NULL);
	assert_each_once(seen);
	assert_int_equal(requests, MANY / 33333 + 1);
	host_end(&h);
}

static void
a_limit_that_is_just_enough_cuts_nothing(void **state)
{
	struct host h;

	(void)state;
	make_file("a", "", 0);
	make_file("b", "", 0);
	host_start(&h, 0, "", "");
	for (int limit = 1; limit <= 3; limit++) {
		auto_json json_t *last = NULL;

		put(&h,
		    json_pack("{s:s, s:s, s:i}", "opt", "list", "filename", "/", "limit", limit));
		auto_json json_t *entries = get_entries(&h, &last);

		assert_int_equal(json_array_size(entries), limit < 2 ? limit : 2);
		assert_int_equal(json_object_get(last, "after") != NULL, limit < 2);
	}
	put(&h, json_pack("{s:s, s:s, s:i}", "opt", "list", "filename", "/", "limit", 0));
	expect_code(&h, "bad_request");
	put(&h, json_pack("{s:s, s:s, s:s}", "opt", "list", "filename", "/", "after", "zz"));
	expect_code(&h, "bad_request");
	host_end(&h);
}

/* As deep as a path can be. */
enum { DEEP = 2040 };

static void
make_deep(void)
{
	int fd = dup(root), next;

	for (unsigned i = 0; i < DEEP; i++) {
		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close_fd(&fd);
		fd = next;
	}
	close_fd(&fd);
}

static void
the_deepest_tree_is_listed_in_pages_and_removed(void **state)
{
	struct rlimit limit = { .rlim_cur = 4096, .rlim_max = 4096 };
	auto_free char *after = NULL;
	size_t seen = 0;
	struct host h;

	(void)state;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		skip();
	make_deep();
	host_start(&h, 0, "durability = \"none\";", "");
	do {
		auto_json json_t *last = NULL;

		put(&h, json_pack("{s:s, s:s, s:i, s:b, s:s*}", "opt", "list", "filename", "/",
				  "limit", 300, "recursive", 1, "after", after));
		auto_json json_t *page = get_entries(&h, &last);

		seen += json_array_size(page);
		assert_int_equal(json_array_size(page), seen < DEEP ? 300 : DEEP % 300);
		free(after);
		after = json_object_get(last, "after") != NULL
			    ? strdup(json_string_value(json_object_get(last, "after")))
			    : NULL;
	} while (after != NULL);
	assert_int_equal(seen, DEEP);
	put(&h, json_pack("{s:s, s:s, s:b}", "opt", "remove", "filename", "/d", "recursive", 1));
	expect_status(&h, "ok");
	assert_missing("d");
	host_end(&h);
}

static void
a_long_list_can_be_cancelled(void **state)
{
	struct host h;
	json_t *frame;
	bool more;

	(void)state;
	make_dir("d");
	make_many("d/a-name-of-some-length-to-fill-the-buffers-", 20000);
	host_start(&h, HOST_SMALL_BUFFERS, "", "");
	put(&h, json_pack("{s:s, s:s, s:s}", "opt", "list", "filename", "/d", "id", "l"));
	put(&h, json_pack("{s:s, s:s}", "opt", "cancel", "id", "c"));
	do {
		frame = get(&h);
		more = has_more(frame);
		if (!more) {
			assert_text(frame, "code", "cancelled");
			assert_text(frame, "id", "l");
		}
		json_decref(frame);
	} while (more);
	frame = get(&h);
	assert_text(frame, "id", "c");
	json_decref(frame);
	expect_ping(&h);
	host_end(&h);
}

/* ---- shares within shares */

/* "/" is the scratch directory; "/a/b" a share that is nowhere beneath it, "/drop" one that may not
 * be listed, "/hidden" one that is not there for this subject; the last two lie in the scratch
 * directory. */
static void
start_mounted(struct host *h, const char *elsewhere)
{
	auto_free char *shares = NULL;
	const char *here = scratch_path();

	assert_true(
	    asprintf(
		&shares,
		"rights = \"full\"; }, "
		"{ path = \"/a/b\"; root = \"%s\"; anonymous = \"anywhere\"; rights = \"full\"; }, "
		"{ path = \"/drop\"; root = \"%s/drop\"; anonymous = \"anywhere\"; rights = "
		"\"dropbox\"; }, "
		"{ path = \"/hidden\"; root = \"%s/hidden\"; anonymous = \"never\"; ",
		elsewhere, here, here) > 0);
	host_start(h, 0, shares, "");
}

static void
make_mounted(char *elsewhere)
{
	char name[64];

	make_dir("drop");
	make_file("drop/secret", "1", 1);
	make_dir("hidden");
	make_file("hidden/secret", "1", 1);
	make_dir("real");
	make_file("real/x", "1", 1);
	assert_non_null(mkdtemp(elsewhere));
	(void)snprintf(name, sizeof(name), "%s/inner", elsewhere);
	assert_int_equal(mkdir(name, 0755), 0);
}

static void
remove_elsewhere(const char *elsewhere)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "%s/inner", elsewhere);
	assert_int_equal(rmdir(name), 0);
	assert_int_equal(rmdir(elsewhere), 0);
}

static void
shares_are_listed_where_they_are_mounted(void **state)
{
	char elsewhere[] = "/tmp/ftd-else.XXXXXX";
	struct host h;

	(void)state;
	make_mounted(elsewhere);
	start_mounted(&h, elsewhere);
	auto_json json_t *top = list(&h, "/", false);

	assert_int_equal(json_array_size(top), 3);
	assert_text(find(top, "a"), "type", "dir");
	assert_text(find(top, "drop"), "type", "dir");
	assert_null(json_object_get(find(top, "drop"), "code"));
	assert_non_null(find(top, "real"));
	auto_json json_t *middle = list(&h, "/a", false);

	assert_int_equal(json_array_size(middle), 1);
	assert_non_null(find(middle, "b"));
	auto_json json_t *all = list(&h, "/", true);

	assert_int_equal(json_array_size(all), 6);
	assert_text(find(all, "drop"), "code", "permission");
	assert_true(index_of(all, "a") < index_of(all, "a/b"));
	assert_true(index_of(all, "a/b") < index_of(all, "a/b/inner"));
	assert_non_null(find(all, "real/x"));
	put(&h, json_pack("{s:s, s:s}", "opt", "list", "filename", "/drop"));
	expect_code(&h, "permission");
	put(&h, json_pack("{s:s, s:s}", "opt", "list", "filename", "/hidden"));
	expect_code(&h, "not_found");
	put(&h, json_pack("{s:s, s:s}", "opt", "stat", "filename", "/a"));
	auto_json json_t *stat = get(&h);

	assert_text(stat, "type", "dir");
	assert_text(stat, "name", "a");
	host_end(&h);
	remove_elsewhere(elsewhere);
}

static void
pages_go_on_from_share_to_share(void **state)
{
	char elsewhere[] = "/tmp/ftd-else.XXXXXX";
	auto_json json_t *all = json_array();
	auto_free char *after = NULL;
	struct host h;

	(void)state;
	make_mounted(elsewhere);
	start_mounted(&h, elsewhere);
	do {
		auto_json json_t *last = NULL;

		put(&h, json_pack("{s:s, s:s, s:i, s:b, s:s*}", "opt", "list", "filename", "/",
				  "limit", 1, "recursive", 1, "after", after));
		auto_json json_t *page = get_entries(&h, &last);

		assert_int_equal(json_array_size(page), 1);
		(void)json_array_extend(all, page);
		free(after);
		after = json_object_get(last, "after") != NULL
			    ? strdup(json_string_value(json_object_get(last, "after")))
			    : NULL;
	} while (after != NULL);
	assert_int_equal(json_array_size(all), 6);
	assert_non_null(find(all, "a/b/inner"));
	assert_non_null(find(all, "real/x"));
	host_end(&h);
	remove_elsewhere(elsewhere);
}

static void
a_cursor_does_not_lead_into_another_share(void **state)
{
	/* three directories of shares shown, the start's own tree, and in it "drop", "hidden" */
	static const char *const cursors[] = {
		"03000000"
		"000000000000000000"
		"0464726f70"
		"0000000000000000",
		"03000000"
		"000000000000000000"
		"0668696464656e"
		"0000000000000000",
		"ffffffff",
		"03000900",
		"00000100",
		"0300",
		"",
	};
	char elsewhere[] = "/tmp/ftd-else.XXXXXX";
	struct host h;

	(void)state;
	make_mounted(elsewhere);
	start_mounted(&h, elsewhere);
	for (size_t i = 0; i < ARRAY_SIZE(cursors); i++) {
		put(&h, json_pack("{s:s, s:s, s:b, s:s}", "opt", "list", "filename", "/",
				  "recursive", 1, "after", cursors[i]));
		expect_code(&h, "bad_request");
	}
	host_end(&h);
	remove_elsewhere(elsewhere);
}

/* ---- trees */

struct tree_got {
	json_t *names;   /* name (or its hex) → its frame */
	unsigned errors; /* of single files */
	json_t *last;
};

static void
get_tree(struct host *h, struct tree_got *t)
{
	json_t *frame = NULL;

	*t = (struct tree_got){ .names = json_object() };
	for (;;) {
		struct got g = { 0 };
		const char *name;

		frame = get(h);
		if (!has_more(frame))
			break;
		name = json_string_value(json_object_get(frame, "name"));
		if (name == NULL)
			name = json_string_value(json_object_get(frame, "name_hex"));
		get_body(h, frame, &g, true);
		if (g.len > 0 && name != NULL)
			(void)json_object_set_new(frame, "first_byte", json_integer(g.bytes[0]));
		t->errors += json_object_get(frame, "code") != NULL;
		if (name != NULL)
			(void)json_object_set(t->names, name, frame);
		json_decref(frame);
		got_done(&g);
	}
	t->last = frame;
}

static void
tree_done(struct tree_got *t)
{
	json_decref(t->names);
	json_decref(t->last);
}

static void
a_tree_comes_in_one_answer(void **state)
{
	auto_free uint8_t *body = random_bytes(300000);
	struct host h;
	struct tree_got t;

	(void)state;
	make_dir("t");
	make_dir("t/sub");
	make_dir("t/empty");
	make_dir("t/closed");
	make_file("t/sub/large", body, 300000);
	make_file("t/sub/small", "small", 5);
	make_file("t/nothing", "", 0);
	make_file("t/secret", "1", 1);
	make_file("t/\xff", "f", 1);
	assert_int_equal(fchmodat(root, "t/closed", 0, 0), 0);
	assert_int_equal(fchmodat(root, "t/secret", 0, 0), 0);
	assert_int_equal(mkfifoat(root, "t/fifo", 0600), 0);
	assert_int_equal(symlinkat("..", root, "t/loop"), 0);
	host_start(&h, HOST_SANDBOX, "", "");
	put(&h, json_pack("{s:s, s:s}", "opt", "download-tree", "filename", "/t"));
	get_tree(&h, &t);
	assert_text(t.last, "status", "ok");
	assert_int_equal(number(t.last, "entries"), 10);
	assert_int_equal(number(t.last, "bytes"), 300006);
	assert_int_equal(number(t.last, "errors"), 2);
	assert_int_equal(t.errors, 2);
	assert_int_equal(json_object_size(t.names), 10);
	assert_text(json_object_get(t.names, "closed"), "code", "permission");
	assert_text(json_object_get(t.names, "secret"), "code", "permission");
	assert_text(json_object_get(t.names, "loop"), "type", "link");
	assert_text(json_object_get(t.names, "fifo"), "type", "other");
	assert_text(json_object_get(t.names, "empty"), "type", "dir");
	assert_int_equal(number(json_object_get(t.names, "sub/large"), "first_byte"), body[0]);
	assert_int_equal(number(json_object_get(t.names, "sub/small"), "first_byte"), 's');
	assert_int_equal(number(json_object_get(t.names, "ff"), "first_byte"), 'f');
	tree_done(&t);
	put(&h, json_pack("{s:s, s:s}", "opt", "download-tree", "filename", "/t/nothing"));
	expect_code(&h, "not_a_directory");
	assert_int_equal(h.report->downloads, 1); /* one for the whole tree */
	host_end(&h);
	assert_int_equal(fchmodat(root, "t/closed", 0755, 0), 0);
}

static void
a_tree_has_the_shares_that_may_be_read(void **state)
{
	char elsewhere[] = "/tmp/ftd-else.XXXXXX";
	struct host h;
	struct tree_got t;

	(void)state;
	make_mounted(elsewhere);
	start_mounted(&h, elsewhere);
	put(&h, json_pack("{s:s, s:s}", "opt", "download-tree", "filename", "/"));
	get_tree(&h, &t);
	assert_int_equal(json_object_size(t.names), 6);
	assert_int_equal(t.errors, 1);
	assert_text(json_object_get(t.names, "drop"), "code", "permission");
	assert_text(json_object_get(t.names, "a/b/inner"), "type", "dir");
	tree_done(&t);
	host_end(&h);
	remove_elsewhere(elsewhere);
}

static void
a_tree_can_be_cancelled_and_goes_wrong_file_by_file(void **state)
{
	struct host h;
	struct tree_got t;
	struct got g;

	(void)state;
	make_dir("t");
	host_start(&h, HOST_SMALL_BUFFERS, "", "");
	make_sparse("t/f", 64 << 20);
	put(&h, json_pack("{s:s, s:s}", "opt", "download-tree", "filename", "/t"));
	json_t *first = get(&h);

	cut("t/f", 5);
	get_body(&h, first, (g = (struct got){ 0 }, &g), false);
	json_decref(first);
	get_tree(&h, &t);
	assert_int_equal(t.errors, 1);
	assert_int_equal(number(t.last, "errors"), 1);
	assert_int_equal(number(t.last, "entries"), 1);
	assert_int_equal(number(t.last, "bytes"), 0);
	tree_done(&t);

	make_sparse("t/f", 64 << 20);
	put(&h, json_pack("{s:s, s:s}", "opt", "download-tree", "filename", "/t"));
	first = get(&h);
	put(&h, json_pack("{s:s}", "opt", "cancel"));
	assert_int_equal(wire_flush(&h.wire), 0);
	get_rest(&h, first, &g, false);
	assert_text(g.last, "code", "cancelled");
	got_done(&g);
	expect_status(&h, "ok");
	expect_ping(&h);
	host_end(&h);
}

/* ---- digests */

static void
digests_are_made_here(void **state)
{
	const size_t size = (3 << 16) + 77;
	auto_free uint8_t *body = random_bytes(size);
	char text[DIGEST_TEXT_MAX];
	uint8_t block[16];
	struct host h;
	struct got g;

	(void)state;
	make_file("f", body, size);
	make_file("empty", "", 0);
	host_start(&h, HOST_SANDBOX | HOST_HELLO, "", "");
	put(&h, json_pack("{s:s, s:s, s:s}", "opt", "digest", "filename", "f", "digest", "sha256"));
	get_whole(&h, &g);
	assert_text(g.last, "digest", digest_of(DIGEST_SHA256, body, size, text));
	got_done(&g);
	put(&h, json_pack("{s:s, s:s, s:i, s:i}", "opt", "digest", "filename", "f", "offset", 5,
			  "length", 1000));
	get_whole(&h, &g);
	assert_text(g.last, "digest", digest_of(DIGEST_XXH3, body + 5, 1000, text));
	got_done(&g);
	put(&h, json_pack("{s:s, s:s, s:i}", "opt", "digest", "filename", "f", "block", 65536));
	get_whole(&h, &g);
	assert_int_equal(g.len, 4 * 16);
	for (size_t i = 0; i < 4; i++) {
		digest_block(body + (i << 16), i < 3 ? 1 << 16 : 77, block);
		assert_memory_equal(g.bytes + 16 * i, block, 16);
	}
	assert_int_equal(number(g.last, "block"), 65536);
	assert_text(g.last, "digest", digest_of(DIGEST_XXH3, g.bytes, g.len, text));
	got_done(&g);
	put(&h, json_pack("{s:s, s:s, s:i, s:i, s:s}", "opt", "digest", "filename", "f", "block",
			  65536, "offset", 131072, "digest", "sha256"));
	get_whole(&h, &g);
	assert_int_equal(g.len, 2 * 32);
	got_done(&g);
	put(&h, json_pack("{s:s, s:s, s:i}", "opt", "digest", "filename", "empty", "block", 65536));
	get_whole(&h, &g);
	assert_int_equal(g.len, 0);
	got_done(&g);
	for (int i = 0; i < 3; i++) {
		put(&h, json_pack("{s:s, s:s, s:i}", "opt", "digest", "filename", "f", "block",
				  (int[]){ 65537, 32768, 128 << 20 }[i]));
		expect_code(&h, "bad_request");
	}
	put(&h, json_pack("{s:s, s:s, s:i}", "opt", "digest", "filename", "f", "offset",
			  (int)size + 1));
	expect_code(&h, "size_mismatch");
	put(&h, json_pack("{s:s, s:s}", "opt", "digest", "filename", "/"));
	expect_code(&h, "not_a_file");
	assert_int_equal(h.report->bytes_out, 0);
	host_end(&h);
}

/* ---- who may not list */

static void
without_the_right_to_list_nothing_is_told(void **state)
{
	static const char *const names[] = { "/f", "/none", "/d", "/d/none", "/link", "/f/x" };
	static const char *const opts[] = { "stat", "list", "download-tree", "download", "digest" };
	struct host h;
	struct got g;

	(void)state;
	make_file("f", "abc", 3);
	make_dir("d");
	assert_int_equal(symlinkat("f", root, "link"), 0);
	host_start(&h, 0, "rights = \"read\";", "");
	put_download(&h, "/f"); /* who knows the name may have it */
	get_whole(&h, &g);
	assert_int_equal(g.len, 3);
	got_done(&g);
	for (size_t i = 0; i < ARRAY_SIZE(opts); i++)
		for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
			if (i >= 3 && j == 0)
				continue;
			put(&h, json_pack("{s:s, s:s}", "opt", opts[i], "filename", names[j]));
			expect_code(&h, "permission");
		}
	put(&h,
	    json_pack("{s:s, s:s, s:s}", "opt", "download", "filename", "/f", "if_match", "1-2"));
	auto_json json_t *frame = get(&h);

	assert_text(frame, "code", "changed");
	assert_null(json_object_get(frame, "current"));
	host_end(&h);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, talk_make_root, talk_remove_root)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(files_of_every_size_come_whole),
		CASE(a_part_comes_with_its_own_digest),
		CASE(if_match_tells_what_is_there_now),
		CASE(only_files_are_opened),
		CASE(links_inside_may_be_followed_where_allowed),
		CASE(holes_are_told_to_those_who_ask),
		CASE(a_file_that_shrinks_ends_as_changed),
		CASE(a_file_that_is_written_meanwhile_ends_as_changed),
		CASE(the_client_cancels),
		CASE(a_cancel_behind_another_request_is_harmless),
		CASE(the_administrator_cancels),
		CASE(a_kicked_client_hears_why),
		CASE(a_list_has_every_kind_of_name),
		CASE(an_unreadable_directory_is_told),
		CASE(many_names_come_whole_in_little_memory),
		CASE(a_limit_that_is_just_enough_cuts_nothing),
		CASE(the_deepest_tree_is_listed_in_pages_and_removed),
		CASE(a_long_list_can_be_cancelled),
		CASE(shares_are_listed_where_they_are_mounted),
		CASE(pages_go_on_from_share_to_share),
		CASE(a_cursor_does_not_lead_into_another_share),
		CASE(a_tree_comes_in_one_answer),
		CASE(a_tree_has_the_shares_that_may_be_read),
		CASE(a_tree_can_be_cancelled_and_goes_wrong_file_by_file),
		CASE(digests_are_made_here),
		CASE(without_the_right_to_list_nothing_is_told),
	};

	return cmocka_run_group_tests(tests, nobody_become, NULL);
}
