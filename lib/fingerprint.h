/* Fingerprints of certificates as people compare them: "sha256:" and 64 hex digits. Pure. */
#pragma once

#include <stdint.h>

enum {
	FINGERPRINT_BYTES = 32,
	FINGERPRINT_MAX = sizeof("sha256:") + 2 * FINGERPRINT_BYTES, /* as text, NUL included */
};

/* Reads either case of digits and nothing else; writes lower case. 0 or -EINVAL. */
int fingerprint_parse(const char *text, char dst[FINGERPRINT_MAX]);

/* Returns dst. */
char *fingerprint_format(const uint8_t bytes[FINGERPRINT_BYTES], char dst[FINGERPRINT_MAX]);
