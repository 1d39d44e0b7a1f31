#include "daemon/gate/proxy_header.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "lib/err.h"
#include "lib/own.h"

static const uint8_t signature[] = {
	'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'
};

/* The bytes behind the signature: version and command, family and transport, length. */
enum { AT_COMMAND = sizeof(signature), AT_FAMILY, AT_LENGTH };
enum { COMMAND_VERSION = 2, COMMAND_LOCAL = 0, COMMAND_PROXY = 1 };
enum { TRANSPORT_UNSPEC, TRANSPORT_STREAM };

/* What a family's block begins with: source and destination, then, of internet addresses, both
 * ports. */
static const struct {
	int family;
	uint8_t address, block; /* bytes */
} families[] = {
	{ AF_UNSPEC, 0, 0 },
	{ AF_INET, 4, 12 },
	{ AF_INET6, 16, 36 },
	{ AF_UNSPEC, 108, 216 }, /* a path of AF_UNIX: of a client on the proxy's own machine */
};

static unsigned
number_at(const uint8_t *bytes)
{
	return (unsigned)bytes[0] << 8 | bytes[1];
}

int
proxy_header_length(const uint8_t first[PROXY_HEADER_FIXED])
{
	unsigned whole = PROXY_HEADER_FIXED + number_at(first + AT_LENGTH);

	if (memcmp(first, signature, sizeof(signature)) != 0 ||
	    first[AT_COMMAND] >> 4 != COMMAND_VERSION || whole > PROXY_HEADER_MAX)
		return -FTD_E_bad_frame;
	return (int)whole;
}

/* Whether a family that we know is there whole, of a stream: nothing else is forwarded to us. */
static bool
is_sound(const uint8_t *first)
{
	unsigned family = first[AT_FAMILY] >> 4, transport = first[AT_FAMILY] & 0xf;

	return family < ARRAY_SIZE(families) &&
	       transport == (family == 0 ? TRANSPORT_UNSPEC : TRANSPORT_STREAM) &&
	       number_at(first + AT_LENGTH) >= families[family].block;
}

int
proxy_header_read(const uint8_t *first, union addr *ret)
{
	const union addr nobody = { .sa.sa_family = AF_UNSPEC };
	const uint8_t *block = first + PROXY_HEADER_FIXED;
	unsigned command = first[AT_COMMAND] & 0xf, family = first[AT_FAMILY] >> 4;

	if (command > COMMAND_PROXY || (command == COMMAND_PROXY && !is_sound(first)))
		return -FTD_E_bad_frame;
	/* LOCAL is a check of the proxy's own, whatever address stands there */
	if (command == COMMAND_LOCAL || families[family].family == AF_UNSPEC) {
		*ret = nobody;
		return 0;
	}
	return addr_from_bytes(families[family].family, block,
			       (uint16_t)number_at(block + 2 * families[family].address), ret);
}
