/* Where frames, and the headers of the oldest clients, begin and end. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "lib/err.h"
#include "lib/frame.h"

static void
check_first(const uint8_t *data)
{
	enum frame_first first = frame_first(data);
	int n = frame_length(data);

	must(n == -FTD_E_bad_frame || (n >= 1 && n <= FRAME_HEADER_MAX));
	must((first == FRAME_FIRST_FRAME) == (n > 0));
	must(first != FRAME_FIRST_BARE || data[0] == '{');
	must(first != FRAME_FIRST_TLS || data[0] == 0x16);
	must(first != FRAME_FIRST_PROXY || data[0] == '\r');
}

static void
check_frames(const uint8_t *data, size_t size)
{
	uint8_t prefix[FRAME_PREFIX];
	const char *header;
	size_t len, used;
	int r;

	for (;; data += used, size -= used) {
		r = frame_next(data, size, &header, &len, &used);
		if (r != 1)
			break;
		must(used <= size && used == FRAME_PREFIX + len);
		must(header == (const char *)data + FRAME_PREFIX);
		must(frame_next(data, used - 1, &header, &len, &used) == 0);
		frame_prefix(prefix, len);
		must(memcmp(prefix, data, FRAME_PREFIX) == 0);
	}
	must(r == 0 || (r == -FTD_E_bad_frame && size >= FRAME_PREFIX));
}

static void
check_bare(const uint8_t *data, size_t size)
{
	int n = frame_bare_next(data, size);

	if (n > 0) {
		must((size_t)n <= size && n <= FRAME_HEADER_MAX);
		must(data[0] == '{' && data[n - 1] == '}');
		must(frame_bare_next(data, (size_t)n) == n);
		must(frame_bare_next(data, (size_t)n - 1) == 0);
	} else if (n == 0) {
		must(size < FRAME_HEADER_MAX);
	} else {
		must(n == -FTD_E_bad_frame && (data[0] != '{' || size >= FRAME_HEADER_MAX));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= FRAME_PREFIX)
		check_first(data);
	check_frames(data, size);
	check_bare(data, size);
	return 0;
}
