/* The PROXY header, version 2: a row for each thing that may stand in it. */
#include "daemon/gate/proxy_header.h"

#include <string.h>

#include "lib/err.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\0\2\1\xc6\x33\x64\2\x30\x39\x1f\x41" /* 192.0.2.1:12345 to 198.51.100.2:8001 */
#define V6                                                                                         \
	"\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x30\x39\x1f" \
	"\x41"
#define MAPPED                                                                                     \
	"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\2\x30\x39" \
	"\x1f\x41"

enum { BAD = -FTD_E_bad_frame };

struct row {
	const char *name;
	const char *bytes; /* behind the signature: as many as there are, the rest zeros */
	size_t n;
	int length;       /* of proxy_header_length() */
	int read;         /* of proxy_header_read() */
	const char *peer; /* NULL: nobody is named */
};
#define BYTES(text) text, sizeof(text) - 1

static const struct row rows[] = {
	{ "ipv4", BYTES("\x21\x11\0\x0c" V4), 28, 0, "192.0.2.1:12345" },
	{ "ipv6", BYTES("\x21\x21\0\x24" V6), 52, 0, "[2001:db8::1]:12345" },
	{ "a mapped address is what it maps", BYTES("\x21\x21\0\x24" MAPPED), 52, 0,
	  "192.0.2.1:12345" },
	{ "with more behind", BYTES("\x21\x11\0\x10" V4 "\4\0\1\0"), 32, 0, "192.0.2.1:12345" },
	{ "the longest", BYTES("\x21\x11\x0f\xf0" V4), 4096, 0, "192.0.2.1:12345" },
	{ "longer", BYTES("\x21\x11\x0f\xf1" V4), BAD, 0, NULL },
	{ "longest of all", BYTES("\x21\x11\xff\xff" V4), BAD, 0, NULL },
	{ "local", BYTES("\x20\0\0\0"), 16, 0, NULL },
	{ "local, whatever stands there", BYTES("\x20\x11\0\x0c" V4), 28, 0, NULL },
	{ "local, an unknown family", BYTES("\x20\xff\0\2"), 18, 0, NULL },
	{ "nothing is known", BYTES("\x21\0\0\0"), 16, 0, NULL },
	{ "nothing is known, with more", BYTES("\x21\0\0\x0c" V4), 28, 0, NULL },
	{ "a path", BYTES("\x21\x31\0\xd8/run/x"), 232, 0, NULL },
	{ "a path that is cut", BYTES("\x21\x31\0\xd7/run/x"), 231, BAD, NULL },
	{ "ipv4 that is cut", BYTES("\x21\x11\0\x0b" V4), 27, BAD, NULL },
	{ "ipv4 without a block", BYTES("\x21\x11\0\0"), 16, BAD, NULL },
	{ "ipv6 that is cut", BYTES("\x21\x21\0\x23" V6), 51, BAD, NULL },
	{ "datagrams", BYTES("\x21\x12\0\x0c" V4), 28, BAD, NULL },
	{ "datagrams, ipv6", BYTES("\x21\x22\0\x24" V6), 52, BAD, NULL },
	{ "a family without a transport", BYTES("\x21\x10\0\x0c" V4), 28, BAD, NULL },
	{ "a transport without a family", BYTES("\x21\1\0\x0c" V4), 28, BAD, NULL },
	{ "an unknown transport", BYTES("\x21\x13\0\x0c" V4), 28, BAD, NULL },
	{ "an unknown family", BYTES("\x21\x41\0\x0c" V4), 28, BAD, NULL },
	{ "the last family", BYTES("\x21\xf1\0\x0c" V4), 28, BAD, NULL },
	{ "an unknown command", BYTES("\x22\x11\0\x0c" V4), 28, BAD, NULL },
	{ "the last command", BYTES("\x2f\x11\0\x0c" V4), 28, BAD, NULL },
	{ "version 1", BYTES("\x11\x11\0\x0c" V4), BAD, 0, NULL },
	{ "version 3", BYTES("\x31\x11\0\x0c" V4), BAD, 0, NULL },
	{ "version 0", BYTES("\1\x11\0\x0c" V4), BAD, 0, NULL },
};

static void
every_row(void **state)
{
	uint8_t bytes[PROXY_HEADER_LOOK];
	char text[ADDR_TEXT_MAX];
	const struct row *row;
	union addr peer;

	(void)state;
	for (row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		print_message("%s\n", row->name);
		memset(bytes, 0, sizeof(bytes));
		memcpy(bytes, SIGNATURE, sizeof(SIGNATURE) - 1);
		memcpy(bytes + sizeof(SIGNATURE) - 1, row->bytes, row->n);
		assert_int_equal(proxy_header_length(bytes), row->length);
		if (row->length < 0)
			continue;
		memset(&peer, 0xa5, sizeof(peer));
		assert_int_equal(proxy_header_read(bytes, &peer), row->read);
		if (row->read < 0)
			continue;
		assert_int_equal(peer.sa.sa_family == AF_UNSPEC, row->peer == NULL);
		if (row->peer != NULL)
			assert_string_equal(addr_format(&peer, text), row->peer);
	}
}

static void
another_signature_is_none(void **state)
{
	uint8_t bytes[PROXY_HEADER_FIXED] = SIGNATURE "\x20\0\0";

	(void)state;
	assert_int_equal(proxy_header_length(bytes), PROXY_HEADER_FIXED);
	for (size_t i = 0; i < sizeof(SIGNATURE) - 1; i++) {
		bytes[i] ^= 0x20;
		assert_int_equal(proxy_header_length(bytes), BAD);
		bytes[i] ^= 0x20;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row),
		cmocka_unit_test(another_signature_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
