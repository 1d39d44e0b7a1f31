/* A gate behind a trusted proxy: whom it names to the supervisor, and what comes of it. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/common/role.h"
#include "daemon/common/sandbox.h"
#include "lib/io.h"
#include "lib/own.h"
#include "tests/role/gate_talk.h"
#include "tests/unit/unit.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define HEADER SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\x30\x39\x1f\x41"
#define LIST "\x0e\0\0\0{\"opt\":\"list\"}"

/* The connection comes from there. */
static void
gate_start_behind(struct peer *p, const char *proxy)
{
	gate_start_with(p, &(struct gate_start){ .flags = BIRTH_PROXY, .from = proxy });
}

/* Whom the gate names, before it asks for anything else; text: ADDR_TEXT_MAX. */
static const char *
named(const struct peer *p, char *text)
{
	struct pollfd pfd = { .fd = p->privilege, .events = POLLIN };
	struct packet_peer q;

	assert_int_equal(poll(&pfd, 1, GATE_PATIENCE_MS), 1);
	assert_int_equal(io_recv_packet(p->privilege, &q, sizeof(q), NULL, 0, NULL, 0), sizeof(q));
	assert_int_equal(q.head.type, GATE_PEER);
	return q.peer.sa.sa_family == AF_UNSPEC ? "nobody" : addr_format(&q.peer, text);
}

static void
a_trusted_proxy_names_its_client(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *peer;
	} cases[] = {
		{ HEADER LIST, sizeof(HEADER LIST) - 1, "192.0.2.1:12345" },
		{ SIGNATURE "\x20\0\0\0" LIST, sizeof(SIGNATURE "\x20\0\0\0" LIST) - 1, "nobody" },
		{ LIST, sizeof(LIST) - 1, "nobody" }, /* no header at all */
	};
	char text[ADDR_TEXT_MAX];
	struct packet_gate q;
	struct peer p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		gate_start_behind(&p, "198.51.100.7");
		send_bytes(&p, cases[i].bytes, cases[i].n);
		assert_string_equal(named(&p, text), cases[i].peer);
		say_verdict(&p, "");
		assert_int_equal(asked(&p, &q), 0);
		assert_int_equal(q.type, GATE_ANONYMOUS);
		say_verdict(&p, "");
		(void)usleep(50000);
		expect_left_over(&p, LIST, sizeof(LIST) - 1); /* and nothing of the header */
		assert_int_equal(gate_end(&p), ROLE_EXIT_OK);
	}
}

/* It comes in single bytes, with more behind the address than is looked at. */
static void
a_header_in_pieces_with_much_behind_it(void **state)
{
	static const char sent[] = SIGNATURE "\x21\x11\x03\xe8\xc0\0\2\1\xc6\x33\x64\2\x30\x39"
					     "\x1f\x41";
	char text[ADDR_TEXT_MAX], rest[1000 - 12] = "";
	struct packet_gate q;
	struct peer p;

	(void)state;
	gate_start_behind(&p, "198.51.100.7");
	for (size_t i = 0; i < sizeof(sent) - 1; i++) {
		send_bytes(&p, sent + i, 1);
		(void)usleep(2000);
	}
	send_bytes(&p, rest, sizeof(rest));
	assert_string_equal(named(&p, text), "192.0.2.1:12345");
	say_verdict(&p, "");
	send_bytes(&p, LIST, sizeof(LIST) - 1);
	assert_int_equal(asked(&p, &q), 0);
	assert_int_equal(gate_end(&p), ROLE_EXIT_OK);
}

static void
whoever_is_not_wanted_hears_it_before_anything_else(void **state)
{
	char text[ADDR_TEXT_MAX];
	struct peer p;

	(void)state;
	gate_start_behind(&p, "198.51.100.7");
	send_bytes(&p, HEADER, sizeof(HEADER) - 1);
	(void)named(&p, text);
	say_verdict(&p, "address_refused");
	expect_refusal(&p, "address_refused");
	assert_int_equal(gate_end(&p), ROLE_EXIT_OK);
}

/* What counts for plain text is the client's address, not the proxy's. */
static void
plain_text_is_the_clients_question(void **state)
{
	char text[ADDR_TEXT_MAX];
	struct packet_gate q;
	struct peer p;

	(void)state;
	config.plaintext = CONFIG_LOOPBACK;
	gate_start_behind(&p, "127.0.0.1");
	send_bytes(&p, HEADER, sizeof(HEADER) - 1);
	send_frame(&p, "{\"opt\":\"hello\"}");
	(void)named(&p, text);
	say_verdict(&p, "");
	assert_int_equal(asked(&p, &q), 0); /* for the supervisor's no */
	say_verdict(&p, "tls_required");
	expect_refusal(&p, "tls_required");
	assert_int_equal(gate_end(&p), ROLE_EXIT_OK);
	config.plaintext = CONFIG_ANYWHERE;
}

static void
headers_that_are_none(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} cases[] = {
		{ "\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c", 16 },
		{ SIGNATURE "\x11\x11\0\x0c", 16 },
		{ SIGNATURE "\x21\x11\xff\xff", 16 },
		{ SIGNATURE "\x21\x11\0\1\xc0", 17 },
	};
	char text[ADDR_TEXT_MAX];
	struct peer p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		gate_start_behind(&p, "198.51.100.7");
		send_bytes(&p, cases[i].bytes, cases[i].n);
		expect_refusal(&p, "bad_frame");
		assert_int_equal(gate_end(&p), ROLE_EXIT_CLIENT);
	}
	gate_start_behind(&p, "198.51.100.7"); /* a second one is the client's own */
	send_bytes(&p, HEADER HEADER, sizeof(HEADER HEADER) - 1);
	(void)named(&p, text);
	say_verdict(&p, "");
	expect_refusal(&p, "bad_frame");
	assert_int_equal(gate_end(&p), ROLE_EXIT_CLIENT);
}

static void
half_a_header_ends_by_the_deadline(void **state)
{
	struct peer p;

	(void)state;
	gate_start_behind(&p, "198.51.100.7");
	send_bytes(&p, HEADER, 20);
	expect_refusal(&p, "timeout");
	assert_int_equal(gate_end(&p), ROLE_EXIT_LATE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_trusted_proxy_names_its_client),
		cmocka_unit_test(a_header_in_pieces_with_much_behind_it),
		cmocka_unit_test(whoever_is_not_wanted_hears_it_before_anything_else),
		cmocka_unit_test(plain_text_is_the_clients_question),
		cmocka_unit_test(headers_that_are_none),
		cmocka_unit_test(half_a_header_ends_by_the_deadline),
	};

	/* behind the sandbox, as the daemon runs it */
	if (sandbox_compile(SANDBOX_GATEHOUSE) < 0 || sandbox_compile(SANDBOX_GATE) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
