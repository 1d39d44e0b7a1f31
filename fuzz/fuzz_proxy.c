/* A PROXY header: its length is bounded, and whom it names is an internet address or nobody. */
#include <string.h>

#include "daemon/gate/proxy_header.h"
#include "fuzz/fuzz.h"
#include "lib/err.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const union addr untouched = { .sa.sa_family = AF_MAX };
	uint8_t first[PROXY_HEADER_LOOK];
	union addr peer = untouched;
	size_t look;
	int n, r;

	if (size < PROXY_HEADER_FIXED)
		return 0;
	n = proxy_header_length(data);
	must(n == -FTD_E_bad_frame || (n >= PROXY_HEADER_FIXED && n <= PROXY_HEADER_MAX));
	look = n < PROXY_HEADER_LOOK ? (size_t)n : PROXY_HEADER_LOOK;
	if (n < 0 || size < look)
		return 0;
	memset(first, 0xa5, sizeof(first)); /* what was not looked at decides nothing */
	memcpy(first, data, look);
	r = proxy_header_read(first, &peer);
	must(r == 0 || r == -FTD_E_bad_frame);
	must((r < 0) == (peer.sa.sa_family == AF_MAX));
	must(r < 0 || peer.sa.sa_family == AF_UNSPEC || peer.sa.sa_family == AF_INET ||
	     peer.sa.sa_family == AF_INET6);
	return 0;
}
