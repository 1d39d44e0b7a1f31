#include "lib/frame.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "lib/err.h"

static uint32_t
little_endian(const uint8_t b[FRAME_PREFIX])
{
	return (uint32_t)b[3] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[1] << 8 | b[0];
}

enum frame_first
frame_first(const uint8_t first[FRAME_PREFIX])
{
	static const uint8_t proxy[FRAME_PREFIX] = { 0x0d, 0x0a, 0x0d, 0x0a };

	if (frame_length(first) > 0)
		return FRAME_FIRST_FRAME;
	if (first[0] == 0x16 && first[1] == 0x03)
		return FRAME_FIRST_TLS;
	if (memcmp(first, proxy, sizeof(proxy)) == 0)
		return FRAME_FIRST_PROXY;
	if (first[0] == '{')
		return FRAME_FIRST_BARE;
	return FRAME_FIRST_BAD;
}

int
frame_length(const uint8_t prefix[FRAME_PREFIX])
{
	uint32_t n = little_endian(prefix);

	return n >= 1 && n <= FRAME_HEADER_MAX ? (int)n : -FTD_E_bad_frame;
}

int
frame_next(const uint8_t *buf, size_t len, const char **ret, size_t *ret_len, size_t *ret_used)
{
	int n;

	if (len < FRAME_PREFIX)
		return 0;
	n = frame_length(buf);
	if (n < 0)
		return n;
	if (len - FRAME_PREFIX < (size_t)n)
		return 0;
	*ret = (const char *)buf + FRAME_PREFIX;
	*ret_len = (size_t)n;
	*ret_used = FRAME_PREFIX + (size_t)n;
	return 1;
}

void
frame_prefix(uint8_t prefix[FRAME_PREFIX], size_t len)
{
	assert(len >= 1 && len <= FRAME_HEADER_MAX);
	prefix[0] = (uint8_t)len;
	prefix[1] = (uint8_t)(len >> 8);
	prefix[2] = (uint8_t)(len >> 16);
	prefix[3] = 0;
}

int
frame_bare_next(const uint8_t *buf, size_t len)
{
	size_t end = len < FRAME_HEADER_MAX ? len : FRAME_HEADER_MAX;
	unsigned depth = 0;
	bool quoted = false;

	if (len == 0)
		return 0;
	if (buf[0] != '{')
		return -FTD_E_bad_frame;
	for (size_t i = 0; i < end; i++) {
		uint8_t c = buf[i];

		if (c == '"')
			quoted = !quoted;
		else if (quoted && c == '\\')
			i++; /* whatever follows, it does not end the string */
		else if (!quoted && c == '{')
			depth++;
		else if (!quoted && c == '}' && --depth == 0)
			return (int)(i + 1);
	}
	return len < FRAME_HEADER_MAX ? 0 : -FTD_E_bad_frame;
}
