#include "lib/fingerprint.h"

#include <errno.h>
#include <string.h>

#include "lib/text.h"

static const char prefix[] = "sha256:";

int
fingerprint_parse(const char *text, char dst[FINGERPRINT_MAX])
{
	uint8_t bytes[FINGERPRINT_BYTES];
	size_t skip = strlen(prefix);

	if (strnlen(text, FINGERPRINT_MAX) != FINGERPRINT_MAX - 1 ||
	    strncmp(text, prefix, skip) != 0 ||
	    text_unhex(bytes, sizeof(bytes), text + skip, 2 * sizeof(bytes)) < 0)
		return -EINVAL;
	(void)fingerprint_format(bytes, dst);
	return 0;
}

char *
fingerprint_format(const uint8_t bytes[FINGERPRINT_BYTES], char dst[FINGERPRINT_MAX])
{
	memcpy(dst, prefix, strlen(prefix));
	(void)text_hex(dst + strlen(prefix), bytes, FINGERPRINT_BYTES);
	return dst;
}
